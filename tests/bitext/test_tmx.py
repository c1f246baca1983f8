"""TMX: markup, tags, archives, safety and memory."""

from __future__ import annotations

import gzip
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from engine.bitext import Drops, SentencePair, open_bitext
from engine.bitext.formats.tmx import read_tmx
from engine.errors import InputError
from engine.extensions.bitext import Unmatched

UNIT = '<tu><tuv xml:lang="en"><seg>{en}</seg></tuv><tuv xml:lang="so"><seg>{so}</seg></tuv></tu>'


def document(*units: str, prologue: str = "") -> str:
    return f'{prologue}<tmx version="1.4"><header/><body>{"".join(units)}</body></tmx>'


def read(folder: Path, text: str, language: str = "so", target_language: str = "en") -> list[SentencePair]:
    folder.joinpath("a.tmx").write_text(text, encoding="utf-8")
    return list(open_bitext(folder / "a.tmx", language=language, target_language=target_language))


def refuse(folder: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read(folder, text)


def test_inline_codes_are_removed_and_highlighted_text_is_kept(tmp_path: Path) -> None:
    english = (
        'Wash <bpt i="1">&lt;b title="<sub>tip</sub>"&gt;</bpt>your<ept i="1">&lt;/b&gt;</ept> '
        '<hi>clean <hi>hands</hi></hi>.<ph x="1">&lt;br/&gt;</ph>Now<it pos="end">&lt;/i&gt;</it>!'
    )
    (pair,) = read(tmp_path, document(UNIT.format(en=english, so="Gacmaha<ut>x</ut> dhaq")))
    assert (pair.source, pair.target) == ("Gacmaha dhaq", "Wash your clean hands. Now!")


def test_ids_are_those_of_the_units_or_their_numbers(tmp_path: Path) -> None:
    units = (
        UNIT.format(en="one", so="kow"),
        UNIT.format(en="two", so="laba").replace("<tu>", '<tu tuid="B:7">'),
    )
    assert [pair.id for pair in read(tmp_path, document(*units))] == ["tu1", "B:7"]


def test_old_attribute_namespaces_and_regions_are_understood(tmp_path: Path) -> None:
    text = (
        '<tmx xmlns="http://www.lisa.org/tmx14"><body>'
        '<tu><tuv lang="EN-US"><seg>one</seg></tuv><tuv lang="SOM-so"><seg>kow</seg></tuv></tu></body></tmx>'
    )
    assert [(pair.source, pair.target) for pair in read(tmp_path, text)] == [("kow", "one")]


def test_the_requested_one_of_several_variants_is_read(tmp_path: Path) -> None:
    unit = (
        '<tu><tuv xml:lang="so"><seg>kow</seg></tuv><tuv xml:lang="en-GB"><seg>colour</seg></tuv>'
        '<tuv xml:lang="en-US"><seg>color</seg></tuv></tu>'
    )
    for tag, text in (("en-GB", "colour"), ("en_US", "color"), ("en-AU", "colour")):
        assert [pair.target for pair in read(tmp_path, document(unit), target_language=tag)] == [text]
    with pytest.raises(
        InputError, match=r"a\.tmx: en-GB, en-US all match the language 'en'; give one of them"
    ):
        read(tmp_path, document(unit))
    unit += UNIT.format(en="one", so="kow").replace('"en"', '"en-GB"')
    assert len(read(tmp_path, document(unit), target_language="en-GB")) == 2


def test_units_in_several_scripts_are_not_mixed(tmp_path: Path) -> None:
    tags = ("zh-CN", "zh-TW", "fr")
    units = "".join(UNIT.format(en=f"one {tag}", so="x").replace('"so"', f'"{tag}"') for tag in tags)
    for wanted, found in (("zh-Hant", "one zh-TW"), ("zho_Hans", "one zh-CN")):
        assert [pair.target for pair in read(tmp_path, document(units), language=wanted)] == [found]
    with pytest.raises(InputError, match=r"a\.tmx: zh-CN and zh-TW both match the language 'zh'"):
        read(tmp_path, document(units), language="zh")


def test_units_without_the_language_are_counted(tmp_path: Path) -> None:
    other = '<tu><tuv xml:lang="en"><seg>a</seg></tuv><tuv xml:lang="fr"><seg>b</seg></tuv></tu>'
    tmp_path.joinpath("a.tmx").write_text(document(other, UNIT.format(en="one", so="kow"), other))
    drops = Drops()
    assert len(list(open_bitext(tmp_path / "a.tmx", language="so", drops=drops))) == 1
    assert drops == Drops(read=3, kept=1, wrong_language=2)


def test_the_languages_of_a_file_without_the_requested_one_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the languages in it are: en, so$"):
        read(tmp_path, document(UNIT.format(en="one", so="kow"), "<tu/>"), language="sw")


def test_a_document_type_declaration_is_ignored(tmp_path: Path) -> None:
    """OmegaT and other tools write one in every file; nothing is downloaded for it."""
    text = document(UNIT.format(en="one", so="kow"), prologue='<!DOCTYPE tmx SYSTEM "tmx14.dtd">')
    assert len(read(tmp_path, text)) == 1


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">',
        '<!ENTITY a SYSTEM "file:///etc/passwd">',
        '<!ENTITY % a SYSTEM "http://127.0.0.1/a.dtd"> %a;',
    ],
)
def test_entities_are_refused(tmp_path: Path, declaration: str) -> None:
    text = document(UNIT.format(en="&a;", so="kow"), prologue=f"<!DOCTYPE tmx [{declaration}]>")
    refuse(tmp_path, text, r"a\.tmx: the file declares entities, which are refused as unsafe")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<tmx><body><tu>\n<tuv></tu>", r"a\.tmx, line 2: not well-formed XML \(mismatched tag\)"),
        ("<tmx><body>", r"line 1: not well-formed XML \(no element found\)"),
        ("", "not well-formed XML"),
        ("<html><body/></html>", r"a\.tmx: not TMX: its outermost element is <html>"),
        (document(UNIT.format(en="&nbsp;", so="kow")), r"not well-formed XML \(undefined entity"),
        (
            document(UNIT.format(en="&nbsp;", so="k"), prologue='<!DOCTYPE tmx SYSTEM "t">'),
            "undefined entity",
        ),
        (
            '<?xml version="1.0" encoding="klingon"?><tmx/>',
            r"its encoding cannot be read \(unknown encoding: klingon\)",
        ),
        ('<?xml version="1.0" encoding="shift_jis"?><tmx/>', "its encoding cannot be read"),
        (document(), r"a\.tmx: there are no pairs"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    refuse(tmp_path, text, sentence)


def zipped(path: Path, **files: str) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "."), text)
    return path.read_bytes()


def test_an_archive_must_contain_one_memory(tmp_path: Path) -> None:
    text = document(UNIT.format(en="one", so="kow"))
    zipped(tmp_path / "two.zip", a__tmx=text, b__tmx=text)
    with pytest.raises(InputError, match=r"two\.zip: the archive holds 2 \.tmx files"):
        list(open_bitext(tmp_path / "two.zip", language="so"))


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tmx.zip"
    data = zipped(path, a__tmx=document(*[UNIT.format(en=f"n {n}", so=f"t {n}") for n in range(500)]))
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"a\.tmx\.zip: the archive is damaged or cut short"):
        list(open_bitext(path, language="so"))
    middle = len(data) // 3
    path.write_bytes(data[:middle] + bytes(40) + data[middle + 40 :])
    with pytest.raises(InputError, match=r"the archive is damaged or cut short|not well-formed XML"):
        list(open_bitext(path, language="so"))


def test_a_truncated_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tmx.gz"
    path.write_bytes(
        gzip.compress(document(*[UNIT.format(en=f"n {n}", so=f"t {n}") for n in range(500)]).encode())[:900]
    )
    with pytest.raises(InputError, match=r"a\.tmx\.gz: the archive is damaged or cut short"):
        list(open_bitext(path, language="so"))


def test_memory_use_is_constant(tmp_path: Path) -> None:
    """Peak memory does not grow with the file: 20 times the units have the same peak, except for noise."""

    def peak(units: int) -> int:
        path = tmp_path / f"{units}.tmx"
        path.write_text(
            document(*[UNIT.format(en=f"word {n}" * 9, so=f"eray {n}" * 9) for n in range(units)])
        )
        tracemalloc.start()
        assert sum(isinstance(unit, SentencePair | Unmatched) for unit in read_tmx(path, "so", "en")) == units
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    assert peak(6000) < 1.5 * peak(300)
