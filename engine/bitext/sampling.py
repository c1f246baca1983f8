"""Language sampling: the probability of each language, by n^α, with α annealed, or by UniMax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.bitext.split import sample
from engine.config.pretraining import SamplingConfig
from engine.errors import InputError


def phases(sampling: SamplingConfig, counts: Mapping[str, int], budget: int) -> list[dict[str, float]]:
    """Return the probability of each language in every phase of a run; the phases have equal length.

    Parameters
    ----------
    sampling : SamplingConfig
        The strategy.
    counts : mapping
        Number of tokens of each language.
    budget : int
        Number of tokens that the run draws in total.

    Raises
    ------
    InputError
        If a language has no text, or UniMax cannot spend the budget.
    """
    empty = sorted(language for language, count in counts.items() if count <= 0)
    if empty:
        raise InputError(
            f"there is no text in {', '.join(empty)} to draw from; add text or remove the language"
        )
    match sampling.strategy:
        case "alpha":
            return [sample(counts, sampling.alpha)]
        case "annealed":
            return [sample(counts, alpha) for alpha in sampling.schedule]
        case "unimax":
            return [unimax(counts, budget, sampling.max_epochs)]


def unimax(counts: Mapping[str, int], budget: int, max_epochs: float) -> dict[str, float]:
    """Return the probabilities of UniMax (Chung et al. 2023, arXiv 2304.09151, Algorithm 1).

    In the order of their sizes, from the smallest, each language gets an equal share of the remaining budget,
    but at most `max_epochs` passes over its text. The rest goes to the larger languages.

    Parameters
    ----------
    counts : mapping
        Number of tokens of each language.
    budget : int
        Number of tokens that the run draws in total.
    max_epochs : float
        Maximum number of passes over the text of a language.

    Raises
    ------
    InputError
        If `max_epochs` passes over all text are fewer tokens than the budget.
    """
    total = sum(counts.values())
    if max_epochs * total < budget:
        raise InputError(
            f"unimax draws {budget:,} tokens, but {max_epochs:g} epochs of all text are only "
            f"{max_epochs * total:,.0f}; raise sampling.max_epochs to {budget / total:.3g} or more, or lower "
            "pretraining.steps"
        )
    left = float(budget)
    spent: dict[str, float] = {}
    ascending = sorted(counts, key=lambda language: (counts[language], language))
    for place, language in enumerate(ascending):
        spent[language] = min(left / (len(ascending) - place), max_epochs * counts[language])
        left -= spent[language]
    # the largest language takes the rest, because the budget is at most `max_epochs` passes over all text
    return {language: spent[language] / budget for language in counts}


def over_all(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the probability of each language over a run that consists of equally long `parts`."""
    return {language: sum(part[language] for part in parts) / len(parts) for language in parts[0]}


def part_at(step: int, steps: int, parts: int) -> int:
    """Return the index of the part that contains `step` (from 0), if `steps` are cut into equal `parts`."""
    return step * parts // steps
