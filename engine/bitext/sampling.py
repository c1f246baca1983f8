"""Language sampling: how often each language is drawn, by n^α, with α annealed, or by UniMax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.bitext.split import sample
from engine.config.pretraining import SamplingConfig
from engine.errors import InputError


def phases(sampling: SamplingConfig, counts: Mapping[str, int], budget: int) -> list[dict[str, float]]:
    """Return each language's probability in every phase of a run; phases are of equal length.

    Parameters
    ----------
    sampling : SamplingConfig
        The strategy.
    counts : mapping
        Tokens of each language's text.
    budget : int
        Tokens that the run draws in all.

    Raises
    ------
    InputError
        If a language has no text, or UniMax cannot spend the budget.
    """
    empty = sorted(language for language, count in counts.items() if count <= 0)
    if empty:
        raise InputError(f"there is no text in {', '.join(empty)} to draw; give it some or leave it out")
    match sampling.strategy:
        case "alpha":
            return [sample(counts, sampling.alpha)]
        case "annealed":
            return [sample(counts, alpha) for alpha in sampling.schedule]
        case "unimax":
            return [unimax(counts, budget, sampling.max_epochs)]


def unimax(counts: Mapping[str, int], budget: int, max_epochs: float) -> dict[str, float]:
    """Return UniMax's probabilities (Chung et al. 2023, arXiv 2304.09151, Algorithm 1).

    From the smallest language up, each receives an equal part of what is left of the budget, but at most
    `max_epochs` passes over its text; what it cannot take is left to the larger ones.

    Raises
    ------
    InputError
        If even `max_epochs` passes over all text do not spend the budget: then there would be no cap.
    """
    total = sum(counts.values())
    if max_epochs * total < budget:
        raise InputError(
            f"unimax draws {budget:,} tokens, and {max_epochs:g} epochs of all text are only "
            f"{max_epochs * total:,.0f}; raise sampling.max_epochs to {budget / total:.3g} or more, or lower "
            "pretraining.steps"
        )
    left = float(budget)
    spent: dict[str, float] = {}
    ascending = sorted(counts, key=lambda language: (counts[language], language))
    for place, language in enumerate(ascending):
        spent[language] = min(left / (len(ascending) - place), max_epochs * counts[language])
        left -= spent[language]
    # the largest language always takes all that is left, since the cap on all text is not reached
    return {language: spent[language] / budget for language in counts}


def over_all(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return each language's probability over a whole run of equally long `parts`."""
    return {language: sum(part[language] for part in parts) / len(parts) for language in parts[0]}


def part_at(step: int, steps: int, parts: int) -> int:
    """Return which of a run's equally long `parts` the step `step` (from 0) of `steps` lies in."""
    return step * parts // steps
