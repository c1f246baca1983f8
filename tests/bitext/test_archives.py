"""Malicious archives, and lines that are not sentences."""

from __future__ import annotations

import gzip
import lzma
import stat
import zipfile
from pathlib import Path

import pytest

from engine.bitext import files, open_bitext
from engine.errors import InputError


def refuse(path: Path, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        list(open_bitext(path, language="so"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that small files exceed."""
    monkeypatch.setattr(files, "HARMLESS", 10_000)
    monkeypatch.setattr(files, "LONGEST_LINE", 5_000)
    monkeypatch.setattr(files, "MEMBERS", 10)


BOMB = b"kow\tone\n" * 200_000


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_compressed_bombs_are_refused(tmp_path: Path, small: None, suffix: str) -> None:
    path = tmp_path / f"a.tsv.{suffix}"
    path.write_bytes((gzip if suffix == "gz" else lzma).compress(BOMB))
    refuse(path, rf"a\.tsv\.{suffix}: it unpacks to more than 200 times its size")


def test_a_bomb_in_a_zip_is_refused(tmp_path: Path, small: None) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.so", b"kow\n" * 400_000)
        archive.writestr("a.en", b"one\n" * 400_000)
    refuse(tmp_path / "a.zip", r"a\.zip \(a\.(so|en)\): it unpacks to more than 200 times")


def test_a_bomb_in_a_translation_memory_is_refused(tmp_path: Path, small: None) -> None:
    with zipfile.ZipFile(tmp_path / "a.tmx.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.tmx", "<tmx><body>" + " " * 4_000_000 + "</body></tmx>")
    refuse(tmp_path / "a.tmx.zip", "it unpacks to more than 200 times")


def test_ordinary_text_is_not_a_bomb(tmp_path: Path, small: None) -> None:
    lines = "".join(f"kow {number}\tone {number}\n" for number in range(5_000))
    path = tmp_path / "a.tsv.xz"
    path.write_bytes(lzma.compress(lines.encode()))
    assert len(list(open_bitext(path, language="so"))) == 5_000


def test_links_in_an_archive_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("a.so")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.en", "one\n")
    refuse(tmp_path / "a.zip", r"a\.zip: the member 'a\.so' is a link or a device")


def test_too_many_members_are_refused(tmp_path: Path, small: None) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(11):
            archive.writestr(f"{number}.so", "")
    refuse(tmp_path / "a.zip", r"the archive has 11 members, more than the 10 allowed")


def test_the_line_number_of_a_huge_line_is_reported(tmp_path: Path, small: None) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("kow\tone\n" + "x" * 5_001 + "\ty\n")
    refuse(path, r"a\.tsv, line 2: a line of more than 5,000 bytes")
    path.write_text("kow\tone\n" + "x" * 4_997 + "\ty\n")
    assert len(list(open_bitext(path, language="so", max_characters=5_000, max_ratio=1e6))) == 2


def test_the_line_number_of_a_nul_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"kow\tone\nla\0ba\ttwo\n")
    refuse(path, r"a\.tsv, line 2: there is a NUL character in it")
    path.write_text('{"so": "k\\u0000w", "en": "one"}\n')
    path.rename(tmp_path / "a.jsonl")
    refuse(tmp_path / "a.jsonl", r"a\.jsonl: there is a NUL character in pair 1")


def test_impossible_file_names_are_refused() -> None:
    for name in ("a\0b.tsv", "x" * 5000):
        with pytest.raises(InputError, match="no such file or folder"):
            open_bitext(name, language="so")


def test_a_member_without_a_name_is_no_file(tmp_path: Path) -> None:
    place = tmp_path / "a.zip"
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("x.so", b"a\n")
        archive.writestr("y", b"a\n")
        archive.infolist()[1].filename = ""  # as it is written to the list of members
    with zipfile.ZipFile(place) as archive:
        assert [member.filename for member in archive.infolist()] == ["x.so", ""]
        assert files.members(archive) == ["x.so"]
