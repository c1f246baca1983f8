"""Sentences in another language than the requested one are dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.bitext import Drops, open_bitext
from engine.bitext.identification import Identifier
from engine.errors import InputError

SOMALI = "Waxaan rabaa inaan ogaado haddii dhakhtarku maanta joogo."
SWAHILI = "Ningependa kujua kama daktari yupo leo hospitalini."
ENGLISH = "I would like to know whether the doctor is here today."


def test_other_languages_are_rejected_and_short_texts_are_not() -> None:
    somali, english = Identifier("so"), Identifier("en")
    assert not somali.rejects(SOMALI) and not english.rejects(ENGLISH)
    assert somali.rejects(SWAHILI) and somali.rejects(ENGLISH) and english.rejects(SOMALI)
    for text in ("", "12:30", "!?", "COVID-19", "a"):
        assert not somali.rejects(text), text


def test_languages_that_the_model_spells_differently() -> None:
    assert not Identifier("nb").rejects("Jeg vil gjerne vite om legen er her i dag.")
    assert not Identifier("fil").rejects("Nais kong malaman kung narito ang doktor ngayon.")


def test_pairs_are_dropped_and_counted_on_request(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"{SOMALI}\t{ENGLISH}\n{SWAHILI}\t{ENGLISH}\n{SOMALI}\t{SWAHILI}\n", encoding="utf-8")
    drops = Drops()
    pairs = list(open_bitext(path, language="so", identify=True, drops=drops))
    assert [(pair.source, pair.target) for pair in pairs] == [(SOMALI, ENGLISH)]
    assert drops == Drops(read=3, kept=1, other_language=2)
    assert len(list(open_bitext(path, language="so"))) == 3


def test_a_language_that_the_model_does_not_know_is_refused_immediately(tmp_path: Path) -> None:
    tmp_path.joinpath("a.tsv").write_text("x\ty\n")
    with pytest.raises(InputError, match="the language identifier does not know Upper Sorbian; remove"):
        open_bitext(tmp_path / "a.tsv", language="hsb", identify=True)


@pytest.mark.data
def test_tico_19_is_in_its_languages(data_home: Path) -> None:
    """The sentences that are rejected in Tagalog's file are English; none is in Somali's and Nepali's."""
    refused = {}
    for code in ("so", "ne", "tl"):
        path = data_home / "tico-19" / f"all.en-{code}.tmx.zip"
        identifier = Identifier(code)
        found = list(open_bitext(path, language=code, stop=400))
        refused[code] = [pair for pair in found if identifier.rejects(pair.source)]
    assert not refused["so"] and not refused["ne"]
    assert refused["tl"] and not any(Identifier("en").rejects(pair.source) for pair in refused["tl"])
