"""Find and undo shifts in line-aligned bitext.

If one line is lost, every later line is paired with its neighbour's translation. Five in six of TICO-19's
Somali training segments are paired so. A student that is trained on such pairs learns the wrong sentences,
and the loss does not show it. To undo it, an encoder that is better than chance in both languages is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
#: Pairs of a block of a sample. A shift of TICO-19's Somali that begins and ends in a block needs 16.
BLOCK = 24
#: A change of shift is sought between two blocks if the sample places it this close to them.
NEAR = BLOCK // 2
#: Fewest pairs of a sample.
SAMPLE = 20 * BLOCK


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
    return _best_path(_similarities(source, target, torch.arange(count), torch.arange(count), count))


def _similarities(source: Tensor, target: Tensor, rows: Tensor, judged: Tensor, count: int) -> Tensor:
    """Return the similarities (n, 2 REACH + 1) of some pairs' sources to the targets around them.

    Parameters
    ----------
    source, target : Tensor (m, H)
        Vectors of the pairs that were read.
    rows : Tensor (m,)
        Their indices, ascending.
    judged : Tensor (n,)
        Indices of the pairs to compare; they and their neighbours are among `rows`.
    count : int
        Number of pairs of the file; the similarity to a neighbour outside it is -1.
    """
    source, target = (torch.nn.functional.normalize(side - side.mean(0), dim=1) for side in (source, target))
    scores = torch.full((len(judged), 2 * REACH + 1), -1.0)
    own = torch.searchsorted(rows, judged)
    for state, offset in enumerate(range(-REACH, REACH + 1)):
        inside = (judged + offset >= 0) & (judged + offset < count)
        other = torch.searchsorted(rows, judged[inside] + offset)
        scores[inside, state] = (source[own[inside]] * target[other]).sum(1)
    return scores


def _best_path(scores: Tensor) -> Tensor:
    """Return the best shift (N,) of each row of the similarities (N, 2 REACH + 1)."""
    count = len(scores)
    offsets = torch.arange(-REACH, REACH + 1)
    inside = scores[scores > -1]
    unrelated = inside[inside <= inside.median()]
    deviation = float(unrelated.std())
    switch = SWITCH * deviation
    scores = scores - HANDICAP * deviation * (offsets != 0)

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


def sampled_shifts(
    read: Callable[[Sequence[int]], tuple[Tensor, Tensor]], count: int, size: int
) -> tuple[Tensor, int]:
    """Return the shift of every pair, and how many pairs were read to find it.

    Blocks of consecutive pairs, evenly spaced over the file, are read first. The shifts are the best path
    through the pairs of all blocks, as in `shifts`. Pairs between two blocks with the same shift have this
    shift, too. Where the shift changes from one block to the next, or next to the edge of a block, the pairs
    between are halved by further blocks and in the end read whole, so a change is placed as exactly as by
    `shifts`. A shift that begins and ends between two blocks is not found.

    Parameters
    ----------
    read : callable
        Returns the unit sentence vectors (n, H) of both sides of the pairs with these indices.
    count : int
        N, the number of pairs of the file.
    size : int
        Pairs of the blocks that are read first.

    Returns
    -------
    shift : Tensor (N,), int64
    read : int
        Number of pairs read, N if the blocks would cover more than half of the file.
    """
    whole = BLOCK + 2 * REACH  # the neighbours of a block's pairs are read with it
    blocks = max(2, -(-size // BLOCK))
    if 2 * blocks * whole >= count:
        return shifts(*read(range(count))), count
    rows = torch.zeros(0, dtype=torch.long)
    source = target = torch.zeros(0)
    starts = torch.linspace(0, count - whole, blocks).long().tolist()
    ranges = [(start, start + whole) for start in starts]
    while ranges:
        wanted = torch.unique(torch.cat([torch.arange(start, stop) for start, stop in ranges]))
        fresh = wanted[~torch.isin(wanted, rows)]
        rows, order = torch.cat([rows, fresh]).sort()
        source, target = (
            torch.cat([old, new])[order] if len(old) else new
            for old, new in zip((source, target), read(fresh.tolist()), strict=True)
        )
        judged = _judged(rows, count)
        path = _best_path(_similarities(source, target, rows, judged, count))
        ranges = _open_questions(judged, path, whole)
    middles = (judged[1:] + judged[:-1]) // 2
    return path[torch.bucketize(torch.arange(count), middles)], len(rows)


def _judged(rows: Tensor, count: int) -> Tensor:
    """Return those of the pairs `rows` whose neighbours within `REACH` are all among `rows`."""
    known = torch.zeros(count + 2 * REACH, dtype=torch.bool)
    known[:REACH] = known[count + REACH :] = True
    known[rows + REACH] = True
    return known.unfold(0, 2 * REACH + 1, 1).all(1).nonzero()[:, 0]


def _open_questions(judged: Tensor, path: Tensor, whole: int) -> list[tuple[int, int]]:
    """Return the ranges to read next: between judged pairs with a change of shift near."""
    changed = torch.nn.functional.pad((path[1:] != path[:-1]).float(), (NEAR, NEAR))
    near = changed.unfold(0, 2 * NEAR + 1, 1).amax(1) > 0
    ranges = []
    for place in (near & (judged[1:] - judged[:-1] > 1)).nonzero()[:, 0].tolist():
        start, stop = int(judged[place]) + 1, int(judged[place + 1])
        if stop - start > 4 * whole:
            start = (start + stop - whole) // 2
            stop = start + whole
        ranges.append((start, stop))
    return ranges


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

    def repair(
        self, pairs: list[SentencePair], reporter: Reporter, limit: int | None = None
    ) -> tuple[list[SentencePair], int]:
        """Return the pairs of a source without shifts, and how many pairs were realigned.

        If no more than `limit` pairs will be used, a sample of as many pairs (at least `SAMPLE`) is compared
        first, and others only where the sample finds a change of shift; see `sampled_shifts`.
        """

        def read(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
            return self._vectors([pairs[row] for row in rows], reporter)

        size = len(pairs) if limit is None else max(limit, SAMPLE)
        shift, seen = sampled_shifts(read, len(pairs), size)
        moved = int((shift != 0).sum())
        if not moved:
            return pairs, 0
        sample = "" if seen == len(pairs) else f", as {seen:,} of them show"
        reporter.say(
            f"{moved:,} of {len(pairs):,} pairs in {pairs[0].source_language} were next to the translation "
            f"of a neighbouring line{sample}, and were realigned (training.alignment)"
        )
        return realign(pairs, shift), moved

    def _vectors(self, pairs: list[SentencePair], reporter: Reporter) -> tuple[Tensor, Tensor]:
        """Return the sentence vectors (N, H) of both sides."""
        vectors = []
        sides: list[tuple[str, Role, list[str]]] = [
            ("source", "query", [pair.source for pair in pairs]),
            ("target", self.encoder.document_role(symmetric=True), [pair.target for pair in pairs]),
        ]
        for side, role, texts in sides:
            reporter.stage(f"alignment of {pairs[0].source_language}, {side} side", len(texts))
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
