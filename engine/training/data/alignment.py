"""Find and undo shifts in line-aligned bitext.

If one line is lost, every later line is paired with its neighbour's translation. Five in six of TICO-19's
Somali training segments are paired so. A student that is trained on such pairs learns the wrong sentences,
and the loss does not show it. To undo it, an encoder that is better than chance in both languages is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.encoders.encoder import Encoder, Role
from engine.extensions.bitext import SentencePair
from engine.paths import cache_home
from engine.reporting import Reporter
from engine.retrieval.vectors import sentence_vectors

#: Largest shift that is searched for, in pairs in either direction.
REACH = 3
#: Gain that a change of shift needs, in standard deviations of the similarity of unrelated neighbours.
SWITCH = 20.0
#: Gain that every shifted pair needs, in the same unit, so that random gains do not add up to a shift.
#: Without it, most of 2,000 pairs of random vectors were shifted; true pairs of TICO-19's Somali gain 4.6.
HANDICAP = 2.0


def shifts(source: Tensor, target: Tensor) -> Tensor:
    """Return the shift of every pair: sentence i of the source belongs to i + shift of the target.

    This is the best path through the similarities of each source sentence with its `REACH` neighbours on
    either side, where a change of shift costs `SWITCH` and every shifted pair `HANDICAP` (Viterbi's
    algorithm). Both sides are centred first, since most encoders place two languages apart.

    Parameters
    ----------
    source, target : Tensor (N, H)
        Unit sentence vectors of the pairs, in the order of their file.

    Returns
    -------
    Tensor (N,), int64
        All zero if the pairs are aligned, are too few, or are not distinguished better than by chance.
    """
    count = len(source)
    if count < 4 * REACH:
        return torch.zeros(count, dtype=torch.long)
    source = torch.nn.functional.normalize(source - source.mean(0), dim=1)
    target = torch.nn.functional.normalize(target - target.mean(0), dim=1)
    offsets = torch.arange(-REACH, REACH + 1)
    scores = torch.full((count, len(offsets)), -1.0)
    for state, offset in enumerate(offsets.tolist()):
        rows = torch.arange(max(0, -offset), min(count, count - offset))
        scores[rows, state] = (source[rows] * target[rows + offset]).sum(1)
    inside = scores[scores > -1]
    unrelated = inside[inside <= inside.median()]
    deviation = float(unrelated.std())
    switch = SWITCH * deviation
    scores -= HANDICAP * deviation * (offsets != 0)

    total = scores[0] - switch * (offsets != 0)
    back = torch.zeros(count, len(offsets), dtype=torch.long)
    stay = torch.arange(len(offsets))
    for row in range(1, count):
        leave, best = total.max() - switch, int(total.argmax())
        moved = leave > total
        back[row] = torch.where(moved, best, stay)
        total = torch.where(moved, leave, total) + scores[row]
    path = torch.zeros(count, dtype=torch.long)
    state = int(total.argmax())
    for row in range(count - 1, -1, -1):
        path[row] = offsets[state]
        state = int(back[row, state])
    return path


def realign(pairs: Sequence[SentencePair], shift: Tensor) -> list[SentencePair]:
    """Return `pairs` with every source sentence next to the target that `shift` points to.

    A source that points outside the list, or to a target that already has a source, is left out.
    """
    moved, taken = [], set()
    for index, (pair, offset) in enumerate(zip(pairs, shift.tolist(), strict=True)):
        other = index + offset
        if 0 <= other < len(pairs) and other not in taken:
            taken.add(other)
            moved.append(replace(pair, target=pairs[other].target))
    return moved


@dataclass(frozen=True)
class Aligner:
    """Finds and undoes shifts of lines.

    Attributes
    ----------
    encoder : Encoder
        Encodes both sides, since two checkpoints have two vector spaces.
    precision : torch.dtype
        Autocast type of its matrix products.
    """

    encoder: Encoder
    precision: torch.dtype

    def repair(self, pairs: list[SentencePair], reporter: Reporter) -> tuple[list[SentencePair], int]:
        """Return the pairs of a source without shifts, and how many pairs were realigned."""
        shift = shifts(*self._vectors(pairs, reporter))
        moved = int((shift != 0).sum())
        if not moved:
            return pairs, 0
        reporter.say(
            f"{moved:,} of {len(pairs):,} pairs in {pairs[0].source_language} were next to the translation "
            "of a neighbouring line and were realigned (training.alignment)"
        )
        return realign(pairs, shift), moved

    def _vectors(self, pairs: list[SentencePair], reporter: Reporter) -> tuple[Tensor, Tensor]:
        """Return the sentence vectors (N, H) of both sides."""
        vectors = []
        sides: list[tuple[Role, list[str]]] = [
            ("query", [pair.source for pair in pairs]),
            ("passage", [pair.target for pair in pairs]),
        ]
        for role, texts in sides:
            reporter.stage(f"alignment of {pairs[0].source_language}, {role} side", len(texts))
            vectors.append(
                sentence_vectors(
                    self.encoder,
                    texts,
                    role,
                    precision=self.precision,
                    cache=cache_home() / "vectors",
                    progress=reporter.advance,
                )
            )
        return vectors[0], vectors[1]
