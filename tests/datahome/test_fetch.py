"""``data fetch``, from the command to the file in its folder, with a local server."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from engine.cli.commands import run
from engine.collections.checksums import checksums
from engine.datahome import published as catalogue
from engine.datahome.datasets import datasets
from engine.datahome.published import published_data
from engine.extensions.published import PublishedData, PublishedFile


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPTICAL_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "shared"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def publish(monkeypatch):
    """A function that replaces all published data."""

    def publish(*files: PublishedFile, **changes) -> None:
        facts = {"licence": "none", "source": "here", **changes}
        data = PublishedData("trial", "trial", files=files, **facts)
        monkeypatch.setattr(catalogue, "published_data", lambda: {"trial": data})

    return publish


def test_the_files_of_a_language_and_those_of_all(site, home, publish, capsys):
    names = {"so.tsv": "so", "sw.tsv": "sw", "all/topics.tsv": ""}
    site.files = {f"/{name}": name.encode() for name in names}
    publish(*(PublishedFile(site.address(f"/{name}"), name, code) for name, code in names.items()))
    assert run(["data", "fetch", "trial", "--language", "som"]) == 0
    assert "2 new files of trial" in capsys.readouterr().err
    assert (home / "trial" / "all" / "topics.tsv").read_bytes() == b"all/topics.tsv"
    assert (home / "trial" / "so.tsv").is_file() and not (home / "trial" / "sw.tsv").exists()
    assert run(["data", "fetch", "trial"]) == 0
    assert "1 new file" in capsys.readouterr().err
    assert run(["data", "fetch", "trial", "--language", "de"]) == 2
    assert "trial has no 'de'; it has so, sw" in capsys.readouterr().err


def test_an_archive_is_unpacked_and_deleted(site, home, publish, capsys):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a/b.txt", "content")
    site.files["/pack_1.zip"] = stream.getvalue()
    publish(PublishedFile(site.address("/pack_1.zip?download=1"), "", archive=True))
    site.files["/pack_1.zip?download=1"] = stream.getvalue()
    site.cut = [40]
    assert run(["data", "fetch", "trial"]) == 0
    assert (home / "trial" / "a" / "b.txt").read_text() == "content"
    assert [entry.name for entry in home.iterdir()] == ["trial"]


def test_an_unsafe_archive_changes_nothing(site, home, publish, capsys):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("../b.txt", "content")
    site.files["/pack.zip"] = stream.getvalue()
    publish(PublishedFile(site.address("/pack.zip"), "", archive=True))
    assert run(["data", "fetch", "trial"]) == 2
    assert "points outside" in capsys.readouterr().err
    assert [entry.name for entry in home.iterdir()] == ["pack.zip"]


def test_errors_are_one_line(site, home, publish, capsys):
    publish(PublishedFile(site.address("/gone"), "gone.tsv"))
    assert run(["data", "fetch", "trial"]) == 1
    *_, line = capsys.readouterr().err.strip().split("\n")
    assert site.address("/gone") in line and f"put it into {home / 'trial'}" in line
    publish(remark="its makers send it by post")
    assert run(["data", "fetch", "trial"]) == 2
    assert "its makers send it by post" in capsys.readouterr().err
    assert run(["data", "fetch", "tril"]) == 2
    assert "did you mean 'trial'" in capsys.readouterr().err
    assert run(["data", "fetch", "package:django"]) == 2
    assert "pip install django" in capsys.readouterr().err


def test_every_address_is_https_and_every_file_has_its_own_path():
    for resource in published_data().values():
        places = [remote.path for remote in resource.published_files]
        assert len(set(places)) == len(places)
        for remote in resource.published_files:
            assert remote.address.startswith("https://"), remote
            assert not Path(remote.path).is_absolute() and ".." not in Path(remote.path).parts
            assert remote.checksum == "" or remote.checksum.partition(":")[0] in ("md5", "sha256")


def test_published_counts_are_those_of_xtreme_r_and_the_papers():
    known = published_data()
    lareqa, tatoeba, mewsli = (
        known["lareqa"].published_counts,
        known["tatoeba"].published_counts,
        known["mewsli-x"].published_counts,
    )
    assert (sum(lareqa["questions"].values()), sum(lareqa["sentences"].values())) == (13_090, 13_014)
    small = {"jv": 205, "te": 234, "ta": 307, "sw": 390, "th": 548, "kk": 575, "ml": 687, "ka": 746}
    assert len(tatoeba["pairs"]) == 112 and small.items() <= tatoeba["pairs"].items()
    assert mewsli["candidates"] == {"all": 1_003_893}
    assert (sum(mewsli["mentions (dev)"].values()), sum(mewsli["mentions (test)"].values())) == (2991, 14_624)
    assert set(known["mmarco"].published_counts["documents"].values()) == {8_841_823}
    assert known["mmarco"].published_counts["topics (dev/small)"]["hi"] == 6980
    assert len(known["wikiclir"].published_counts["documents"]) == 25 and len(known["miracl"].languages) == 18


def test_files_for_ir_datasets_are_where_it_looks_for_them(home, tmp_path):
    import ir_datasets

    resource = published_data()["miracl"]
    topics = next(remote for remote in resource.published_files if remote.path.endswith("sw/dev/topics.tsv"))
    download = ir_datasets.util.DownloadConfig.context("miracl", tmp_path / "shared" / "miracl")
    expected = download["v1.0/sw/dev/topics"]
    assert str(resource.place / topics.path) == str(expected.path(force=False))


@pytest.mark.data
def test_published_checksums_are_those_of_the_real_files(data_home):
    import hashlib

    for folder, name in (("xquad-r", "ar.json"), ("tatoeba", "tatoeba.swh-eng.swh")):
        size, digest = checksums()[folder][name]
        content = (data_home / folder / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest)


def test_mewsli_x_and_large_collections_are_counted_by_lines(home, tmp_path, capsys):
    folder = home / "mewsli-x"
    folder.mkdir(parents=True)
    (folder / "candidate_set_entities.jsonl").write_text('{"entity_id": "Q1"}\n{"entity_id": "Q2"}\n')
    for part, count in (("dev", 318), ("test", 2)):
        article = {"context": {"language": "ar", "text": ""}, "mentions": [{}] * count}
        (folder / f"wikinews_mentions_no_text-{part}.jsonl").write_text(json.dumps(article) + "\n")
    corpus = tmp_path / "shared" / "miracl" / "v1.0" / "sw" / "docs"
    corpus.mkdir(parents=True)
    import gzip

    (corpus / "docs-0.jsonl.gz").write_bytes(gzip.compress(b'{"docid": "1"}\n{"docid": "2"}'))
    assert {dataset.name for dataset in datasets(catalogues=False) if dataset.files} == {"mewsli-x", "miracl"}
    assert run(["data", "check", "mewsli-x", "miracl", "--language", "ar", "--json"]) == 2
    capsys.readouterr()
    assert run(["data", "check", "mewsli-x", "--language", "ar", "--json"]) == 1
    everything, arabic = json.loads(capsys.readouterr().out)
    assert everything["counts"] == {"candidates": 2} and "published with 1,003,893" in everything["problem"]
    assert arabic["counts"] == {"mentions (dev)": 318, "mentions (test)": 2}
    assert "2 mentions (test) and was published with 1,501" in arabic["problem"]
    assert run(["data", "check", "miracl", "--json"]) == 1
    (swahili,) = json.loads(capsys.readouterr().out)
    assert swahili["counts"] == {"documents": 2} and swahili["published"]["documents"] == 131_924
    assert "is missing; optical-workbench data fetch miracl" in swahili["problem"]
