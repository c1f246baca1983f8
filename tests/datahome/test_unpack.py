"""Untrusted archives: unpacked completely and inside the folder, or refused in one sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.datahome import unpack as unpacking
from engine.datahome.unpack import archive_kind, unpack
from engine.errors import InputError

FILES = {"a.txt": b"one", "folder/b.txt": b"two" * 5000, "folder/deep/c.bin": bytes(1536), "empty": b""}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(files: dict[str, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def tar_member(kind: bytes, name: str = "x", target: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return stream.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def refused(archive: bytes, match: str | None = None) -> None:
    """Unpack in a separate folder and check that nothing is left."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive").write_bytes(archive)
        with pytest.raises(InputError, match=match) as caught:
            unpack(folder / "archive", folder / "in" / "target")
        assert "\n" not in str(caught.value)
        assert contents(folder) == {"archive": archive}
        assert not (folder / "in").exists() or not any((folder / "in").iterdir())


@pytest.mark.parametrize(
    "archive",
    [
        zipped(FILES),
        zipped(FILES, zipfile.ZIP_STORED),
        tarred(FILES),
        tarred(FILES, tarfile.GNU_FORMAT),
        gzip.compress(tarred(FILES)),
        bz2.compress(tarred(FILES)),
    ],
    ids=["zip", "stored", "tar", "gnu tar", "tar.gz", "tar.bz2"],
)
def test_every_kind_of_archive_is_unpacked(tmp_path, archive):
    (tmp_path / "archive").write_bytes(archive)
    files = unpack(tmp_path / "archive", tmp_path / "new" / "target")
    assert contents(tmp_path / "new" / "target") == FILES
    assert [file.relative_to(tmp_path / "new" / "target").as_posix() for file in files] == list(FILES)
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["target"]
    modes = {stat.S_IMODE(file.stat().st_mode) & 0o7111 for file in files}
    assert modes == {0}  # no file is executable or setuid


def test_kinds_are_recognised_by_content(tmp_path):
    for content, kind in ((zipped(FILES), "zip"), (gzip.compress(tarred(FILES)), "tar"), (b"text", "")):
        (tmp_path / "file").write_bytes(content)
        assert archive_kind(tmp_path / "file") == kind
    (tmp_path / "file").write_bytes(gzip.compress(b"a packed text is no archive"))
    assert archive_kind(tmp_path / "file") == ""
    refused(gzip.compress(b"a packed text"), "neither a zip nor a tar")


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "/x", "a/../../x", "..", "C:/x", "C:x", "..\\x", "a\\..\\..\\x", "//host/x", "a:b"),
        *("a\nb", "\x1b[31m", "/".join("a" * 40), ".", "./."),
    ],
)
def test_names_that_point_outside_are_refused(name):
    refused(zipped({"good": b"1", name: b"2"}))
    refused(tarred({"good": b"1", name: b"2"}))


def test_a_name_with_a_nul_is_refused():
    archive = zipped({"good.txtAexe": b"1"}).replace(b"good.txtA", b"good.txt\0")
    refused(archive)


@pytest.mark.parametrize(
    "pair", [("a", "a"), ("a", "A"), ("é", "e\u0301"), ("a", "a/b"), ("a/b", "a"), ("ß", "ss")]
)
def test_no_member_overwrites_another(pair):
    one, two = pair
    with pytest.warns(UserWarning) if one == two else tempfile.TemporaryDirectory():
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(one, b"1")
            archive.writestr(two, b"2")
    refused(stream.getvalue(), "overwrite")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(kind):
    refused(tar_member(kind, target="/etc/passwd"), "link, a device")
    refused(gzip.compress(tar_member(kind, target="a")), "link, a device")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(kind):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        member = zipfile.ZipInfo("x")
        member.external_attr = (kind | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    refused(stream.getvalue(), "link or a device")


def test_bombs_are_refused(monkeypatch):
    monkeypatch.setattr(unpacking, "SMALL", 10_000)
    bomb = bytes(20_000_000)
    refused(zipped({"bomb": bomb}), "unpacks to more than")
    refused(gzip.compress(tarred({"bomb": bomb})), "unpacks to more than")
    refused(bz2.compress(tarred({"bomb": bomb})), "unpacks to more than")
    many = {f"{number}": bytes(5_000) for number in range(2_000)}
    refused(gzip.compress(tarred(many)), "unpacks to more than")


def test_the_size_in_the_header_of_an_archive_is_not_trusted(monkeypatch):
    monkeypatch.setattr(unpacking, "SMALL", 10_000)
    content = bytes(20_000_000)
    archive = zipped({"bomb": content}).replace(
        len(content).to_bytes(4, "little"), (10).to_bytes(4, "little")
    )
    refused(archive)


def test_headers_that_require_much_memory_are_refused():
    stream = io.BytesIO()
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 8 * unpacking.SMALL
    stream.write(header.tobuf(tarfile.USTAR_FORMAT))
    stream.write(bytes(header.size))
    refused(gzip.compress(stream.getvalue(), 1), "memory")


def test_the_number_of_members_is_limited(monkeypatch):
    monkeypatch.setattr(unpacking, "MEMBERS", 10)
    refused(zipped({f"{number}": b"" for number in range(11)}), "more than 10 members")
    refused(tarred({f"{number}": b"" for number in range(11)}), "more than 10 members")


def test_unusual_compression_is_refused():
    refused(zipped(FILES, zipfile.ZIP_BZIP2), "unusual")
    encrypted = bytearray(zipped({"a": b"x"}))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    refused(bytes(encrypted), "encrypted")


def test_an_existing_target_is_not_changed(tmp_path):
    (tmp_path / "archive").write_bytes(zipped(FILES))
    (tmp_path / "target").mkdir()
    with pytest.raises(InputError, match="exists already"):
        unpack(tmp_path / "archive", tmp_path / "target")
    assert list((tmp_path / "target").iterdir()) == []


def test_an_interruption_leaves_no_file(tmp_path, monkeypatch):
    (tmp_path / "archive").write_bytes(zipped(FILES))
    added = unpacking._Output.add

    def interrupt(self, name, content):
        if name == "folder/deep/c.bin":
            raise KeyboardInterrupt
        added(self, name, content)

    monkeypatch.setattr(unpacking._Output, "add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(tmp_path / "archive", tmp_path / "target")
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive"]


# -- any content -------------------------------------------------------------------------------------

NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    st.lists(st.sampled_from(["a", "b", "..", ".", "", "A", "c.txt", "~", "C:"]), min_size=1, max_size=5).map(
        "/".join
    ),
).filter(lambda name: name.split("\0")[0] != "")  # zipfile cuts a name at NUL, and no name may be empty


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=100), min_size=1, max_size=5), st.booleans())
def test_no_file_is_written_outside(files, as_zip):
    try:
        archive = zipped(files) if as_zip else gzip.compress(tarred(files))
    except (ValueError, UnicodeError):
        return  # an archive cannot hold such a name
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive").write_bytes(archive)
        try:
            unpack(folder / "archive", folder / "target")
        except InputError:
            assert [entry.name for entry in folder.iterdir()] == ["archive"]
            return
        assert sorted(entry.name for entry in folder.iterdir()) == ["archive", "target"]
        assert not any(entry.is_symlink() for entry in (folder / "target").rglob("*"))
        # In a zip archive, the name decides whether a member is a folder.
        expected = [content for name, content in files.items() if not (as_zip and name.endswith("/"))]
        assert sorted(contents(folder / "target").values()) == sorted(expected)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([zipped(FILES), tarred(FILES), gzip.compress(tarred(FILES), mtime=0)]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 10**6),
)
def test_damaged_archives_are_refused_in_one_sentence(archive, changes, cut):
    damaged = bytearray(archive)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    if cut % 3 == 0:
        del damaged[cut % len(damaged) :]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "archive").write_bytes(bytes(damaged))
        try:
            unpack(folder / "archive", folder / "target")
        except InputError as error:
            assert "\n" not in str(error)
            assert [entry.name for entry in folder.iterdir()] == ["archive"]
        else:
            assert not any(entry.is_symlink() for entry in (folder / "target").rglob("*"))
