"""Does transport improve contrast? Evaluate variants on held-out blocks of TICO-19 in the large pool.

    OPTICAL_DATA=../shared/data python benchmarks/blocks.py contrast "+ .1 transport@120@1"

This evaluation is stricter than that of `explore.py`. Three blocks of 100 neighbouring segments are held out,
and the 15 segments before and after each block are not used at all, so that no document is in both training
and evaluation. The 300 English sentences are searched in the pool of 72,304. For each query, only the hundred
best documents of the zero-shot encoder and of one contrast student are scored; this changes the mean by about
.001. Figures with a prime are for re-ranking the twenty best documents by MaxSim minus the transport cost.

A variant is ``NAME[@STEPS[@SEED]]``; ``ONE & OTHER`` is the mean of two students' weights. Without names, all
variants run. The states below the trained layers are computed once and kept in bf16. The evaluation segments
of TICO-19 (0 to 970) are not used.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import recipe
import torch
from torch import Tensor

from engine import transport
from engine.bitext.pairs import Pairs
from engine.bitext.split import sentence_key
from engine.collections.load import load_collections
from engine.config import CollectionConfig, DistilConfig, parse_config, preset_settings
from engine.encoders.encoder import Encoded, Encoder, Role, Tokens
from engine.results.run_folder import RunFolder
from engine.retrieval.maxsim import find_maxsim, maxsim_scores
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import token_vectors, vectors_folder
from engine.training.data import prepare as preparation
from engine.training.distillation.batches import draw_windows
from engine.training.distillation.task import Distillation, prepare_distillation
from engine.training.losses import Batch, build_loss
from engine.training.losses.contrast import info_nce
from engine.training.optimiser import frozen_layers, make_optimiser
from engine.training.runtime import Runtime
from engine.training.trainer import Trainer
from engine.transport import TokenTransport

BLOCKS, MARGIN = ((130, 230), (800, 900), (1500, 1600)), 15
BEST, RERANKED = 100, 20
EXACT = {"solver": "exact"}


class Variant(NamedTuple):
    """The loss weights added to contrast, the settings of the transport problem, and how the plan is used."""

    loss: dict[str, float]
    transport: Mapping[str, Any] = MappingProxyType({})
    way: str = "sum"


VARIANTS = {
    "contrast": Variant({}),
    "+ .1 transport": Variant({"transport": 0.1}),
    "+ 1 transport": Variant({"transport": 1.0}),
    "+ .1 transport, exact plan": Variant({"transport": 0.1}, EXACT),
    "+ .3 transport, exact plan": Variant({"transport": 0.3}, EXACT),
    "+ .3 transport, exact plan, idf": Variant({"transport": 0.3}, {**EXACT, "marginals": "idf"}),
    "+ 1 transport, pairs by how hard they are": Variant({"transport": 1.0}, {}, "hard"),
    "+ .03 contrast of tokens along the plan": Variant({"transport": 0.03}, {}, "tokens"),
    "+ .1 contrast of tokens along the plan": Variant({"transport": 0.1}, {}, "tokens"),
    "+ .1 contrast of tokens along an exact plan": Variant({"transport": 0.1}, EXACT, "tokens"),
    "transport first": Variant({"transport": 1.0}, {}, "first"),
    "transport alone": Variant({"transport": 1.0, "maxsim_contrast": 0.0}),
    "contrast of transport": Variant({"transport_contrast": 1.0, "maxsim_contrast": 0.0}),
    "half contrast of transport": Variant({"transport_contrast": 0.5, "maxsim_contrast": 0.5}),
    "half contrast of transport, hardest 15": Variant(
        {"transport_contrast": 0.5, "maxsim_contrast": 0.5, "hardest": 15}
    ),
    "contrast of transport, hardest 15": Variant(
        {"transport_contrast": 1.0, "maxsim_contrast": 0.0, "hardest": 15}
    ),
    "contrast of transport from queries alone, .01": Variant({}, {"epsilon": 0.01}, "relaxed"),
    "contrast of transport from queries alone, .03": Variant({}, {"epsilon": 0.03}, "relaxed"),
    "contrast of transport from queries alone, .1": Variant({}, {"epsilon": 0.1}, "relaxed"),
    "contrast of both sides' MaxSim": Variant({}, {}, "both"),
}


def hold_out_blocks(pairs: Pairs, _: int) -> tuple[Pairs, Pairs]:
    """Return the training pairs and the pairs of the held-out blocks, in every language."""
    order = [pair.target for pair in pairs if pair.source_language == "sw"]
    asked = {sentence_key(text) for low, high in BLOCKS for text in order[low:high]}
    near = {sentence_key(text) for low, high in BLOCKS for text in order[low - MARGIN : high + MARGIN]}
    keys = [sentence_key(text) for text in pairs.texts("target")]
    return (
        pairs.select(np.array([key not in near for key in keys])),
        pairs.select(np.array([key in asked for key in keys])),
    )


def settings(steps: int, seed: int, variant: Variant) -> DistilConfig:
    """Return the contrast preset on TICO-19's training part, with the changes of `variant`."""
    given = preset_settings("contrast")
    # the texts of all variants are encoded, not only those that the first one draws
    given["training"] |= {"steps": steps, "evaluate_every": steps, "trim_vocabulary": False}
    given["loss"] |= variant.loss
    given["transport"] = {"epsilon": 0.1, "iterations": 100, **variant.transport}
    config = parse_config({**given, "name": "blocks", "seed": seed, "bitext": recipe.sources(971, 3071)})
    assert isinstance(config, DistilConfig)
    return config


class _StoredStates(torch.nn.Module):
    states: Tensor

    def forward(self, *_: Any, **__: Any) -> Tensor:
        return self.states


def keep_frozen_states(student: Encoder, texts: list[Tokens], frozen: int) -> None:
    """Compute the states below the trained layers once, and make the student start from them."""
    model = student.model
    layers, given = model.encoder.layer, _StoredStates()
    model.encoder.layer = layers[:frozen]
    known: dict[tuple[int, ...], Tensor] = {}
    texts = sorted(texts, key=lambda text: len(text.ids))
    for start in range(0, len(texts), 64):
        batch = texts[start : start + 64]
        ids, attend, _ = student.pad(batch, "query")
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            states = student.states(ids, attend)
        for text, state in zip(batch, states, strict=True):
            known[tuple(text.ids)] = state[: len(text.ids)].bfloat16().clone()
    model.encoder.layer, model.embeddings = layers[frozen:], given
    whole = student.forward

    def forward(batch: list[Tokens], role: Role, **options: Any) -> Encoded:
        length = -(-max(len(text.ids) for text in batch) // 8) * 8
        given.states = torch.zeros(len(batch), length, student.width)
        for row, text in enumerate(batch):
            given.states[row, : len(text.ids)] = known[tuple(text.ids)].float()
        return whole(batch, role, **options)

    student.forward = forward  # type: ignore[method-assign, assignment]


class GuidedContrast:
    """Contrast guided by transport: transport first, weights by difficulty, or the plan as alignment."""

    def __init__(
        self, config: DistilConfig, transport: TokenTransport, way: str, temperature: float = 0.1
    ) -> None:
        self.config, self.transport, self.way, self.temperature = config, transport, way, temperature
        self.done = 0

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        loss, transport, targets = self.config.loss, self.config.transport, batch.targets
        size = len(batch.tokens)
        if self.way in ("relaxed", "both"):
            similarity = torch.einsum("bqh,ndh->bnqd", batch.tokens, targets.tokens)
            similarity = similarity.masked_fill(~targets.mask[None, :, None], -torch.inf)
            if self.way == "relaxed":  # entropic transport with only the query's marginal
                best = transport.epsilon * (similarity / transport.epsilon).logsumexp(3)
            else:
                best = similarity.amax(3)
            mine = batch.mask[:, None].float()
            scores = (best * mine).sum(2) / mine.sum(2)
            if self.way == "both":
                others = similarity.masked_fill(~batch.mask[:, None, :, None], -torch.inf).amax(2)
                theirs = targets.mask[None].float()
                scores = (scores + (others.where(targets.mask[None], 0) * theirs).sum(2) / theirs.sum(2)) / 2
            return info_nce(scores, targets.excluded, loss.temperature)[0], {}
        scores = maxsim_scores(batch.tokens, batch.mask, targets.tokens, targets.mask)
        contrast, _ = info_nce(scores, targets.excluded, loss.temperature)
        own_targets = targets.first(size)
        plan = self.transport.plan(batch, own_targets)
        if self.way == "first":
            # the weight moves from transport to contrast over the first half of the steps
            self.done += 1
            share = max(0.0, 1 - 2 * self.done / self.config.training.steps)
            return (1 - share) * contrast + loss.weight("transport") * share * plan.value.mean(), {}
        if self.way == "hard":
            logits = scores.masked_fill(targets.excluded, -torch.inf) / loss.temperature
            hard = 1 - logits.softmax(1).diagonal().detach()
            return contrast + loss.weight("transport") * (hard * plan.value).mean(), {}
        own = torch.arange(size)[:, None].expand_as(batch.mask)[batch.mask]
        width = targets.tokens.shape[1]
        documents = torch.arange(len(targets.tokens)).repeat_interleave(width)
        products = batch.tokens[batch.mask] @ targets.tokens.flatten(0, 1).T / self.temperature
        left_out = targets.excluded[own][:, documents] | ~targets.mask.flatten()
        logs = products.masked_fill(left_out, -torch.inf).log_softmax(1)
        mass = plan.plan[batch.mask]
        met = logs.gather(1, own[:, None] * width + torch.arange(width))
        return contrast - loss.weight("transport") * (mass * met).where(mass > 0, 0.0).sum() / size, {}


class PoolEvaluation:
    """The large pool, and for each held-out query the documents that are scored."""

    def __init__(self, run: Distillation) -> None:
        settings = CollectionConfig.model_validate(recipe.pool_of("tico-19-large"))
        pool = load_collections(settings, 0)[0]
        texts = [document.text for document in pool.documents]
        place = {sentence_key(text): row for row, text in enumerate(texts)}
        self.queries = [(code, item) for code, items in run.held_out.examples.items() for item in items]
        self.lists = [[place[sentence_key(run.bitext.english[item.target])]] for _, item in self.queries]
        self.documents = token_vectors(
            run.teacher, texts, "passage", precision=run.runtime.precision, cache=vectors_folder()
        )

    def encode(self, student: Encoder) -> TokenStore:
        """Return the token vectors of the queries."""
        rows, stores = [], []
        texts = [item.text for _, item in self.queries]
        for found, encoded in student.encode(texts, "query", precision=torch.bfloat16):
            rows += found
            stores.append(TokenStore.from_padded(encoded.tokens.float(), encoded.mask))
        return TokenStore.concatenate(stores).select(torch.tensor(rows).argsort())

    def add_candidates(self, student: Encoder) -> None:
        """Add the best documents of `student` to those that are scored."""
        nothing = torch.empty(len(self.queries), 0, dtype=torch.int64)
        found = find_maxsim(self.encode(student), self.documents, BEST, nothing)
        for known, best in zip(self.lists, found.indices.tolist(), strict=True):
            known += [row for row in best if row not in known]

    def measure(self, student: Encoder) -> dict[str, float]:
        """Return mean reciprocal ranks by language and their mean; with a prime, those after re-ranking."""
        found: dict[str, list[float]] = {}
        vectors = self.encode(student)
        for row, (code, _) in enumerate(self.queries):
            documents, mask = self.documents.select(torch.tensor(self.lists[row])).padded()
            query = vectors[row][None]
            scores = maxsim_scores(query, torch.ones(query.shape[:2]), documents.float(), mask)[0]
            found.setdefault(code, []).append(1 / float((scores >= scores[0]).sum()))
            best = scores.topk(RERANKED).indices
            cost = 1 - query @ documents[best].float().mT
            sides = torch.ones(RERANKED, query.shape[1], dtype=torch.bool), mask[best]
            masses = [transport.uniform_marginal(side) for side in sides]
            plan = transport.solve(cost, *masses, epsilon=0.1, epsilon_scale="spread", iterations=50)
            scores[best] = 10 + scores[best] - plan.value
            found.setdefault(f"{code}'", []).append(1 / float((scores >= scores[0]).sum()))
        means = {code: fmean(values) for code, values in found.items()}
        codes = [code for code in means if not code.endswith("'")]
        return {
            **means,
            "mean": fmean(means[code] for code in codes),
            "mean'": fmean(means[f"{code}'"] for code in codes),
        }


def main() -> None:
    """Run the named variants and print mean reciprocal ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    given = parser.parse_args().variants or list(VARIANTS)
    if unknown := {part.split("@")[0] for name in given for part in name.split(" & ")} - set(VARIANTS):
        parser.error(f"unknown variant {', '.join(sorted(unknown))}; known are {', '.join(VARIANTS)}")
    preparation.set_aside = hold_out_blocks
    base = settings(120, 0, VARIANTS["contrast"])
    folder = RunFolder.create(Path(tempfile.mkdtemp()), base, sys.argv)
    run = prepare_distillation(base, Runtime.start(base.seed, base.training))
    learnt = {
        name: weight.detach() for name, weight in run.student.named_parameters() if weight.requires_grad
    }
    sources = [*run.bitext.training.texts("source"), *run.bitext.held_out.texts("source")]
    texts = list(run.tokens.each(list(dict.fromkeys(sources)), "query"))
    depth = len(run.student.model.encoder.layer)
    keep_frozen_states(run.student, texts, frozen_layers(base.training.frozen_layers, depth))
    origin = {name: weight.clone() for name, weight in learnt.items()}
    evaluation = PoolEvaluation(run)

    def set_weights(weights: dict[str, Tensor]) -> None:
        for name, live in learnt.items():
            live.copy_(weights[name])

    def train(name: str, steps: int, seed: int) -> None:
        run.config = settings(steps, seed, VARIANTS[name])
        way = VARIANTS[name].way
        set_weights(origin)
        trainer = Trainer(run.config.training, replace(run.runtime, seed=seed), folder)
        run.optimiser = make_optimiser(run.student, run.config.training)
        problem = TokenTransport(run.config.transport, run._frequencies(), run.student.mass_head)
        summed = build_loss(run.config.loss, problem)
        run.weighted_loss = summed if way == "sum" else GuidedContrast(run.config, problem, way)  # type: ignore[assignment]
        windows = draw_windows(
            run.sizes,
            run._examples,
            batch_size=run.config.training.batch_size,
            alpha=1.0,
            anchor=0.0,
            seed=seed,
        )
        examples = (batch for window in windows for batch in window)
        for step in range(1, steps + 1):
            trainer.train_step(run, step, next(examples))

    evaluation.add_candidates(run.student)
    train("contrast", 120, 0)
    evaluation.add_candidates(run.student)
    set_weights(origin)
    report("zero-shot", evaluation.measure(run.student), 0.0)
    students: dict[str, dict[str, Tensor]] = {}
    for wanted in given:
        parts = wanted.split(" & ")
        begun = time.monotonic()
        for part in (part for part in parts if part not in students):
            name, steps, seed = (*part.split("@"), *("120", "0")[part.count("@") :])
            train(name, int(steps), int(seed))
            students[part] = {name: weight.clone() for name, weight in learnt.items()}
        set_weights({name: sum(students[part][name] for part in parts) / len(parts) for name in origin})
        report(wanted, evaluation.measure(run.student), time.monotonic() - begun)


def report(name: str, figures: dict[str, float], seconds: float) -> None:
    """Print the figures of one variant."""
    cells = "  ".join(f"{code} {value:.4f}" for code, value in figures.items())
    print(f"{name:48}  {cells}  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
