"""What a study found, in tables and sentences that the command line, the app and a document share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.evaluation.study import AFTER, BEFORE, GAIN, Effect, Estimate, Study, Table
from engine.languages import language

Row = list[str]
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Sheet:
    """A table of text: what it shows, its columns and its rows."""

    title: str
    columns: list[str]
    rows: list[Row]


def language_sheet(table: Table, study: Study) -> Sheet:
    """Return each language's score before and after distillation, by arm: means over seeds."""
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


def arm_sheet(table: Table) -> Sheet:
    """Return each arm's mean and gaps, before and after: means over seeds ± their deviation."""
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


def effect_sheet(table: Table) -> Sheet:
    """Return how the arms differ from the first one, with intervals and p values."""
    base = next(iter(table.values))
    rows = [
        [
            effect.arm,
            effect.scope if effect.scope == "mean" else f"{effect.scope} gap",
            effect.when,
            f"{effect.contrast.delta:+.3f}",
            f"[{effect.contrast.low:+.3f}, {effect.contrast.high:+.3f}]",
            f"{effect.contrast.p_holm:.4f}",
            "" if effect.p_languages is None else f"{effect.p_languages:.4f}",
            " ".join(f"{value:+.3f}" for value in effect.seeds.seeds),
        ]
        for effect in table.effects
    ]
    columns = ["arm", "of", "when", "Δ", "95 % interval", "p", "p (languages)", "by seed"]
    return Sheet(f"{table.title}: differences to {base}", columns, rows)


def interaction_sheet(table: Table) -> Sheet:
    """Return, by language, how much more or less an arm gains from distillation than the first one."""
    base = next(iter(table.values))
    rows = [
        [
            language(code).name,
            *(
                f"{found[code].delta:+.3f}{'*' if found[code].p_holm < SIGNIFICANT else ''}"
                for found in table.interactions.values()
            ),
        ]
        for code in table.queries
    ]
    return Sheet(
        f"{table.title}: gain of distillation, difference to {base} (* p < .05 after Holm over languages)",
        ["language", *table.interactions],
        rows,
    )


def sheets(table: Table, study: Study) -> list[Sheet]:
    """Return all sheets of one table."""
    return [language_sheet(table, study), arm_sheet(table), effect_sheet(table), interaction_sheet(table)]


def answer(table: Table) -> list[str]:
    """Return in sentences what one table says about the study's question."""
    base, *others = table.values
    said = []
    for when, words in ((BEFORE, "Before distillation"), (AFTER, "After distillation")):
        found = [_effect(table, arm, "mean", when) for arm in others]
        clear = [effect for effect in found if effect.contrast.p_holm < SIGNIFICANT]
        if not clear:
            largest = max(found, key=lambda effect: abs(effect.contrast.delta))
            said.append(
                f"{words} no arm's mean over languages differs from {base}'s for certain (the largest "
                f"difference is {largest.arm}'s, {_with_interval(largest)})."
            )
        else:
            listed = ", ".join(f"{effect.arm} by {_with_interval(effect)}" for effect in clear)
            said.append(f"{words} these arms' means over languages differ from {base}'s: {listed}.")
    for group in table.groups:
        found = [_effect(table, arm, group.name, GAIN) for arm in others]
        clear = [effect for effect in found if effect.contrast.p_holm < SIGNIFICANT]
        if clear:
            listed = ", ".join(f"{effect.arm} {_with_interval(effect)}" for effect in clear)
            said.append(
                f"Distillation changes the gap by {group.name} otherwise than in {base} here: {listed}."
            )
        else:
            said.append(
                f"That distillation changes the gap by {group.name} otherwise in some arm is not shown."
            )
    return said


def caveats(study: Study) -> list[str]:
    """Return what the size of the study forbids to conclude."""
    steps = study.facts["steps"]
    parameters = study.facts["pretraining"].get("parameters")
    size = f"{parameters / 1e6:.1f} million parameters" if parameters else "few parameters"
    tokens = sum(entry["tokens"] for entry in study.sizes.values())
    count = len(study.seeds)
    said = [
        f"The encoders have {study.facts['layers']} layers of width {study.facts['width']} ({size}) and were "
        f"pre-trained for {steps['pretrain']:,} steps on {tokens:,.0f} tokens of text; those in use have "
        "tens to hundreds of times the parameters and thousands of times the text. What balance does there, "
        "this cannot say.",
        "Intervals and p values speak of other queries to these encoders, averaged over "
        f"{count} seed{'s' if count != 1 else ''}; they do not speak of training again. "
        + (
            "With one seed nothing does."
            if count == 1
            else f"For that there are {count} values a difference, shown by seed: where they do not agree "
            "in sign, the difference is not settled."
        ),
        "p (languages) takes languages as the units; there it asks whether languages like these would agree.",
        "The same text serves all arms and seeds, so what is rare here is rare in one way only: by few "
        "sentences of one kind.",
    ]
    if study.left_out:
        said.append(f"Seeds {', '.join(map(str, study.left_out))} are unfinished and left out.")
    return said


def as_json(study: Study) -> dict[str, Any]:
    """Return the whole study for JSON, its sentences included."""
    return {
        **asdict(study),
        "answers": {table.title: answer(table) for table in study.tables},
        "caveats": caveats(study),
    }


def markdown(study: Study) -> str:
    """Return the whole report in Markdown."""
    taken = f"{study.facts['runs']} runs, {study.facts['hours']:.1f} hours in all"
    parts = [f"Run `{study.run}`: {taken}; seeds {', '.join(map(str, study.seeds))}."]
    for table in study.tables:
        parts += [f"### {table.title}", " ".join(answer(table))]
        for sheet in sheets(table, study):
            parts += [f"**{sheet.title}**", _markdown_table(sheet)]
    parts += ["### What this cannot say", "\n".join(f"- {sentence}" for sentence in caveats(study))]
    return "\n\n".join(parts)


def spread(estimate: Estimate, sign: str = "") -> str:
    """Return a mean with its standard deviation over seeds."""
    deviation = "" if estimate.sd is None else f" ± {estimate.sd:.3f}"
    return f"{estimate.mean:{sign}.3f}{deviation}"


def _markdown_table(sheet: Sheet) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return "\n".join([line(sheet.columns), line(["---"] * len(sheet.columns)), *map(line, sheet.rows)])


def _by_size(table: Table, study: Study) -> list[str]:
    """Return the languages, those with the most text first."""
    return sorted(table.queries, key=lambda code: (-study.sizes.get(code, {}).get("tokens", 0.0), code))


def _effect(table: Table, arm: str, scope: str, when: str) -> Effect:
    return next(e for e in table.effects if (e.arm, e.scope, e.when) == (arm, scope, when))


def _with_interval(effect: Effect) -> str:
    contrast = effect.contrast
    return f"{contrast.delta:+.3f} [{contrast.low:+.3f}, {contrast.high:+.3f}]"
