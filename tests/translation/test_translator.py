"""Translators compared with greedy decoding, and their cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config import TranslationConfig
from engine.errors import InputError
from engine.translation.cache import append_translations, read_translations
from engine.translation.translator import Translator

TEXTS = ["revir enots", "daerb", "esroh duolc retniw nedrag"]
#: What each family's first input token is in Swahili, and its first output token for English.
FAMILIES = {"marian": (None, None), "m2m": ("__sw__", "__en__"), "nllb": ("swh_Latn", "eng_Latn")}


def greedy(folder: Path, text: str, family: str, steps: int) -> list[int]:
    """Decode greedily, token by token, without `generate`."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    source, target = FAMILIES[family]
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    first = [] if source is None else [tokenizer.convert_tokens_to_ids(source)]
    encoder_input = torch.tensor([[*first, *ids, tokenizer.eos_token_id]])
    decoded = [model.config.decoder_start_token_id]
    if target is not None:
        decoded.append(tokenizer.convert_tokens_to_ids(target))
    with torch.inference_mode():
        while len(decoded) <= steps:
            logits = model(input_ids=encoder_input, decoder_input_ids=torch.tensor([decoded])).logits[0, -1]
            if family == "marian":
                logits[
                    1
                ] = -torch.inf  # Marian never generates its padding token, with which its decoder starts
                if len(decoded) == steps:
                    logits[torch.arange(len(logits)) != 2] = -torch.inf  # and its last token is the end token
            decoded.append(int(logits.argmax()))
            if decoded[-1] == tokenizer.eos_token_id:
                break
    return decoded


@pytest.mark.parametrize("family", list(FAMILIES))
def test_translations_equal_those_of_greedy_decoding(family: str, request: pytest.FixtureRequest) -> None:
    from transformers import AutoTokenizer

    folder = request.getfixturevalue(family)
    config = TranslationConfig(checkpoint=str(folder), beams=1, max_length=40)
    found = Translator(config).translate(TEXTS, "sw")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [greedy(folder, text, family, 40) for text in TEXTS]
    assert found == [tokenizer.decode(one, skip_special_tokens=True).strip() for one in ids]
    assert any(found)  # empty translations would be equal too
    if family != "marian":
        assert Translator(config).translate(TEXTS, "so") != found  # the language is passed on


def test_marian_gets_a_prefix_for_the_target_language(marian_of_many: Path) -> None:
    known = {
        target: Translator(
            TranslationConfig(checkpoint=str(marian_of_many), beams=1, max_length=12, target_language=target)
        )
        for target in ("en", "fr")
    }
    assert known["en"]._marian == ">>eng<< " and known["fr"]._marian == ">>fra<< "
    (ids,) = known["fr"].tokenizer([known["fr"]._marian + "daerb"])["input_ids"]
    assert known["fr"].tokenizer.convert_ids_to_tokens(ids)[0] == ">>fra<<"
    with pytest.raises(InputError, match=r"does not support German \(de\)"):
        Translator(TranslationConfig(checkpoint=str(marian_of_many), target_language="de"))


def test_languages_are_found_in_any_spelling_and_unsupported_ones_are_refused(nllb: Path, m2m: Path) -> None:
    from engine.translation.codes import code_of

    translators = {folder: Translator(TranslationConfig(checkpoint=str(folder))) for folder in (nllb, m2m)}
    expected = {
        nllb: {"sw": "swh_Latn", "zh": "zho_Hans", "ar": "arb_Arab", "fa": "pes_Arab", "tl": "tgl_Latn"},
        m2m: {"sw": "sw", "zh": "zh", "ar": "ar", "fa": "fa", "tl": "tl"},
    }
    for folder, spellings in expected.items():
        codes = translators[folder]._codes
        assert {code: code_of(code, codes, "x") for code in spellings} == spellings
    with pytest.raises(InputError, match=r"does not support Upper Sorbian \(hsb\)"):
        translators[m2m].translate(["daerb"], "hsb")


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ("zh_Hant", "zho_Hant"), ("zh-TW", "zho_Hant"), ("zh-Hans", "zho_Hans"), ("zh", "zho_Hans"),
        ("pt-BR", "pt_XX"), ("knc_Arab", "knc_Arab"), ("en-GB", "eng_Latn"), ("sr-Cyrl", "srp_Cyrl"),
    ],
)  # fmt: skip
def test_the_requested_script_decides_the_code(wanted: str, code: str) -> None:
    from engine.translation.codes import code_of

    codes = ["eng_Latn", "knc_Latn", "knc_Arab", "pt_XX", "srp_Cyrl", "zho_Hans", "zho_Hant"]
    assert code_of(wanted, codes, "x") == code
    with pytest.raises(InputError, match=r"does not support Serbian as 'sr-Latn'; it has srp_Cyrl$"):
        code_of("sr-Latn", codes, "x")


def test_texts_in_the_target_language_are_not_changed(m2m: Path) -> None:
    translator = Translator(TranslationConfig(checkpoint=str(m2m), max_length=8))
    assert translator.translate(TEXTS, "eng") == TEXTS


def test_cached_translations_are_not_computed_again(
    marian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TranslationConfig(checkpoint=str(marian), beams=2, max_length=8, batch_size=2)
    first = Translator(config, cache=tmp_path).translate([*TEXTS, TEXTS[0]], "sw")
    again = Translator(config, cache=tmp_path)
    asked: list[str] = []
    generate = again.model.generate

    def watched(**inputs: Any) -> Any:
        asked.extend(again.tokenizer.batch_decode(inputs["input_ids"], skip_special_tokens=True))
        return generate(**inputs)

    monkeypatch.setattr(again.model, "generate", watched)
    assert again.translate([*TEXTS, TEXTS[0]], "sw") == first and not asked
    again.translate([TEXTS[0], "rettel"], "sw")
    assert asked == ["rettel"]
    again.translate([TEXTS[0]], "so")  # another language has its own cache
    assert len(asked) == 2
    other = Translator(config.model_copy(update={"beams": 3}), cache=tmp_path)
    assert other._key != again._key
    with torch.no_grad():
        again.model.model.decoder.layers[0].fc1.bias.add_(1.0)
    from engine.translation.translator import _fingerprint

    assert _fingerprint(again.model, again.tokenizer, config) != again._key


def test_a_line_that_a_crash_damaged_is_skipped_and_later_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "some.jsonl"
    append_translations(path, {"maji": "water", "moto": 'fire "hot"\n'})
    whole = path.read_bytes()
    for cut in range(1, len(whole) - whole.index(b"\n")):
        path.write_bytes(whole[:-cut])
        append_translations(path, {"mkate": "bread"})
        found = read_translations(path)
        assert found["mkate"] == "bread"
        assert all({"maji": "water", "moto": 'fire "hot"\n'}.get(k, "bread") == v for k, v in found.items())
    path.write_bytes(
        whole + b"\xff\xfe\n[1]\n" + json.dumps({"text": 1, "translation": "x"}).encode() + b"\n"
    )
    assert set(read_translations(path)) == {"maji", "moto"}


def test_translations_that_another_version_made_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some.jsonl"
    append_translations(path, {"maji": "water"})
    with monkeypatch.context() as older:
        older.setattr("engine.translation.cache.made_by", lambda schema: {"schema": schema, "torch": "1.0"})
        assert read_translations(path) == {}
        append_translations(path, {"maji": "whatever"})
        assert read_translations(path) == {"maji": "whatever"}
    assert read_translations(path) == {}
    path.write_text('{"text": "maji", "translation": "unsaid"}\n')
    append_translations(path, {"moto": "fire"})
    assert read_translations(path) == {"moto": "fire"}


def test_a_cache_that_cannot_be_written_is_ignored(marian: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = TranslationConfig(checkpoint=str(marian), beams=1, max_length=6)
    assert Translator(config, cache=tmp_path / "file").translate(TEXTS, "sw") == Translator(config).translate(
        TEXTS, "sw"
    )


def test_truncated_queries_are_counted(marian: Path) -> None:
    translator = Translator(TranslationConfig(checkpoint=str(marian), beams=1, max_length=6))
    translator.translate(["daerb", "daerb " * 20], "sw")
    assert translator.cut == 1


def test_checkpoints_that_cannot_translate_are_refused(tiny: Any, marian: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without a decoder"):
        Translator(TranslationConfig(checkpoint=str(tiny.checkpoint)))
    with pytest.raises(InputError, match="no such checkpoint folder"):
        Translator(TranslationConfig(checkpoint=str(tmp_path / "nothing")))
    (tmp_path / "config.json").write_bytes((marian / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match="such files can run code"):
        Translator(TranslationConfig(checkpoint=str(tmp_path)))
    (tmp_path / "model.safetensors").write_bytes((marian / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match="cannot be opened"):
        Translator(TranslationConfig(checkpoint=str(tmp_path)))  # no tokenizer
