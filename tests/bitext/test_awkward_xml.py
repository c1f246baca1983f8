"""TMX and XLIFF with features that tools write and parsers refuse, or that readers misunderstand."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.bitext import Drops, open_bitext
from engine.datahome.formats.recognise import recognise
from engine.errors import InputError


def tmx(folder: Path, *units: dict[str, str] | list[tuple[str, str]], encoding: str = "utf-8") -> Path:
    def variants(unit: dict[str, str] | list[tuple[str, str]]) -> str:
        items = unit.items() if isinstance(unit, dict) else unit
        return "".join(f'<tuv xml:lang="{tag}"><seg>{text}</seg></tuv>' for tag, text in items)

    body = "".join(f"<tu>{variants(unit)}</tu>" for unit in units)
    text = f'<?xml version="1.0" encoding="{encoding}"?><tmx version="1.4"><header/><body>{body}</body></tmx>'
    path = folder / "a.tmx"
    path.write_bytes(text.encode(encoding))
    return path


def read(path: Path, language: str = "sw", **settings: object) -> list[tuple[str, str]]:
    found = open_bitext(path, language=language, **settings)  # type: ignore[arg-type]
    return [(pair.source, pair.target) for pair in found]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
@pytest.mark.parametrize("control", ["&#x1F;", "&#31;", "&#x0;", "&#xB;", "&#xFFFF;", "\x1f", "\x02", "\x0b"])
def test_control_characters_are_removed_and_counted(tmp_path: Path, encoding: str, control: str) -> None:
    path = tmx(
        tmp_path,
        {"en": f"Page{control} two", "sw": f"Uku{control}rasa{control} wa pili"},
        {"en": "&#233;t&#xE9;&#10;x", "sw": "é"},
        encoding=encoding,
    )
    drops = Drops()
    assert read(path, drops=drops, max_ratio=99.0) == [("Ukurasa wa pili", "Page two"), ("é", "été x")]
    assert drops == Drops(read=2, kept=2, control_characters=3)
    assert drops.sentence() == "2 pairs read, 2 kept; 3 control characters removed"
    assert drops.counts() == {"control_characters": 3} and drops.reasons() == {}


def test_control_characters_at_any_place_of_a_long_file(tmp_path: Path) -> None:
    units = [{"en": f"{'x' * (number % 40)} {number}&#x1F;", "sw": f"{number}\x01"} for number in range(9000)]
    drops = Drops()
    assert len(read(tmx(tmp_path, *units), drops=drops, max_ratio=99.0)) == 9000
    assert drops.control_characters == 18000


def test_control_characters_in_other_formats(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"sw": "mo\\u0002ja", "en": "one"}\n', "utf-8")
    drops = Drops()
    assert read(path, drops=drops) == [("moja", "one")]
    assert drops.control_characters == 1


def test_an_empty_variant_does_not_hide_a_full_one(tmp_path: Path) -> None:
    units = [
        [("en", "one"), ("sw", ""), ("sw", "moja")],
        [("en", ""), ("en", "two"), ("sw", "mbili"), ("sw", "MBILI")],
        [("en", "three"), ("sw", " "), ("sw-KE", "tatu")],
    ]
    drops = Drops()
    assert read(tmx(tmp_path, *units), drops=drops) == [("moja", "one"), ("mbili", "two"), ("tatu", "three")]
    assert drops == Drops(read=3, kept=3)


def test_units_with_different_regions(tmp_path: Path) -> None:
    path = tmx(tmp_path, {"en-US": "one", "pt-BR": "um"}, {"en": "bus", "pt-PT": "autocarro"})
    assert read(path, "pt") == [("um", "one"), ("autocarro", "bus")]
    assert read(path, "pt-BR") == [("um", "one")]
    assert read(path, "pt_PT") == [("autocarro", "bus")]


ONE = (
    '<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2" '
    'xmlns:sdl="http://sdl.com/FileTypes/SdlXliff/1.0">{}</xliff>'
)


def xliff(folder: Path, *files: tuple[str, str], name: str = "a.sdlxliff") -> Path:
    text = "".join(
        f'<file original="a" source-language="en" {target}><body>{body}</body></file>'
        for target, body in files
    )
    path = folder / name
    path.write_text(ONE.format(text), "utf-8")
    return path


def marks(*texts: str, start: int = 1) -> str:
    segments = (f'<mrk mtype="seg" mid="{mid}">{text}</mrk>' for mid, text in enumerate(texts, start))
    return f'<g id="5">{" ".join(segments)}</g>'


def test_segments_are_paired_by_their_marks(tmp_path: Path) -> None:
    body = (
        '<trans-unit id="1"><source>Close. Where? Go.</source>'
        f"<seg-source>{marks('Close.', 'Where?', 'Go.')}</seg-source>"
        f'<target><g id="5"><mrk mtype="seg" mid="3">Nenda.</mrk><mrk mtype="seg" mid="1">Funga <g id="9">'
        'lango</g>.</mrk><mrk mtype="seg" mid="2"/></g></target></trans-unit>'
        f'<trans-unit id="2"><source>One.</source><seg-source>{marks("One.")}</seg-source>'
        f"<target>{marks('Moja.')}</target></trans-unit>"
        '<trans-unit id="3"><source>A. B.</source><seg-source>'
        f"{marks('A.', 'B.')}</seg-source></trans-unit>"
        f'<trans-unit id="4"><source>C. D.</source><seg-source>{marks("C.", "D.")}</seg-source>'
        "<target>See. Dee.</target></trans-unit>"
        f'<trans-unit id="5"><source>{marks("E.")}</source><target>{marks("Ee.")}</target></trans-unit>'
    )
    drops = Drops()
    path = xliff(tmp_path, ('target-language="sw"', body))
    found = [(p.id, p.source, p.target) for p in open_bitext(path, language="sw", drops=drops)]
    assert found == [
        ("1#1", "Funga lango.", "Close."),
        ("1#3", "Nenda.", "Go."),
        ("2", "Moja.", "One."),
        ("4", "See. Dee.", "C. D."),
        ("5", "Ee.", "E."),
    ]
    assert drops == Drops(read=8, kept=5, empty=3)


def unit(target: str, number: int = 1) -> str:
    return f'<trans-unit id="{number}"><source>one {number}</source><target>{target}</target></trans-unit>'


def test_a_file_without_target_language_has_the_requested_one(tmp_path: Path) -> None:
    path = xliff(tmp_path, ("", unit("moja")), name="a.xlf")
    assert read(path) == read(path, target_language="en-US") == [("moja", "one 1")]
    assert read(path, "en", target_language="sw") == [("one 1", "moja")]
    assert recognise(path, "sw").languages["sw"].counts == {"pairs": 1}
    with pytest.raises(InputError, match=r"no pair is in the two requested languages"):
        read(path, "sw", target_language="fr")


def test_files_in_variants_of_a_language(tmp_path: Path) -> None:
    tags = ("pt-BR", "pt", "sr-Latn", "sr-Cyrl", "zh-CN", "zh-TW", "es-MX", "es-AR")
    path = xliff(tmp_path, *((f'target-language="{tag}"', unit(f"{tag} text")) for tag in tags))
    for tag in tags:
        assert read(path, tag) == [(f"{tag} text", "one 1")]
    assert read(path, "zh-Hant") == [("zh-TW text", "one 1")]
    for language, listed in (("sr", "sr-Latn, sr-Cyrl"), ("zh", "zh-CN, zh-TW"), ("es", "es-MX, es-AR")):
        with pytest.raises(InputError, match=rf"{listed} all match the language '{language}'"):
            read(path, language)
