"""Does transport add to contrast? Variants judged on unseen stretches of TICO-19 against the large pool.

    OPTICAL_DATA=../shared/data python benchmarks/blocks.py contrast "+ .1 transport@120@1"

A stricter judge than `explore.py`'s: three stretches of 100 neighbouring segments are set aside (and 15 to
either side left out), so that no document is learnt from and asked about, and the 300 English sentences are
sought in the pool of 72,304. Only the hundred best documents of zero-shot and of one contrast student are
scored for each query, which decides ranks to about .001 of the mean. ``NAME[@STEPS[@SEED]]``; without names
all variants run. States below the trained layers are computed once and kept in bf16. Evaluation segments of
TICO-19 (0 to 970) take no part.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import recipe
import torch
from torch import Tensor

from engine.bitext.pairs import SentencePair
from engine.bitext.split import sentence_key
from engine.collections.loading import load_collections
from engine.config import DistilConfig, parse_config, preset_settings
from engine.encoders.encoder import Encoded, Encoder, Role, Tokens
from engine.paths import cache_home
from engine.results.spool import RunFolder
from engine.retrieval.maxsim import find_maxsim, maxsim_scores
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import token_vectors
from engine.training import distil
from engine.training.losses import Batch, build
from engine.training.losses.contrast import info_nce
from engine.training.losses.masses import Masses
from engine.training.losses.problem import COSTS, solve
from engine.training.optimiser import make_optimiser
from engine.training.pairs import Pairs

BLOCKS, MARGIN = ((130, 230), (800, 900), (1500, 1600)), 15
BEST = 100
EXACT = {"solver": "exact"}
#: Variant to the weight of transport, its settings, and how it is used.
VARIANTS: dict[str, tuple[float, dict[str, Any], str]] = {
    "contrast": (0.0, {}, "sum"),
    "+ .1 transport": (0.1, {}, "sum"),
    "+ 1 transport": (1.0, {}, "sum"),
    "+ .1 transport, exact plan": (0.1, EXACT, "sum"),
    "+ .3 transport, exact plan": (0.3, EXACT, "sum"),
    "+ .3 transport, exact plan, idf": (0.3, {**EXACT, "marginals": "idf"}, "sum"),
    "+ 1 transport, pairs by how hard they are": (1.0, {}, "hard"),
    "+ .03 contrast of tokens along the plan": (0.03, {}, "tokens"),
    "+ .1 contrast of tokens along the plan": (0.1, {}, "tokens"),
    "+ .1 contrast of tokens along an exact plan": (0.1, EXACT, "tokens"),
}


def set_aside(pairs: list[SentencePair], _: int) -> Pairs:
    """Split off the stretches, with their pairs in every language."""
    order = [pair.target for pair in pairs if pair.source_language == "sw"]
    asked = {sentence_key(text) for low, high in BLOCKS for text in order[low:high]}
    near = {sentence_key(text) for low, high in BLOCKS for text in order[low - MARGIN : high + MARGIN]}
    return Pairs(
        [pair for pair in pairs if sentence_key(pair.target) not in near],
        [pair for pair in pairs if sentence_key(pair.target) in asked],
    )


def settings(steps: int, seed: int, weight: float = 0.0, **transport: Any) -> DistilConfig:
    """Return the contrast preset on TICO-19's training part, with transport added to it."""
    given = preset_settings("contrast")
    given["training"] |= {"steps": steps, "evaluate_every": steps}
    given["loss"] |= {"transport": weight}
    given["transport"] = {"epsilon": 0.1, "iterations": 100, **transport}
    config = parse_config({**given, "name": "blocks", "seed": seed, "bitext": recipe.sources(971, 3071)})
    assert isinstance(config, DistilConfig)
    return config


class _Given(torch.nn.Module):
    states: Tensor

    def forward(self, *_: Any, **__: Any) -> Tensor:
        return self.states


def keep_frozen_states(student: Encoder, texts: list[Tokens], frozen: int) -> None:
    """Compute the states below the trained layers once, and let the student begin from them."""
    model = student.model
    layers, given = model.encoder.layer, _Given()
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


class Guided:
    """Contrast, with transport weighed by how hard a pair is, or as alignment of a contrast of tokens."""

    def __init__(self, config: DistilConfig, masses: Masses, way: str, temperature: float = 0.1) -> None:
        self.config, self.masses, self.way, self.temperature = config, masses, way, temperature

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        loss, transport, targets = self.config.loss, self.config.transport, batch.targets
        size = len(batch.tokens)
        scores = maxsim_scores(batch.tokens, batch.mask, targets.tokens, targets.mask)
        contrast, _ = info_nce(scores, targets.excluded, loss.temperature)
        own_targets = targets.first(size)
        cost = COSTS[transport.cost](batch.tokens, own_targets.tokens)
        plan = solve(transport, cost, self.masses(batch), self.masses(own_targets))
        if self.way == "hard":
            logits = scores.masked_fill(targets.excluded, -torch.inf) / loss.temperature
            hard = 1 - logits.softmax(1).diagonal().detach()
            return contrast + loss.transport * (hard * plan.value).mean(), {}
        own = torch.arange(size)[:, None].expand_as(batch.mask)[batch.mask]
        width = targets.tokens.shape[1]
        documents = torch.arange(len(targets.tokens)).repeat_interleave(width)
        products = batch.tokens[batch.mask] @ targets.tokens.flatten(0, 1).T / self.temperature
        left_out = targets.excluded[own][:, documents] | ~targets.mask.flatten()
        logs = products.masked_fill(left_out, -torch.inf).log_softmax(1)
        mass = plan.plan[batch.mask]
        met = logs.gather(1, own[:, None] * width + torch.arange(width))
        return contrast - loss.transport * (mass * met).where(mass > 0, 0.0).sum() / size, {}


class Judge:
    """The large pool, and for each held-out query the documents that compete."""

    def __init__(self, run: distil.Distillation) -> None:
        evaluated = recipe.settings_of("contrast", 0, ("tico-19-large",))
        (pool,) = load_collections(evaluated.collections[0], 0)[:1]
        texts = [document.text for document in pool.documents]
        place = {sentence_key(text): row for row, text in enumerate(texts)}
        self.queries = [(code, item) for code, items in run.held_out.examples.items() for item in items]
        self.lists = [[place[sentence_key(run.english[item.target])]] for _, item in self.queries]
        self.documents = token_vectors(
            run.teacher, texts, "passage", precision=run.precision, cache=cache_home() / "vectors"
        )

    def encode(self, student: Encoder) -> TokenStore:
        """Return the queries' vectors."""
        rows, stores = [], []
        texts = [item.text for _, item in self.queries]
        for found, encoded in student.encode(texts, "query", precision=torch.bfloat16):
            rows += found
            stores.append(TokenStore.from_padded(encoded.tokens.float(), encoded.mask))
        return TokenStore.concatenate(stores).select(torch.tensor(rows).argsort())

    def compete(self, student: Encoder) -> None:
        """Let the best documents of `student` take part."""
        nothing = torch.empty(len(self.queries), 0, dtype=torch.int64)
        found = find_maxsim(self.encode(student), self.documents, BEST, nothing)
        for known, best in zip(self.lists, found.indices.tolist(), strict=True):
            known += [row for row in best if row not in known]

    def measure(self, student: Encoder) -> dict[str, float]:
        """Return mean reciprocal ranks by language, and their mean."""
        found: dict[str, list[float]] = {}
        vectors = self.encode(student)
        for row, (code, _) in enumerate(self.queries):
            documents, mask = self.documents.select(torch.tensor(self.lists[row])).padded()
            query = vectors[row][None]
            scores = maxsim_scores(query, torch.ones(query.shape[:2]), documents.float(), mask)[0]
            found.setdefault(code, []).append(1 / float((scores >= scores[0]).sum()))
        means = {code: fmean(values) for code, values in found.items()}
        return {**means, "mean": fmean(means.values())}


def main() -> None:
    """Run the variants named and print mean reciprocal ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    chosen = [name.split("@") for name in parser.parse_args().variants or VARIANTS]
    if unknown := {name for name, *_ in chosen} - set(VARIANTS):
        parser.error(f"no variant {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
    distil.set_aside = set_aside  # type: ignore[assignment]
    base = settings(120, 0)
    run = distil.Distillation(base, RunFolder.create(Path(tempfile.mkdtemp()), base, sys.argv))
    texts = [text for known in run.tokens.values() for text in known.values()]
    keep_frozen_states(run.student, texts, base.training.frozen_layers)
    origin = {name: weight.clone() for name, weight in run._weights().items()}
    judge = Judge(run)

    def train(name: str, steps: int, seed: int) -> None:
        weight, transport, way = VARIANTS[name]
        run.config = settings(steps, seed, weight, **transport)
        for parameter, weights in run._weights().items():
            weights.copy_(origin[parameter])
        run.generator, run.optimiser = (
            np.random.default_rng(seed),
            make_optimiser(run.student, run.config.training),
        )
        masses = Masses(run.config.transport, run._frequencies(), run.student.mass_head)
        summed = build(run.config.loss, masses)
        run.loss = summed if way == "sum" else Guided(run.config, masses, way)  # type: ignore[assignment]
        examples = distil.draw_batches(
            run.examples, batch_size=run.config.training.batch_size, alpha=1.0, anchor=0.0, seed=seed
        )
        for step in range(1, steps + 1):
            run._step(step, next(examples))

    judge.compete(run.student)
    train("contrast", 120, 0)
    judge.compete(run.student)
    for parameter, weights in run._weights().items():
        weights.copy_(origin[parameter])
    report("zero-shot", judge.measure(run.student), 0.0)
    for name, *numbers in chosen:
        given = [*map(int, numbers)]
        steps, seed = given[0] if given else 120, given[1] if len(given) > 1 else 0
        begun = time.monotonic()
        train(name, steps, seed)
        seconds = time.monotonic() - begun
        report("@".join([name, *numbers]), judge.measure(run.student), seconds)


def report(name: str, figures: dict[str, float], seconds: float) -> None:
    """Print one line."""
    cells = "  ".join(f"{code} {value:.4f}" for code, value in figures.items())
    print(f"{name:48}  {cells}  {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
