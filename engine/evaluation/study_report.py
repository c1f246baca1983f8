"""The findings of a study as tables and sentences, for the command line, the app and a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.evaluation.seed_model import Difference
from engine.evaluation.study import AFTER, BEFORE, GAIN, Effect, Estimate, Study, StudyTable
from engine.languages import language

Row = list[str]
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Sheet:
    """A table of text: its title, columns and rows."""

    title: str
    columns: list[str]
    rows: list[Row]


def language_sheet(table: StudyTable, study: Study) -> Sheet:
    """Return the score of each language before and after distillation, by arm; means over seeds."""
    rows = []
    for code in _by_size(table, study):
        tokens = study.sizes.get(code, {}).get("tokens")
        cells = [
            f"{by_time[BEFORE][code].mean:.3f} → {by_time[AFTER][code].mean:.3f}"
            for by_time in table.values.values()
        ]
        rows.append([language(code).name, "" if tokens is None else f"{tokens:,.0f}", *cells])
    means = [f"{each[BEFORE].mean:.3f} → {each[AFTER].mean:.3f}" for each in table.means.values()]
    rows.append(["mean", "", *means])
    return Sheet(f"{table.title}: before → after distillation", ["language", "tokens", *table.values], rows)


def arm_sheet(table: StudyTable) -> Sheet:
    """Return the mean and the gaps of each arm, before and after; means over seeds ± standard deviation."""
    columns = ["arm", "mean before", "after", "gain"]
    for group in table.groups:
        columns += [f"{group.name.split()[0]} gap before", "after"]
    rows = []
    for arm in table.values:
        before, after = table.means[arm][BEFORE], table.means[arm][AFTER]
        gain = Estimate.of([b - a for a, b in zip(before.seeds, after.seeds, strict=True)])
        row = [arm, spread(before), spread(after), spread(gain, "+")]
        for group in table.groups:
            row += [spread(table.gaps[group.name][arm][when], "+") for when in (BEFORE, AFTER)]
        rows.append(row)
    sides = "; ".join(
        f"{group.name}: {' '.join(group.high)} against {' '.join(group.low)}" for group in table.groups
    )
    return Sheet(f"{table.title}: means and gaps over seeds{f' ({sides})' if sides else ''}", columns, rows)


def effect_sheet(table: StudyTable) -> Sheet:
    """Return the differences between the arms and the first arm, with intervals and p values."""
    base = next(iter(table.values))
    rows = [
        [
            effect.arm,
            effect.scope if effect.scope == "mean" else f"{effect.scope} gap",
            effect.when,
            f"{effect.difference.delta:+.3f}",
            _interval(effect.difference),
            "–" if effect.difference.p_holm is None else f"{effect.difference.p_holm:.4f}",
            "–" if effect.difference.smallest is None else f"{effect.difference.smallest:.3f}",
            f"{effect.contrast.p_holm:.4f}",
            "" if effect.p_languages is None else f"{effect.p_languages:.4f}",
            " ".join(f"{value:+.3f}" for value in effect.seeds.seeds),
        ]
        for effect in table.effects
    ]
    columns = ["arm", "of", "when", "Δ", "95 % interval", "p", "visible", "p (these checkpoints)"]
    columns += ["p (languages)", "by seed"]
    tests = sum(effect.difference.p is not None for effect in table.effects)
    family = f" (p: Holm over {tests}; units: {table.units} topics or clusters)" if tests else ""
    return Sheet(f"{table.title}: differences to {base}{family}", columns, rows)


def interaction_sheet(table: StudyTable) -> Sheet:
    """Return, by language, the difference between the gain of an arm and that of the first arm."""
    base = next(iter(table.values))
    rows = [
        [
            language(code).name,
            *(
                f"{found[code].delta:+.3f}{'*' if _significant(found[code]) else ''}"
                for found in table.interactions.values()
            ),
        ]
        for code in table.queries
    ]
    return Sheet(
        f"{table.title}: gain of distillation, difference to {base} (* p < .05, Holm over all cells)",
        ["language", *table.interactions],
        rows,
    )


def sheets(table: StudyTable, study: Study) -> list[Sheet]:
    """Return all sheets of one table."""
    return [language_sheet(table, study), arm_sheet(table), effect_sheet(table), interaction_sheet(table)]


def answer(table: StudyTable) -> list[str]:
    """Return the findings of one table as sentences."""
    base, *others = table.values
    sentences = []
    for when, words in ((BEFORE, "Before distillation"), (AFTER, "After distillation")):
        effects = [_effect(table, arm, "mean", when) for arm in others]
        significant = [effect for effect in effects if _significant(effect.difference)]
        if not significant:
            largest = max(effects, key=lambda effect: abs(effect.difference.delta))
            sentences.append(
                f"{words} no arm's mean over languages differs significantly from that of {base} (the "
                f"largest difference is that of {largest.arm}, {_with_interval(largest)})."
            )
        else:
            listed = ", ".join(f"{effect.arm} by {_with_interval(effect)}" for effect in significant)
            sentences.append(
                f"{words} the means over languages of these arms differ from that of {base}: {listed}."
            )
    for group in table.groups:
        effects = [_effect(table, arm, group.name, GAIN) for arm in others]
        significant = [effect for effect in effects if _significant(effect.difference)]
        if significant:
            listed = ", ".join(f"{effect.arm} {_with_interval(effect)}" for effect in significant)
            sentences.append(
                f"Distillation changes the gap by {group.name} differently than in {base}: {listed}."
            )
        else:
            sentences.append(
                f"No arm shows a significantly different effect of distillation on the gap by {group.name}."
            )
    return sentences


def caveats(study: Study) -> list[str]:
    """Return the limits of the conclusions, which follow from the size of the study."""
    steps = study.facts.steps
    parameters = study.facts.pretraining.get("parameters")
    size = f"{parameters / 1e6:.1f} million parameters" if parameters else "few parameters"
    tokens = sum(entry["tokens"] for entry in study.sizes.values())
    count = len(study.seeds)
    sentences = [
        f"The encoders have {study.facts.layers} layers of width {study.facts.width} ({size}) and were "
        f"pre-trained for {steps['pretrain']:,} steps on {tokens:,.0f} tokens of text. Encoders in practice "
        "have tens to hundreds of times as many parameters and thousands of times as much text. The study "
        "does not show the effect of balance on them.",
        f"Intervals and p describe the variation over queries and over trainings, from {count} seeds."
        if count > 1
        else "One seed cannot show the variation over trainings, so there is no interval and no p.",
        "p (these checkpoints) describes the variation over queries alone, for these encoders, averaged over "
        "seeds. It does not say what other trainings would give.",
        "p (languages) is the p value of a test with languages as units. It asks whether similar languages "
        "would show the same difference.",
        "All arms and seeds use the same text. Languages are therefore rare in one way only: they have few "
        "sentences of one kind.",
    ]
    if study.left_out:
        sentences.append(f"Seeds {', '.join(map(str, study.left_out))} are unfinished and left out.")
    return sentences


def as_json(study: Study) -> dict[str, Any]:
    """Return the study and its sentences for JSON."""
    return {
        **asdict(study),
        "answers": {table.title: answer(table) for table in study.tables},
        "caveats": caveats(study),
    }


def markdown(study: Study) -> str:
    """Return the whole report in Markdown."""
    taken = f"{study.facts.runs} runs, {study.facts.hours:.1f} hours in all"
    parts = [f"Run `{study.run}`: {taken}; seeds {', '.join(map(str, study.seeds))}."]
    for table in study.tables:
        parts += [f"### {table.title}", " ".join(answer(table))]
        for sheet in sheets(table, study):
            parts += [f"**{sheet.title}**", _markdown_table(sheet)]
    parts += ["### Limits", "\n".join(f"- {sentence}" for sentence in caveats(study))]
    return "\n\n".join(parts)


def spread(estimate: Estimate, sign: str = "") -> str:
    """Return a mean with its standard deviation over seeds."""
    deviation = "" if estimate.sd is None else f" ± {estimate.sd:.3f}"
    return f"{estimate.mean:{sign}.3f}{deviation}"


def _markdown_table(sheet: Sheet) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return "\n".join([line(sheet.columns), line(["---"] * len(sheet.columns)), *map(line, sheet.rows)])


def _by_size(table: StudyTable, study: Study) -> list[str]:
    """Return the languages, those with the most text first."""
    return sorted(table.queries, key=lambda code: (-study.sizes.get(code, {}).get("tokens", 0.0), code))


def _effect(table: StudyTable, arm: str, scope: str, when: str) -> Effect:
    return next(e for e in table.effects if (e.arm, e.scope, e.when) == (arm, scope, when))


def _with_interval(effect: Effect) -> str:
    return f"{effect.difference.delta:+.3f} {_interval(effect.difference)}".rstrip(" –")


def _interval(found: Difference) -> str:
    return "–" if found.low is None or found.high is None else f"[{found.low:+.3f}, {found.high:+.3f}]"


def _significant(found: Difference) -> bool:
    return found.p_holm is not None and found.p_holm < SIGNIFICANT
