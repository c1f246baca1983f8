"""Downloads from a local server that breaks connections, changes files, and sends wrong headers."""

from __future__ import annotations

import fcntl
import hashlib
import random
import socket
from pathlib import Path

import pytest

from engine.datahome import download as fetching
from engine.datahome.download import fetch
from engine.errors import BusyError, InputError, OpticalError
from engine.extensions import published
from engine.extensions.published import PublishedFile

CONTENT = random.Random(1).randbytes(1_000_003)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "home" / "set" / "file.bin"


@pytest.fixture
def served(site):
    site.files["/file.bin"] = CONTENT
    return site


def left(place: Path) -> list[str]:
    return sorted(file.name for file in place.parent.iterdir())


def test_a_file_is_downloaded_and_no_other_file_is_left(served, place):
    heard = []
    remote = PublishedFile(served.address("/file.bin"), "file.bin", checksum=SHA256)
    assert fetch(remote, place, lambda here, total: heard.append((here, total))) == place
    assert place.read_bytes() == CONTENT and left(place) == ["file.bin"]
    assert heard[0] == (0, len(CONTENT)) and heard[-1] == (len(CONTENT), len(CONTENT))
    assert [here for here, _ in heard] == sorted(here for here, _ in heard)
    fetch(remote, place)
    assert len(served.requests) == 1  # it exists already


def test_a_broken_connection_is_continued(served, place):
    served.cut = [300_000, 200_000]
    fetch(PublishedFile(served.address("/file.bin"), "file.bin"), place)
    assert place.read_bytes() == CONTENT
    assert [asked for _, asked in served.requests] == [None, "bytes=300000-", "bytes=500000-"]


def test_a_second_call_continues_the_first_one(served, place):
    served.cut = [400_000] + [0] * fetching.ATTEMPTS
    remote = PublishedFile(served.address("/file.bin"), "file.bin")
    with pytest.raises(OpticalError, match="400,000 bytes, which the next fetch continues from"):
        fetch(remote, place)
    assert not place.exists() and (place.parent / "file.bin.part").stat().st_size == 400_000
    served.cut.clear()
    served.requests.clear()
    fetch(remote, place)
    assert served.requests == [("/file.bin", "bytes=400000-")]
    assert place.read_bytes() == CONTENT and left(place) == ["file.bin"]


def test_a_file_that_changed_is_downloaded_again(served, place):
    served.cut = [400_000] + [0] * fetching.ATTEMPTS
    remote = PublishedFile(served.address("/file.bin"), "file.bin")
    with pytest.raises(OpticalError):
        fetch(remote, place)
    served.cut.clear()
    served.files["/file.bin"] = CONTENT[::-1]
    fetch(remote, place)
    assert place.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize(("checksum", "asked"), [("", None), (SHA256, "bytes=400000-")])
def test_without_a_version_a_download_continues_only_with_a_checksum(served, place, checksum, asked):
    served.validator = False
    served.cut = [400_000]
    fetch(PublishedFile(served.address("/file.bin"), "file.bin", checksum=checksum), place)
    assert [one for _, one in served.requests] == [None, asked]
    assert place.read_bytes() == CONTENT


def test_without_ranges_a_file_is_downloaded_again(served, place):
    served.ranges = False
    served.cut = [400_000]
    fetch(PublishedFile(served.address("/file.bin"), "file.bin"), place)
    assert place.read_bytes() == CONTENT


def test_a_complete_part_is_used(served, place):
    place.parent.mkdir(parents=True)
    (place.parent / "file.bin.part").write_bytes(CONTENT)
    fetch(PublishedFile(served.address("/file.bin"), "file.bin", checksum=SHA256), place)
    assert place.read_bytes() == CONTENT and served.requests == [("/file.bin", f"bytes={len(CONTENT)}-")]


def test_a_part_longer_than_the_file_is_deleted(served, place):
    place.parent.mkdir(parents=True)
    (place.parent / "file.bin.part").write_bytes(CONTENT + b"more")
    fetch(PublishedFile(served.address("/file.bin"), "file.bin", checksum=SHA256), place)
    assert place.read_bytes() == CONTENT


def test_a_file_with_a_wrong_checksum_is_deleted(served, place):
    wrong = f"md5:{'0' * 32}"
    with pytest.raises(
        OpticalError, match=r"MD5 checksum of the received file is .* and not the published 0000"
    ) as caught:
        fetch(PublishedFile(served.address("/file.bin"), "file.bin", checksum=wrong), place)
    assert caught.value.exit_code == 1 and left(place) == []
    right = f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"
    fetch(PublishedFile(served.address("/file.bin"), "file.bin", checksum=right), place)
    assert place.read_bytes() == CONTENT


def test_the_message_about_a_missing_file_names_the_address_and_the_folder(site, place):
    remote = PublishedFile(site.address("/gone.bin"), "file.bin")
    with pytest.raises(OpticalError) as caught:
        fetch(remote, place)
    sentence = str(caught.value)
    assert remote.address in sentence and "404" in sentence and str(place.parent) in sentence
    assert len(site.requests) == 1 and "\n" not in sentence


def test_a_request_is_repeated_after_a_server_error(served, place):
    served.statuses = [503, 429]
    fetch(PublishedFile(served.address("/file.bin"), "file.bin"), place)
    assert place.read_bytes() == CONTENT and len(served.requests) == 3


def test_without_a_network_the_message_says_what_to_do(place, site):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    remote = PublishedFile(f"http://127.0.0.1:{port}/file.bin", "file.bin")
    with pytest.raises(OpticalError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        fetch(remote, place)
    assert remote.address in str(caught.value) and f"put it into {place.parent}" in str(caught.value)
    assert left(place) == []


def test_redirections_are_followed_up_to_a_limit(served, place):
    for step in range(9):
        served.redirects[f"/{step}"] = f"/{step + 1}"
    served.redirects["/one"] = "/file.bin"
    fetch(PublishedFile(served.address("/one"), "file.bin"), place)
    assert place.read_bytes() == CONTENT
    with pytest.raises(OpticalError, match=f"redirects more than {fetching.REDIRECTS} times"):
        fetch(PublishedFile(served.address("/0"), "other.bin"), place.with_name("other.bin"))


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "/etc/passwd"])
def test_only_http_is_fetched_and_redirected_to(site, place, address):
    with pytest.raises(InputError, match="only https and http"):
        fetch(PublishedFile(address, "file.bin"), place)
    if ":" in address:
        site.redirects["/away"] = address
        with pytest.raises(InputError, match="only https and http"):
            fetch(PublishedFile(site.address("/away"), "file.bin"), place)
    assert not place.parent.exists() or left(place) == []


def test_a_file_larger_than_published_is_refused_before_it_is_sent(served, place, monkeypatch):
    monkeypatch.setattr(published, "LARGEST_FILE", 500_000)
    with pytest.raises(OpticalError, match="1,000,003 bytes, more than the limit of 500,000"):
        fetch(PublishedFile(served.address("/file.bin"), "file.bin"), place)
    served.files["/big.bin"] = CONTENT * 3
    with pytest.raises(OpticalError, match="1,000 bytes were published"):
        fetch(PublishedFile(served.address("/big.bin"), "big.bin", size=1000), place)
    assert not place.exists()


def test_a_response_without_a_length_is_stopped_at_the_limit(served, place, monkeypatch):
    served.length = False
    remote = PublishedFile(served.address("/file.bin"), "file.bin")
    fetch(remote, place)
    assert place.read_bytes() == CONTENT
    monkeypatch.setattr(published, "LARGEST_FILE", 500_000)
    with pytest.raises(OpticalError, match="more than 500,000 bytes"):
        fetch(remote, place.with_name("other.bin"))
    assert left(place) == ["file.bin"]


def test_only_one_process_downloads_a_file(served, place):
    place.parent.mkdir(parents=True)
    with (place.parent / "file.bin.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another process"):
            fetch(PublishedFile(served.address("/file.bin"), "file.bin"), place)
    fetch(PublishedFile(served.address("/file.bin"), "file.bin"), place)
    assert place.read_bytes() == CONTENT


def test_a_path_that_cannot_be_written_is_named(served, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        fetch(PublishedFile(served.address("/file.bin"), "file.bin"), tmp_path / "file" / "file.bin")


def test_a_manipulated_version_file_does_not_become_a_header(served, place):
    place.parent.mkdir(parents=True)
    (place.parent / "file.bin.part").write_bytes(b"other bytes")
    (place.parent / "file.bin.part.json").write_text('{"validator": "a\\r\\nX-Evil: 1"}')
    fetch(PublishedFile(served.address("/file.bin"), "file.bin"), place)
    assert place.read_bytes() == CONTENT
