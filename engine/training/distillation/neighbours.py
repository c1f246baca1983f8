"""The English sentences nearest to those of a batch, from which hard negatives are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import faiss
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.reporting import SILENT, Reporter
from engine.training.distillation.teacher_vectors import TeacherVectors

#: Number of neighbours of a sentence that hard negatives are drawn from.
NEIGHBOURS = 50
#: Most sentences that are searched exactly.
EXACT = 50_000
#: Sentences whose neighbours are also searched exactly, to state the recall.
PROBES = 100
#: Sentences that are encoded and added at once.
_BLOCK = 4096
#: Sentences that an index is trained on, for each of its lists (FAISS asks for 39 or more).
_TRAINED_ON = 64
#: Bits of a code, one for each eight dimensions.
_BITS = 8
#: Lists that are searched.
_SEARCHED = 32

Rows = npt.NDArray[np.int64]


class Neighbours:
    """Finds the nearest of some English sentences by the teacher's sentence vectors.

    At most `EXACT` sentences are searched exactly. Of more, FAISS's inverted lists with product quantisation
    are built, which take a byte for every eight dimensions instead of four for each; the share of the true
    neighbours that they find is reported.

    Parameters
    ----------
    vectors : TeacherVectors
        The teacher's vectors; those of `rows` are computed.
    rows : array of int (C,)
        The sentences that may be neighbours.
    seed : int
        Seed of the index and of the sentences by which its recall is measured.
    reporter : Reporter
        Receives progress and the recall.
    """

    def __init__(
        self, vectors: TeacherVectors, rows: Rows, *, seed: int = 0, reporter: Reporter = SILENT
    ) -> None:
        self._vectors, self.rows = vectors, rows
        self._table: Tensor | None = None
        reporter.stage("teacher vectors for hard negatives", len(rows))
        if len(rows) <= EXACT:
            self._table = torch.zeros(len(rows), vectors.teacher.sentence_width)
            for start in range(0, len(rows), _BLOCK):
                block = rows[start : start + _BLOCK]
                self._table[start : start + len(block)] = self._encoded(block)
                reporter.advance(len(block))
            return
        self._build(seed, reporter)

    def of(self, rows: Sequence[int]) -> Rows:
        """Return the nearest sentences (R, n) of each of `rows`, itself never among them.

        There are `NEIGHBOURS` of each; -1 stands where there are fewer.
        """
        places = self._search(self._vectors.sentences(rows), min(NEIGHBOURS + 1, len(self.rows)))
        found = np.where(places < 0, -1, self.rows[places])
        itself = found == np.array(rows)[:, None]
        found[itself] = -1
        found = np.take_along_axis(found, np.argsort(itself, axis=1, kind="stable"), axis=1)
        return found[:, :NEIGHBOURS]

    def _search(self, asked: Tensor, k: int) -> Rows:
        if self._table is not None:
            nearest: Rows = (asked @ self._table.T).topk(k, dim=1).indices.numpy()
            return nearest
        return np.asarray(self._index.search(asked.numpy(), k)[1], dtype=np.int64)

    def _encoded(self, rows: Rows) -> Tensor:
        return self._vectors.sentences(rows.tolist())

    def _build(self, seed: int, reporter: Reporter) -> None:
        """Build the index in one pass, in which the neighbours of `PROBES` sentences are searched exactly."""
        width = self._vectors.teacher.sentence_width
        generator = np.random.default_rng(seed)
        lists = math.isqrt(len(self.rows))
        codes = next(count for count in range(max(1, width // 8), 0, -1) if width % count == 0)
        self._index = faiss.IndexIVFPQ(
            faiss.IndexFlatIP(width), width, lists, codes, _BITS, faiss.METRIC_INNER_PRODUCT
        )
        self._index.cp.seed = self._index.pq.cp.seed = seed
        self._index.nprobe = min(_SEARCHED, lists)
        drawn = generator.permutation(len(self.rows))
        sample = np.sort(drawn[: max(lists * _TRAINED_ON, 256 * 39)])
        parts = [self._encoded(self.rows[sample[n : n + _BLOCK]]) for n in range(0, len(sample), _BLOCK)]
        self._index.train(torch.cat(parts).numpy())
        asked = self._encoded(self.rows[drawn[:PROBES]])
        best = torch.full((len(asked), NEIGHBOURS + 1), -2.0)
        places = torch.full((len(asked), NEIGHBOURS + 1), -1)
        for start in range(0, len(self.rows), _BLOCK):
            block = self._encoded(self.rows[start : start + _BLOCK])
            self._index.add(block.numpy())
            numbers = torch.arange(start, start + len(block)).expand(len(asked), -1)
            merged = torch.cat([best, asked @ block.T], 1).topk(NEIGHBOURS + 1, dim=1)
            places = torch.cat([places, numbers], 1).gather(1, merged.indices)
            best = merged.values
            reporter.advance(len(block))
        found = self._search(asked, NEIGHBOURS + 1)
        shares = [len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), places.tolist(), strict=True)]
        self.recall = sum(shares) / len(shares)
        reporter.say(
            f"hard negatives come from {len(self.rows):,} English sentences, searched approximately: "
            f"{self.recall:.0%} of the {NEIGHBOURS} nearest are found (of {len(shares)} sentences)"
        )
