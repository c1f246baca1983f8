"""Glosses of queries: what they are learnt from, when they are added, and that a student keeps them."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from engine.cli.commands import run as run_command
from engine.config import EncoderConfig, parse_config
from engine.encoders.encoder import Encoder
from engine.encoders.fingerprint import fingerprint
from engine.encoders.saving import save_encoder
from engine.errors import InputError
from engine.lexicon.glossary import FILE, FOLDS, Glossary, gloss, learn_glossary
from engine.lexicon.translations import learn
from engine.lexicon.words import plain_words
from engine.runs.elsewhere import elsewhere
from engine.runs.execute import execute
from tests.conftest import WORDS, cipher


def pairs_of(file: Path, language: str = "sw") -> list[tuple[str, str, str]]:
    rows = [line.split("\t") for line in file.read_text("utf-8").splitlines()]
    return [(language, source, target) for source, target in rows]


@pytest.fixture(autouse=True)
def rare_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ciphers have 28 words, and each occurs in a fifth of the sentences."""
    monkeypatch.setattr("engine.lexicon.glossary.COMMON", 0.5)


@pytest.fixture
def glossary(tiny: Any) -> Glossary:
    pairs = [pair for code in ("sw", "mr") for pair in pairs_of(tiny.training[code], code)]
    return learn_glossary(pairs, "en")


def test_words_of_ciphers_are_glossed_by_what_they_stand_for(glossary: Glossary) -> None:
    for code in ("sw", "mr"):
        known = glossary.glosses[code]
        right = [known.get(cipher(word, code)) == word for word in WORDS]
        assert sum(right) > 0.8 * len(WORDS)  # model 1 makes some mistakes from 120 pairs
        text = " ".join(cipher(word, code) for word in ("candle", "music", "zebra"))
        expected = [known[cipher(word, code)] for word in ("candle", "music") if cipher(word, code) in known]
        assert glossary.extend(text) == " ".join([text, *expected])


def test_the_language_of_a_query_is_found_and_english_has_no_gloss(glossary: Glossary) -> None:
    assert glossary.language_of([cipher("candle", "sw"), cipher("music", "sw")]) == "sw"
    assert glossary.language_of([cipher("candle", "mr"), cipher("music", "mr")]) == "mr"
    assert glossary.language_of(["candle", "music"]) is None
    assert glossary.language_of([]) is None
    # two thirds of the words are unknown; then three quarters are
    assert glossary.language_of([cipher("candle", "sw"), "aa", "bb"]) == "sw"
    assert glossary.language_of([cipher("candle", "sw"), "aa", "bb", "cc"]) is None
    assert glossary.extend("candle music") == "candle music"
    assert glossary.extend("unknown words") == "unknown words"


def test_a_sentence_it_learnt_from_is_glossed_without_its_own_translation(tiny: Any) -> None:
    pairs = pairs_of(tiny.training["sw"])
    found = learn_glossary(pairs, "en")
    fold = {target: zlib.crc32(target.encode()) % FOLDS for _, _, target in pairs}
    for _, source, target in pairs[:5]:
        others = [pair for pair in pairs if fold[pair[2]] != fold[target]]
        table = learn((plain_words(one), plain_words(other)) for _, one, other in others)
        best = {word: table.of(word)[0] for word in plain_words(source) if table.of(word)}
        told = set(found.extend(source).split()) - set(source.split())
        assert told == {other for other, probability in best.values() if probability >= 0.1}


def test_frequent_words_are_no_gloss(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("sw", f"na w{n}", f"the v{n}") for n in range(10)]
    monkeypatch.setattr("engine.lexicon.glossary.COMMON", 0.2)
    assert learn_glossary(pairs, "en").glosses["sw"] == {f"w{n}": f"v{n}" for n in range(10)}


def test_a_word_of_a_single_pair_has_no_gloss_in_that_pair(tiny: Any) -> None:
    """Otherwise a student would learn to trust glosses that new queries do not have."""
    pairs = [*pairs_of(tiny.training["sw"]), ("sw", "neno pekee", "single word")]
    found = learn_glossary(pairs, "en")
    assert found.extend("neno pekee") == "neno pekee"
    assert found.extend("neno").startswith("neno ")


def test_repetitions_and_the_querys_own_words_are_no_gloss() -> None:
    assert gloss(["a", "b", "a", "c"], {"a": "one", "b": "c", "c": "one"}) == "one"


def test_a_saved_glossary_is_the_same(glossary: Glossary, tmp_path: Path) -> None:
    glossary.save(tmp_path / FILE)
    again = Glossary.load(tmp_path / FILE)
    assert (again.target, again.counts, again.glosses) == ("en", glossary.counts, glossary.glosses)
    assert again.digest == glossary.digest and not again.own


@pytest.mark.parametrize("content", [b"", b"PAR1 no table", b"{}"])
def test_a_damaged_glossary_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=rf"{FILE}: the glossary cannot be read"):
        Glossary.load(tmp_path / FILE)


def test_queries_are_encoded_with_their_gloss_and_passages_are_not(
    glossary: Glossary, tiny: Any, tmp_path: Path
) -> None:
    encoder = Encoder.load(EncoderConfig(**tiny.encoder(centring=False)))
    text = cipher("candle", "sw")
    plain = encoder.tokenize([text], "query")
    both = encoder.tokenize([glossary.extend(text)], "query")
    before = {role: fingerprint(encoder, role=role) for role in ("query", "passage")}
    encoder.glossary = glossary
    assert glossary.extend(text) != text
    assert encoder.tokenize([text], "query") == both != plain
    assert encoder.tokenize([text], "passage")[0].ids != both[0].ids
    assert fingerprint(encoder, role="query") != before["query"]
    assert fingerprint(encoder, role="passage") == before["passage"]
    save_encoder(encoder, tmp_path / "saved")
    opened = Encoder.load(EncoderConfig(**tiny.encoder(centring=False, checkpoint=str(tmp_path / "saved"))))
    assert opened.tokenize([text], "query") == both


def test_a_student_keeps_the_glossary_it_learnt_with(
    tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = parse_config(tiny.settings("sw", gloss=True, training={"precision": "auto"}))
    run, (scores,) = execute(config, tmp_path / "runs", ["test"])
    assert (run.checkpoints / "student" / FILE).exists() and not (run.checkpoints / "teacher" / FILE).exists()
    assert run_command(["encoders", "show", str(run.checkpoints / "student")]) == 0
    assert re.search(r"queries in sw \(\d+ words\)", capsys.readouterr().out)
    other = elsewhere(run, tiny.settings("sw")["collections"])
    _, (again,) = execute(other, tmp_path / "runs", ["test"])
    assert again.macro("RR") == pytest.approx(scores.macro("RR"), abs=1e-3)
    bare, (plain,) = execute(parse_config(tiny.settings("sw")), tmp_path / "runs", ["test"])
    assert not (bare.checkpoints / "student" / FILE).exists()
    assert scores.macro("RR") > plain.macro("RR")  # the teacher knows the words of the gloss


def test_an_encoder_is_evaluated_with_a_gloss_learnt_without_the_evaluation(
    tiny: Any, tmp_path: Path
) -> None:
    settings = {
        "kind": "evaluate",
        "encoder": tiny.encoder(),
        "collections": tiny.settings("sw")["collections"],
        "bitext": [{"path": str(tiny.training["sw"]), "language": "sw"}],
    }
    _, (plain,) = execute(parse_config(settings), tmp_path / "runs", ["test"])
    run, (glossed,) = execute(parse_config({**settings, "gloss": True}), tmp_path / "runs", ["test"])
    assert glossed.macro("RR") > plain.macro("RR") + 0.2
    assert (run.path / "bitext.parquet").exists()
    same = [{"path": str(tiny.test["sw"]), "language": "sw"}]
    with pytest.raises(InputError, match=r"every pair in 'sw' .* choose other pairs \(start, stop, part\)$"):
        execute(parse_config({**settings, "gloss": True, "bitext": same}), tmp_path / "runs", ["test"])


def test_a_gloss_without_bitext_in_two_languages_is_refused(tiny: Any, tmp_path: Path) -> None:
    settings = {
        "kind": "evaluate",
        "encoder": tiny.encoder(),
        "gloss": True,
        "collections": tiny.settings("sw")["collections"],
    }
    with pytest.raises(InputError, match=r"gloss learns translations of words from \[\[bitext\]\]"):
        parse_config(settings)
    path = str(tiny.training["sw"])
    two = [{"path": path, "language": "sw"}, {"path": path, "language": "sw", "target_language": "fr"}]
    with pytest.raises(InputError, match=r"\[\[bitext\]\] has en and fr; leave out"):
        execute(parse_config({**settings, "bitext": two}), tmp_path / "runs", ["test"])
