"""Held-out retrieval, which decides which weights are best, because the loss does not measure retrieval.

Queries of held-out pairs search the held-out English sentences and others of the run, `SEARCHED` in all, with
the teacher's vectors that the losses use too. Where `training.target_role` is ``query``, both sides are
queries: the figure says how well the student finds the teacher's encoding of the same query, and uses neither
passages nor their prefix. If a loss uses passages, a second figure says how well the student finds the
passage that the teacher ranks first for the query's translation; it decides, because it measures retrieval of
passages. With a validation
(`engine.training.distillation.validation`), neither of them decides. The transport plans of a few pairs show
how sharp they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from engine.encoders.encoder import Encoder, Role
from engine.retrieval.maxsim import maxsim_blocks
from engine.retrieval.tokens import TokenStore
from engine.training.distillation.batches import Example
from engine.training.distillation.languages import LanguageSpaces
from engine.training.distillation.passages import FirstPassages
from engine.training.distillation.teacher_vectors import TeacherVectors
from engine.transport import Plan, TokenTransport

#: Most English sentences that are searched: a search of millions would take longer than the training.
SEARCHED = 1500


def searched_rows(in_training: int, total: int) -> list[int]:
    """Return the rows of the English sentences that are searched.

    Parameters
    ----------
    in_training, total : int
        Number of sentences of training pairs, which come first, and of all pairs.

    Returns
    -------
    list of int
        All held-out sentences, and evenly spaced sentences of training pairs so that there are `SEARCHED`.
    """
    others = min(in_training, max(0, SEARCHED - (total - in_training)))
    spaced = np.linspace(0, in_training, others, endpoint=False).astype(np.int64).tolist()
    return [*spaced, *range(in_training, total)]


@dataclass(frozen=True)
class HeldOut:
    """Held-out queries by language, which the student encodes in the role `role`.

    They search the sentences `rows`. With `passages`, the passages that the teacher ranks first are searched
    too. With `spaces`, the components of languages are removed from the student's vectors.
    """

    examples: Mapping[str, Sequence[Example]]
    vectors: TeacherVectors
    rows: Sequence[int]
    transport: TokenTransport
    precision: torch.dtype
    role: Role = "query"
    plans: int = 16
    passages: FirstPassages | None = None
    spaces: LanguageSpaces | None = None

    def __bool__(self) -> bool:
        """Return whether there are held-out queries."""
        return any(self.examples.values())

    @cached_property
    def documents(self) -> TokenStore:
        """The teacher's token vectors of the sentences that are searched."""
        return self.vectors.of(self.rows).store

    @cached_property
    def _places(self) -> dict[int, int]:
        return {row: place for place, row in enumerate(self.rows)}

    def measure(self, student: Encoder) -> dict[str, float]:
        """Return the mean reciprocal ranks per language and over languages, and the plans' sharpness.

        The rank counts every sentence that scores at least as high as the right one, so that ties never
        improve it.
        """
        figures: dict[str, float] = {}
        found: dict[str, float] = {}
        entropies, matches = [], []
        for language, examples in self.examples.items():
            reciprocal, of_passages = [], list[float]()
            texts = [example.text for example in examples]
            for rows, encoded in student.encode(texts, self.role, batch_size=32, precision=self.precision):
                if self.spaces is not None:
                    encoded = self.spaces.of_batch(encoded, [examples[row].language for row in rows])
                targets = [examples[row].target for row in rows]
                right = torch.tensor([self._places[target] for target in targets])
                if self.passages is not None:
                    store = TokenStore.from_padded(encoded.tokens.cpu(), encoded.mask.cpu())
                    of_passages += self.passages.reciprocal_ranks(store, encoded.sentences.cpu(), targets)
                done = 0
                for block in maxsim_blocks(encoded.tokens.cpu(), encoded.mask.cpu(), self.documents):
                    own = block.gather(1, right[done : done + len(block), None])
                    reciprocal += (1.0 / (block >= own).sum(1)).tolist()
                    done += len(block)
            figures[f"held_out_rr_{language}"] = sum(reciprocal) / len(reciprocal)
            if of_passages:
                found[f"held_out_passages_{language}"] = sum(of_passages) / len(of_passages)
            plan = self.plan(student, examples[: self.plans])
            entropies.append(float(plan.row_entropy().sum(1).div((plan.source_marginal > 0).sum(1)).mean()))
            matches.append(float(plan.effective_matches().mean()))
        count = len(self.examples)
        figures["held_out_rr"] = sum(figures.values()) / count
        if found:
            figures |= found | {"held_out_passages": sum(found.values()) / count}
        figures["plan_entropy"] = sum(entropies) / count
        figures["plan_effective_matches"] = sum(matches) / count
        return figures

    @torch.inference_mode()
    def plan(self, student: Encoder, examples: Sequence[Example]) -> Plan:
        """Return the transport plans of `examples` between the student's and the teacher's tokens."""
        student.eval()
        tokens = student.tokenize([e.text for e in examples], self.role)
        encoded = student(tokens, self.role, attention=self.transport.config.needs("attention"))
        if self.spaces is not None:
            encoded = self.spaces.of_batch(encoded, [e.language for e in examples])
        targets = self.vectors.targets([e.target for e in examples], torch.zeros(0)).to(student.device)
        return self.transport.plan(encoded, targets)
