"""Teacher vectors are made for what is drawn, and a run learns from them as from vectors made in advance."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.config import EncoderConfig
from engine.encoders.encoder import Encoder
from engine.errors import InputError
from engine.extensions.losses import Targets
from engine.retrieval.tokens import TokenStore
from engine.training.distillation.held_out import SEARCHED, searched_rows
from engine.training.distillation.teacher_vectors import TeacherVectors
from tests.training.conftest import Prepare, Prepared


class InAdvance:
    """The targets of all sentences, encoded in one go and in memory."""

    def __init__(self, made: TeacherVectors) -> None:
        self.stores: dict[int, Any] = {}
        attention = made._attention
        for rows, encoded in made.teacher.encode(made.texts, made.role, attention=attention):
            for place, row in enumerate(rows):
                mask = encoded.mask[place]
                self.stores[row] = (
                    encoded.tokens[place][mask],
                    encoded.norms[place][mask],
                    encoded.ids[place][mask],
                    encoded.sentences[place],
                    encoded.attention[place][mask] if encoded.attention is not None else None,
                )

    def targets(self, rows: list[int], excluded: Tensor) -> Targets:
        found = [self.stores[row] for row in rows]
        longest = max(len(tokens) for tokens, *_ in found)

        def padded(parts: list[Tensor]) -> Tensor:
            whole = parts[0].new_zeros(len(parts), longest, *parts[0].shape[1:])
            for row, part in enumerate(parts):
                whole[row, : len(part)] = part
            return whole

        lengths = torch.tensor([len(tokens) for tokens, *_ in found])
        return Targets(
            padded([item[0] for item in found]),
            torch.arange(longest) < lengths[:, None],
            torch.stack([item[3] for item in found]),
            padded([item[1] for item in found]),
            padded([item[2] for item in found]),
            excluded,
            padded([item[4] for item in found]) if found[0][4] is not None else None,
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"training": {"anchor": 0.2, "dropout": 0.1}, "loss": {"negatives": 8, "negatives_from": "random"}},
        {"loss": {"negatives": 8}},
        {"loss": {"transport": 1.0, "pooled_mse": 1.0}, "transport": {"marginals": "attention"}},
    ],
    ids=["random negatives", "hard negatives", "attention"],
)
def test_losses_are_those_of_vectors_made_in_advance(
    prepare: Prepare, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "cache"))  # nothing is encoded yet

    def losses(distillation: Prepared) -> list[float]:
        batches = islice(distillation.batches(), 20)
        return [distillation.step(step, batch)["loss"] for step, batch in enumerate(batches, 1)]

    lazily = losses(prepare("sw", "mr", **changes))
    other = prepare("sw", "mr", **changes)
    other.vectors.targets = InAdvance(other.vectors).targets
    assert lazily == pytest.approx(losses(other), abs=1e-5)


def counting(monkeypatch: pytest.MonkeyPatch, encoder: Encoder) -> list[str]:
    encoded: list[str] = []
    encode = encoder.encode

    def counted(texts: Any, *rest: Any, **more: Any) -> Any:
        encoded.extend(texts)
        return encode(texts, *rest, **more)

    monkeypatch.setattr(encoder, "encode", counted)
    return encoded


def test_only_what_is_drawn_is_encoded_and_only_once(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("engine.training.distillation.held_out.SEARCHED", 25)
    settings: dict[str, Any] = {"training": {"batch_size": 2, "steps": 16, "held_out": 20}}
    distillation = prepare("sw", **settings)
    assert len(distillation.held_out.rows) == 25
    before = len(distillation.vectors.missing(range(120)))
    assert before == 120 - 25
    encoded = counting(monkeypatch, distillation.teacher)
    batches = list(islice(distillation.batches(), 16))
    drawn = {distillation.bitext.english[example.target] for batch in batches for example in batch}
    for step, batch in enumerate(batches, 1):
        distillation.step(step, batch)
    assert len(encoded) == len(set(encoded)) and set(encoded) <= drawn
    again = prepare("sw", **settings)
    encoded = counting(monkeypatch, again.teacher)
    for step, batch in enumerate(islice(again.batches(), 16), 1):
        again.step(step, batch)
    assert encoded == []


def vectors(tiny: Any, tmp_path: Path, texts: list[str], **changes: Any) -> TeacherVectors:
    encoder = Encoder.load(EncoderConfig(**tiny.encoder(centring=False)))
    return TeacherVectors(
        encoder, texts, "query", **{"precision": torch.float32, "cache": tmp_path, **changes}
    )


def test_vectors_in_bf16_are_kept_in_half_precision(tiny: Any, tmp_path: Path) -> None:
    texts = ["river stone cloud", "horse bread", "winter garden letter window"]
    whole = vectors(tiny, tmp_path, texts).of([2, 0, 0])
    half = vectors(tiny, tmp_path, texts, precision=torch.bfloat16).of([2, 0, 0])
    assert whole.store.vectors.dtype == torch.float32 and half.store.vectors.dtype == torch.float16
    assert torch.equal(whole.store.lengths, half.store.lengths)
    torch.testing.assert_close(half.store.vectors.float(), whole.store.vectors, atol=0.05, rtol=0)
    (tokens,) = vectors(tiny, tmp_path, texts).teacher.tokenize(texts[:1], "query")
    assert whole.ids[whole.store.offsets[1] : whole.store.offsets[2]].tolist() == [
        piece for piece, counted in zip(tokens.ids, tokens.counted, strict=True) if counted
    ]
    assert isinstance(whole.store, TokenStore)


def test_a_teacher_without_attention_weights_is_refused(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = vectors(tiny, tmp_path, ["river stone"], attention=True)
    monkeypatch.setattr("engine.encoders.encoder._received", lambda *_: None)
    with pytest.raises(InputError, match="gives no attention weights"):
        made.of([0])


def test_held_out_sentences_are_searched_among_a_bounded_number() -> None:
    assert searched_rows(100, 120) == list(range(120))
    rows = searched_rows(1_000_000, 1_000_060)
    assert len(rows) == len(set(rows)) == SEARCHED and rows == sorted(rows)
    assert rows[-60:] == list(range(1_000_000, 1_000_060)) and max(rows[:-60]) > 990_000
    assert searched_rows(5, 5_000)[-4_995:] == list(range(5, 5_000))
    assert searched_rows(100, 100) == list(range(100))
