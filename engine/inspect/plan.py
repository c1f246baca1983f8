"""Transport plans of a few held-out pairs, kept with the run so that one can look inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.config import DistilConfig, RunHeader, TransportConfig
from engine.encoders.encoder import Encoded, Encoder, Role
from engine.errors import InputError
from engine.inspect.typed_text import typed
from engine.training.distillation.distillation import Distillation
from engine.training.losses import Masses
from engine.training.losses.problem import COSTS, solve
from engine.transport import Plan
from engine.validation import validated

#: Pairs of each language whose plans are kept.
PLANS = 8


def held_out_plans(distillation: Distillation) -> list[dict[str, Any]]:
    """Return rows of the ``plans`` table for the first held-out pairs of every language."""
    rows = []
    student = distillation.student
    for language, examples in distillation.held_out.examples.items():
        chosen = examples[:PLANS]
        plan = distillation.held_out.plan(student, chosen)
        for index, example in enumerate(chosen):
            source = distillation.tokens[distillation.held_out.role][example.text].ids
            if student.config.query_expansion:
                source = source + [student.tokenizer.mask_token_id] * (plan.plan.shape[1] - len(source))
            store = distillation.vectors
            start, stop = (int(store.store.offsets[example.target + k]) for k in (0, 1))
            rows.append(
                plan_row(
                    plan,
                    index,
                    pair=f"{language}:{example.target}",
                    language=language,
                    source_text=example.text,
                    target_text=distillation.english[example.target],
                    source_tokens=student.pieces(source),
                    target_tokens=distillation.teacher.pieces(store.ids[start:stop].tolist()),
                )
            )
    return rows


@dataclass(frozen=True)
class EncodedPair:
    """A sentence pair with the token vectors of both sides, ready to be solved with any settings.

    `head` is the student's head for learned masses, if it has one.
    """

    source: str
    target: str
    source_tokens: list[str]
    target_tokens: list[str]
    query: Encoded
    document: Encoded
    head: torch.nn.Linear | None


@torch.inference_mode()
def encode_pair(
    student: Encoder, teacher: Encoder, source: str, target: str, target_role: Role
) -> EncodedPair:
    """Encode a sentence pair.

    Raises
    ------
    InputError
        If a side has no token that counts, is too long or holds control characters.
    """
    source, target = typed(source, "the source sentence"), typed(target, "the target sentence")
    query = student(student.tokenize([source], "query"), "query", attention=True)
    document = teacher(teacher.tokenize([target], target_role), target_role, attention=True)
    for side, text in ((query, source), (document, target)):
        if not side.mask.any():
            raise InputError(f"the sentence {text!r} has no token that counts")
    source_tokens = student.pieces(query.ids[0].tolist())
    target_tokens = teacher.pieces(document.ids[0].tolist())
    return EncodedPair(source, target, source_tokens, target_tokens, query, document, student.mass_head)


@torch.inference_mode()
def solve_pair(
    pair: EncodedPair, config: TransportConfig, *, language: str, idf: Tensor | None = None
) -> dict[str, Any]:
    """Return the plan of an encoded pair as a row of the ``plans`` table.

    Raises
    ------
    InputError
        If what the masses are made from is not at hand.
    """
    if config.marginals == "idf" and idf is None:
        raise InputError(
            "transport.marginals: the run kept no document frequencies, so 'idf' cannot be used; take another"
        )
    query, document = pair.query, pair.document
    masses = Masses(config, idf, pair.head)
    plan = solve(
        config,
        COSTS[config.cost](query.tokens, document.tokens),
        masses(query),
        masses(document),
    )
    return plan_row(
        plan,
        0,
        pair="typed",
        language=language,
        source_text=pair.source,
        target_text=pair.target,
        source_tokens=pair.source_tokens,
        target_tokens=pair.target_tokens,
    )


def transport_of(run: RunHeader, changes: Mapping[str, Any]) -> tuple[TransportConfig, Role]:
    """Return the transport settings of a run with `changes`, and the role in which it encodes English.

    A run that was not distilled has the default settings. Its annealing is left out where it does not fit
    the changed settings.

    Raises
    ------
    InputError
        If `changes` are not settings of transport.
    """
    recorded = TransportConfig()
    role: Role = "passage"
    if isinstance(run, DistilConfig):
        recorded, role = run.transport, run.training.target_role
    settings = {**recorded.model_dump(), **changes}
    if "anneal_from" not in changes:
        started, epsilon = settings["anneal_from"] or 0.0, settings["epsilon"]
        fits = isinstance(epsilon, int | float) and started >= epsilon
        if settings["solver"] != "sinkhorn" or not fits:
            settings["anneal_from"] = None
    return validated(TransportConfig, settings, "transport"), role


def save_frequencies(idf: Tensor, folder: Path) -> None:
    """Keep the document frequencies that marginals were made from."""
    save_file({"idf": idf.contiguous()}, str(folder / "idf.safetensors"))


def load_frequencies(folder: Path) -> Tensor | None:
    """Return what `save_frequencies` kept, if the run had any."""
    path = folder / "idf.safetensors"
    return load_file(str(path))["idf"] if path.is_file() else None


def plan_row(
    plan: Plan,
    index: int,
    *,
    pair: str,
    language: str,
    source_text: str,
    target_text: str,
    source_tokens: list[str],
    target_tokens: list[str],
) -> dict[str, Any]:
    """Return problem `index` of `plan` as a row of the ``plans`` table, cut to the tokens that have mass.

    `source_tokens` and `target_tokens` name the plan's rows and columns; names beyond them are ignored.
    """
    rows = (plan.source_marginal[index] > 0).nonzero()[:, 0].cpu()
    columns = (plan.target_marginal[index] > 0).nonzero()[:, 0].cpu()
    entropy = plan.row_entropy()[index].cpu()[rows]
    return {
        "pair": pair,
        "source_language": language,
        "source_text": source_text,
        "target_text": target_text,
        "source_tokens": [source_tokens[i] for i in rows.tolist()],
        "target_tokens": [target_tokens[j] for j in columns.tolist()],
        "plan": plan.plan[index].cpu()[rows][:, columns].float().numpy(),
        "cost": plan.cost[index].detach().cpu()[rows][:, columns].float().numpy(),
        "solver": plan.solver,
        "epsilon": float(plan.epsilon[index]),
        "iterations": int(plan.iterations[index]),
        "marginal_error": float(plan.marginal_error[index]),
        "converged": bool(plan.converged[index]),
        "value": float(plan.value[index].detach()),
        "entropy": float(entropy.mean()),
    }
