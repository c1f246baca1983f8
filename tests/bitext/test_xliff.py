"""XLIFF 1.2 and 2.0: units, inline elements, states, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from engine.bitext import Drops, SentencePair, open_bitext
from engine.bitext.formats.xliff import read_xliff
from engine.errors import InputError

ONE = """<?xml version="1.0"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
 <file original="a" source-language="en-US" target-language="so" datatype="plaintext">
  <header><note>not text</note></header>
  <body>{}</body>
 </file>
</xliff>"""
TWO = """<xliff version="2.0" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="so">
 <file id="f">{}</file></xliff>"""


def write(folder: Path, text: str, name: str = "a.xlf") -> Path:
    folder.joinpath(name).write_text(text, encoding="utf-8")
    return folder / name


def pairs(folder: Path, text: str, **settings: str) -> list[tuple[str, str, str]]:
    settings = {"language": "so", **settings}
    found = open_bitext(write(folder, text), **settings)  # type: ignore[arg-type]
    return [(pair.id, pair.source, pair.target) for pair in found]


def test_units_of_1_2_with_groups_and_inline_elements(tmp_path: Path) -> None:
    body = """
    <trans-unit id="u1"><source>one</source><target>kow</target></trans-unit>
    <group><trans-unit id="u2">
      <source>a <g id="1">bold</g> word<x id="2"/>and<bpt id="3">&lt;i&gt;</bpt>more<ept
       id="3">x</ept></source>
      <seg-source>not this</seg-source>
      <target xml:lang="so">eray <mrk mtype="seg">weyn</mrk></target>
      <alt-trans><source>old</source><target>hore</target></alt-trans>
    </trans-unit></group>"""
    assert pairs(tmp_path, ONE.format(body)) == [
        ("u1", "kow", "one"),
        ("u2", "eray weyn", "a bold word andmore"),
    ]


def test_segments_of_2_0_are_pairs(tmp_path: Path) -> None:
    units = """
    <unit id="1"><originalData><data id="d">not text</data></originalData>
     <segment><source>one <pc id="1">big</pc><ph id="2"/>x<cp hex="0007"/>y</source>
      <target>kow</target></segment></unit>
    <group id="g"><unit id="2">
     <segment id="s"><source>two</source><target>laba</target></segment>
     <ignorable><source> </source></ignorable>
     <segment><source>three</source><target>saddex</target></segment></unit></group>"""
    assert pairs(tmp_path, TWO.format(units)) == [
        ("1", "kow", "one big x y"),
        ("2#s", "laba", "two"),
        ("2#2", "saddex", "three"),
    ]


def test_untranslated_units_have_an_empty_side(tmp_path: Path) -> None:
    body = """
    <trans-unit id="1"><source>one</source></trans-unit>
    <trans-unit id="2"><source>two</source><target state="needs-translation">two</target></trans-unit>
    <trans-unit id="3"><source>three</source><target state="new">three</target></trans-unit>
    <trans-unit id="4"><source>four</source><target state="translated">afar</target></trans-unit>"""
    drops = Drops()
    found = list(open_bitext(write(tmp_path, ONE.format(body)), language="so", drops=drops))
    assert [pair.target for pair in found] == ["four"]
    assert drops == Drops(read=4, kept=1, empty=3)
    units = """
    <unit id="1"><segment state="initial"><source>one</source><target>one</target></segment></unit>
    <unit id="2"><segment><source>two</source><target>laba</target></segment></unit>"""
    assert pairs(tmp_path, TWO.format(units)) == [("2", "laba", "two")]


def test_either_language_may_be_the_original(tmp_path: Path) -> None:
    text = ONE.replace("en-US", "so").replace('target-language="so"', 'target-language="en"')
    body = '<trans-unit id="1"><source>kow</source><target>one</target></trans-unit>'
    assert pairs(tmp_path, text.format(body)) == [("1", "kow", "one")]


def test_other_languages_are_counted_and_reported(tmp_path: Path) -> None:
    body = '<trans-unit id="1"><source>one</source><target>kow</target></trans-unit>'
    with pytest.raises(InputError, match=r"a\.xlf: no pair is in the two requested languages.*: en-US, so$"):
        pairs(tmp_path, ONE.format(body), language="fr")


def test_gzipped_and_streamed(tmp_path: Path) -> None:
    body = "".join(
        f'<trans-unit id="{n}"><source>word {n}</source><target>eray {n}</target></trans-unit>'
        for n in range(2000)
    )
    path = tmp_path / "a.xliff.gz"
    path.write_bytes(gzip.compress(ONE.format(body).encode()))
    units = list(read_xliff(path, "so", "en"))
    assert len(units) == 2000
    assert units[1999] == SentencePair("eray 1999", "word 1999", "so", "en", "1999")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<tmx/>", r"a\.xlf: not XLIFF: its outermost element is <tmx>"),
        (ONE.format("<trans-unit>"), r"a\.xlf, line \d+: not well-formed XML"),
        ('<xliff version="3.0"/>', r"XLIFF of version '3\.0', where 1\.2 or 2\.0"),
        ("<xliff/>", r"XLIFF of version None"),
        ('<xliff version="1.2"><file/></xliff>', r"<file> does not name its language in 'source-language'"),
        ('<xliff version="2.0"><file/></xliff>', r"<xliff> does not name its language in 'srcLang'"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><xliff version="1.2"/>', r"declares entities, which are refused"),
        ("", r"a\.xlf, line 1: not well-formed XML"),
        (TWO.format(""), r"a\.xlf: there are no pairs"),
        (
            ONE.format(f"<trans-unit><source>{'<g>' * 5000}a{'</g>' * 5000}</source></trans-unit>"),
            r"a\.xlf: its elements are nested too deeply",
        ),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        pairs(tmp_path, text)
