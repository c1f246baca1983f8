"""Find and undo shifts in line-aligned bitext.

If one line is lost, every later line is paired with its neighbour's translation. Five in six of TICO-19's
Somali training segments are paired so. A student that is trained on such pairs learns the wrong sentences,
and the loss does not show it. To undo it, an encoder that is better than chance in both languages is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.bitext.pairs import Pairs
from engine.encoders.encoder import Encoder, Role
from engine.extensions.bitext import SentencePair
from engine.reporting import Reporter
from engine.retrieval.vectors import sentence_vectors, vectors_folder

Lengths = Sequence[int] | npt.NDArray[np.int32]

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
#: Pairs of a file for each block of its sample, and the fewest and the most blocks.
SPACING, FEWEST, MOST = 1000, 4, 20
#: Characters of a sentence that are compared; neighbours differ in their first words already.
CHARACTERS = 100
#: Pairs over which the lengths of sentences are compared, and most places of a file that they may point to.
LENGTHS, SUSPECTS = 32, 20
#: Gain in log-likelihood, over `LENGTHS` pairs, by which the lengths point to a shift.
POINTED = 25.0


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


def suspects(source: Lengths, target: Lengths, shift: npt.NDArray[np.int64] | None = None) -> list[int]:
    """Return places of a file at which the lengths of sentences suggest another shift.

    Long sentences have long translations: the logarithm of the ratio of the lengths of two translations has a
    smaller variance than that of two unrelated sentences (Gale and Church 1993, "A program for aligning
    sentences in bilingual corpora"). A place is suspicious if another shift makes the lengths of the
    `LENGTHS` pairs from there on more likely by `POINTED`. This costs nothing but says little about sentences
    of equal length, so it only tells where to look.

    Parameters
    ----------
    source, target : sequence of int
        Lengths of the sentences of both sides, in characters.
    shift : array of int (N,), optional
        The shift of each pair that is known already; None takes none.

    Returns
    -------
    list of int
        At most `SUSPECTS` places, the most suspicious first, `LENGTHS` pairs or more apart.
    """
    count = len(source)
    if count < LENGTHS + 2 * REACH:
        return []
    first, second = (np.log1p(np.asarray(side, dtype=np.float32)) for side in (source, target))
    rows = np.arange(count) + (0 if shift is None else shift)
    ratio = first - second[np.clip(rows, 0, count - 1)]
    middle = float(np.median(ratio))
    # the deviation of most pairs, so that a shifted part does not widen it
    deviation = max(0.1, 1.4826 * float(np.median(np.abs(ratio - middle))))

    def cost(offset: int) -> npt.NDArray[np.float32]:
        """Return minus the log-likelihood of each pair's lengths, which no single pair makes large."""
        moved = first - second[np.clip(rows + offset, 0, count - 1)]
        squares: npt.NDArray[np.float32] = np.minimum(((moved - middle) / deviation) ** 2, 9.0) / 2
        return squares

    own = cost(0)
    gain = np.zeros(count - LENGTHS + 1)
    for offset in (*range(-REACH, 0), *range(1, REACH + 1)):
        total = np.cumsum(np.concatenate([[0.0], own - cost(offset)]))
        gain = np.maximum(gain, total[LENGTHS:] - total[:-LENGTHS])
    found: list[int] = []
    for place in np.argsort(-gain, kind="stable")[: 50 * SUSPECTS].tolist():
        if gain[place] < POINTED or len(found) == SUSPECTS:
            break
        if all(abs(place - other) > LENGTHS for other in found):
            found.append(place)
    return found


def sampled_shifts(
    read: Callable[[Sequence[int]], tuple[Tensor, Tensor]],
    count: int,
    lengths: tuple[Lengths, Lengths] | None = None,
) -> tuple[Tensor, int]:
    """Return the shift of every pair, and how many pairs were read to find it.

    Blocks of consecutive pairs, evenly spaced over the file, are read first. The shifts are the best path
    through the pairs of all blocks, as in `shifts`. Pairs between two blocks with the same shift have this
    shift, too. Where the shift changes from one block to the next, or next to the edge of a block, the pairs
    between are halved by further blocks and in the end read whole, so a change is placed as exactly as by
    `shifts`. Blocks are also read wherever the lengths of the sentences suggest another shift than the one
    that was found (`suspects`); a shift that begins and ends between two blocks, and changes no length, is
    not found.

    Parameters
    ----------
    read : callable
        Returns the unit sentence vectors (n, H) of both sides of the pairs with these indices.
    count : int
        N, the number of pairs of the file.
    lengths : pair of sequences of int (N,), optional
        Lengths of the sentences of both sides.

    Returns
    -------
    shift : Tensor (N,), int64
    read : int
        Number of pairs read, N if the blocks would cover more than half of the file.
    """
    whole = BLOCK + 2 * REACH  # the neighbours of a block's pairs are read with it
    if pairs_read_first(count) == count:
        return shifts(*read(range(count))), count
    blocks = pairs_read_first(count) // whole
    rows = torch.zeros(0, dtype=torch.long)
    source = target = torch.zeros(0)
    starts = torch.linspace(0, count - whole, blocks).long().tolist()
    ranges = [(start, start + whole) for start in starts]
    shift = torch.zeros(count, dtype=torch.long)
    known = torch.zeros(count, dtype=torch.bool)
    while True:
        if lengths is not None and not ranges:
            places = [min(place, count - whole) for place in suspects(*lengths, shift.numpy())]
            ranges = [(place, place + whole) for place in places]
        wanted = [torch.arange(start, stop) for start, stop in ranges]
        fresh = torch.unique(torch.cat(wanted)) if wanted else torch.zeros(0, dtype=torch.long)
        fresh = fresh[~known[fresh]]
        if not len(fresh):
            return shift, len(rows)
        known[fresh] = True
        rows, order = torch.cat([rows, fresh]).sort()
        source, target = (
            torch.cat([old, new])[order] if len(old) else new
            for old, new in zip((source, target), read(fresh.tolist()), strict=True)
        )
        judged = _judged(rows, count)
        path = _best_path(_similarities(source, target, rows, judged, count))
        ranges = _open_questions(judged, path, whole)
        middles = (judged[1:] + judged[:-1]) // 2
        shift = path[torch.bucketize(torch.arange(count), middles)]


def pairs_read_first(count: int) -> int:
    """Return how many of `count` pairs `sampled_shifts` reads before it knows of any change of shift."""
    whole = BLOCK + 2 * REACH
    blocks = min(max(count // SPACING, FEWEST), MOST)
    return count if 2 * blocks * whole >= count else blocks * whole


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


def realign(pairs: Pairs, shift: Tensor) -> Pairs:
    """Return `pairs` with every source sentence next to the target that `shift` points to.

    A source that points outside the list, or to a target that already has a source, is left out.
    """
    targets = np.arange(len(pairs)) + shift.numpy()
    places = np.flatnonzero((targets >= 0) & (targets < len(pairs)))
    _, first = np.unique(targets[places], return_index=True)
    places = places[np.sort(first)]
    return pairs.moved(places, targets[places])


def beginning(text: str) -> str:
    """Return the words of a text within its first `CHARACTERS`, or these if they are no words."""
    if len(text) <= CHARACTERS:
        return text
    return text[: CHARACTERS + 1].rpartition(" ")[0] or text[:CHARACTERS]


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

    def repair(self, pairs: Pairs, reporter: Reporter) -> tuple[Pairs, int]:
        """Return the pairs of a source without shifts, and how many pairs were realigned.

        A sample of the pairs is compared first, and others only where it finds a change of shift; see
        `sampled_shifts`.
        """

        def read(rows: Sequence[int]) -> tuple[Tensor, Tensor]:
            return self._vectors(pairs.select(np.array(rows, dtype=np.int64)), reporter)

        lengths = pairs.lengths("source"), pairs.lengths("target")
        shift, seen = sampled_shifts(read, len(pairs), lengths)
        moved = int((shift != 0).sum())
        if not moved:
            return pairs, 0
        sample = "" if seen == len(pairs) else f", as {seen:,} of them show"
        reporter.say(
            f"{moved:,} of {len(pairs):,} pairs in {pairs[0].source_language} were next to the translation "
            f"of a neighbouring line{sample}, and were realigned (training.alignment)"
        )
        return realign(pairs, shift), moved

    def _vectors(self, pairs: Sequence[SentencePair], reporter: Reporter) -> tuple[Tensor, Tensor]:
        """Return the vectors (N, H) of the beginnings of both sides."""
        vectors = []
        sides: list[tuple[str, Role, list[str]]] = [
            ("source", "query", [beginning(pair.source) for pair in pairs]),
            (
                "target",
                self.encoder.document_role(symmetric=True),
                [beginning(pair.target) for pair in pairs],
            ),
        ]
        for side, role, texts in sides:
            reporter.stage(f"alignment of {pairs[0].source_language}, {side} side", len(texts))
            vectors.append(
                sentence_vectors(
                    self.encoder,
                    texts,
                    role,
                    precision=self.precision,
                    cache=vectors_folder(),
                    progress=reporter.advance,
                )
            )
        return vectors[0], vectors[1]
