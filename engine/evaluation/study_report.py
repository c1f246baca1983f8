"""The findings of a study as tables and sentences, for the command line, the app and a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.counted import counted
from engine.evaluation.seed_model import Difference
from engine.evaluation.study import (
    AFTER,
    BEFORE,
    GAIN,
    DocumentDifference,
    Effect,
    Estimate,
    Study,
    StudyTable,
)
from engine.languages import language
from engine.visible import markdown_text, visible

Row = list[str]
SIGNIFICANT = 0.05
_DOCUMENTS = 10  # shown at most


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


def document_sheet(table: StudyTable) -> Sheet:
    """Return the differences to the first arm by document: in it, and in all others together.

    It has no rows if the topics do not form documents.
    """
    base = next(iter(table.values))
    most: dict[str, float] = {}
    found = {arm: {one.document: one for one in each} for arm, each in table.documents.items()}
    for each in found.values():
        for name, one in each.items():
            most[name] = max(most.get(name, 0.0), abs(one.adds))
    shown = sorted(most, key=lambda name: (-most[name], name))[:_DOCUMENTS]
    rows = []
    for name in shown:
        ones = [each.get(name) for each in found.values()]
        topics = next(one.topics for one in ones if one is not None)
        rows.append([name, str(topics), *("–" if one is None else _of_document(one) for one in ones)])
    if rows:
        means = (f"{_effect(table, arm, 'mean', AFTER).seeds.mean:+.3f}" for arm in found)
        rows.append(["all", "", *means])
    which = f"the {len(shown)} of {len(most)} documents" if len(most) > len(shown) else "documents"
    title = f"{table.title}: after distillation, difference to {base} in {which} (without it)"
    if not rows:
        title = f"{table.title}: the topics do not form documents"
    return Sheet(title, ["document", "topics", *found], rows)


def sheets(table: StudyTable, study: Study) -> dict[str, Sheet]:
    """Return all sheets of one table by name; that of documents only if the topics form documents."""
    found = {
        "languages": language_sheet(table, study),
        "arms": arm_sheet(table),
        "differences": effect_sheet(table),
        "documents": document_sheet(table),
        "interactions": interaction_sheet(table),
    }
    return {name: sheet for name, sheet in found.items() if sheet.rows}


def primary_answer(study: Study) -> list[str]:
    """Return the primary comparison as sentences."""
    primary = study.primary
    if primary is None:
        return [
            "No primary comparison was named before this study ran. All comparisons are exploratory: they "
            "suggest what to test, and confirm nothing."
        ]
    found = primary.difference
    words = f"{primary.arm} minus {primary.baseline}, mean over languages after distillation"
    measured = f"Primary comparison ({words}; {primary.table}): {found.delta:+.3f} {_interval(found)}"
    measured = measured.rstrip(" –")
    if found.p is None:
        sentences = [f"{measured}; not tested, because {found.reason}."]
    else:
        verdict = "significant" if found.p < SIGNIFICANT else "not significant"
        sentences = [
            f"{measured}, p {found.p:.4f}, {verdict} at the 5 % level; {found.units} units. A difference "
            f"of {found.smallest or 0:.3f} would have been seen with a probability of 80 %."
        ]
    sentences.append("By seed: " + " ".join(f"{value:+.3f}" for value in primary.seeds.seeds) + ".")
    if primary.documents:
        most = primary.documents[0]
        sentences.append(
            f"The document that adds most is {most.document} ({counted(most.topics, 'topic')}): "
            f"{most.delta:+.3f} in it, {most.without:+.3f} in all others."
        )
    return sentences


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
    count = len(study.seeds)
    sentences = []
    if study.facts.block:
        sentences.append(
            f"Every pre-trained arm saw {steps['pretrain']:,} steps, which are "
            f"{steps['pretrain'] * study.facts.block:,} tokens."
        )
    if study.facts.layers is not None:
        parameters = study.facts.pretraining.get("parameters")
        size = f"{parameters / 1e6:.1f} million parameters" if parameters else "few parameters"
        tokens = sum(entry["tokens"] for entry in study.sizes.values())
        sentences.append(
            f"The pre-trained encoders have {study.facts.layers} layers of width {study.facts.width} "
            f"({size}) and text of {tokens:,.0f} tokens. Encoders in practice have tens to hundreds of times "
            "as many parameters and thousands of times as much text. The study does not show the effect of "
            "balance on them."
        )
    if any(arm.get("checkpoint") and not arm.get("random_weights") for arm in study.arms.values()):
        sentences.append(
            "Published checkpoints differ in more than the balance of their languages: in text, vocabulary, "
            "size, steps and architecture. A difference between them is one between checkpoints, and its "
            "cause is not shown."
        )
    sentences += [
        f"Intervals and p describe the variation over queries and over trainings, from {count} seeds."
        if count > 1
        else "One seed cannot show the variation over trainings, so there is no interval and no p.",
        "p (these checkpoints) describes the variation over queries alone, for these encoders, averaged over "
        "seeds. It does not say what other trainings would give.",
        "p (languages) is the p value of a test with languages as units. It asks whether similar languages "
        "would show the same difference.",
    ]
    if study.sizes:
        sentences.append(
            "All pre-trained arms and all seeds use the same text. Languages are therefore rare in one way "
            "only: they have few sentences of one kind."
        )
    if study.left_out:
        sentences.append(f"Seeds {', '.join(map(str, study.left_out))} are unfinished and left out.")
    return sentences


def as_json(study: Study) -> dict[str, Any]:
    """Return the study and its sentences for JSON."""
    return {
        **asdict(study),
        "primary_answer": primary_answer(study),
        "answers": {table.title: answer(table) for table in study.tables},
        "caveats": caveats(study),
    }


def markdown(study: Study) -> str:
    """Return the whole report in Markdown."""
    taken = f"{counted(study.facts.runs, 'run')}, {study.facts.hours:.1f} hours in all"
    run = visible(study.run).replace("`", "'")
    parts = [f"Run `{run}`: {taken}; seeds {', '.join(map(str, study.seeds))}."]
    parts += [markdown_text(" ".join(primary_answer(study)))]
    for table in study.tables:
        parts += [f"### {markdown_text(table.title)}", markdown_text(" ".join(answer(table)))]
        for sheet in sheets(table, study).values():
            parts += [f"**{markdown_text(sheet.title)}**", _markdown_table(sheet)]
    parts += ["### Limits", "\n".join(f"- {markdown_text(sentence)}" for sentence in caveats(study))]
    return "\n\n".join(parts)


def spread(estimate: Estimate, sign: str = "") -> str:
    """Return a mean with its standard deviation over seeds."""
    deviation = "" if estimate.sd is None else f" ± {estimate.sd:.3f}"
    return f"{estimate.mean:{sign}.3f}{deviation}"


def _markdown_table(sheet: Sheet) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(map(markdown_text, cells))} |"

    return "\n".join([line(sheet.columns), line(["---"] * len(sheet.columns)), *map(line, sheet.rows)])


def _by_size(table: StudyTable, study: Study) -> list[str]:
    """Return the languages, those with the most text first."""
    return sorted(table.queries, key=lambda code: (-study.sizes.get(code, {}).get("tokens", 0.0), code))


def _effect(table: StudyTable, arm: str, scope: str, when: str) -> Effect:
    return next(e for e in table.effects if (e.arm, e.scope, e.when) == (arm, scope, when))


def _of_document(one: DocumentDifference) -> str:
    return f"{one.delta:+.3f} ({one.without:+.3f})"


def _with_interval(effect: Effect) -> str:
    return f"{effect.difference.delta:+.3f} {_interval(effect.difference)}".rstrip(" –")


def _interval(found: Difference) -> str:
    return "–" if found.low is None or found.high is None else f"[{found.low:+.3f}, {found.high:+.3f}]"


def _significant(found: Difference) -> bool:
    return found.p_holm is not None and found.p_holm < SIGNIFICANT
