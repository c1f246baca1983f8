"""Datasets of the Hugging Face hub in the layout of its cache, and those that the library datasets saves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.bitext import open_bitext
from engine.bitext.hub import HubPath, hub_path
from engine.cli.commands import run as run_command
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.errors import InputError, OpticalError

ROWS = [("kow", "one"), ("laba", "two"), ("saddex", "three")]
Put = Callable[..., Path]


def texts(path: str | Path, **settings: Any) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in open_bitext(path, language="so", **settings)]


def parquet(path: Path, rows: list[tuple[str, str]] = ROWS) -> None:
    pq.write_table(pa.table({"translation": [{"so": so, "en": en} for so, en in rows]}), path)


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """A function that puts a file into the hub's cache as ``huggingface_hub`` does, and returns its blob."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(name: str, content: str = "", *, commit: str = "a" * 40, ref: str = "main") -> Path:
        folder = tmp_path / "hub" / "datasets--owner--name"
        (folder / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (folder / "refs" / ref).write_text(commit)
        blob = folder / "blobs" / f"{commit[:2]}{name.replace('/', '-')}"
        blob.parent.mkdir(exist_ok=True)
        blob.write_text(content)
        link = folder / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
        return blob

    return put


def test_a_split_a_file_and_a_revision_are_read_from_the_cache(put: Put) -> None:
    for number in range(2):
        parquet(put(f"en-so/train-{number:05}-of-00002.parquet"), ROWS[number : number + 2 - number])
    parquet(put("en-so/test-00000-of-00001.parquet"), ROWS[2:])
    put("lines.jsonl", "".join(json.dumps({"so": so, "en": en}) + "\n" for so, en in ROWS))
    put("cells.csv", 'so,en,score\n"kow, laba",one,1.5\n"a\nb",two,0.1\n')
    put("lines.jsonl", '{"so": "afar", "en": "four"}\n', commit="b" * 40, ref="refs/convert/parquet")
    root = "hf://datasets/owner/name"
    assert texts(f"{root}/en-so/train") == [ROWS[0], ROWS[1]]
    assert texts(f"{root}/en-so/test-00000-of-00001.parquet") == ROWS[2:]
    assert texts(f"{root}/lines.jsonl") == ROWS
    assert texts(Path(f"{root}/lines.jsonl")) == ROWS  # a path object has one slash
    assert texts(f"{root}@main/cells.csv", min_score=1) == [("kow, laba", "one")]
    assert texts(f"{root}/cells.csv") == [("kow, laba", "one"), ("a b", "two")]
    for revision in ("b" * 40, "~parquet", "refs%2Fconvert%2Fparquet"):
        assert texts(f"{root}@{revision}/lines.jsonl") == [("afar", "four")]
    with pytest.raises(InputError, match=r"it holds several splits \(test, train\)"):
        texts(f"{root}/en-so")


def test_a_collection_is_read_from_the_cache(put: Put) -> None:
    put("corpus.jsonl", '{"_id": "d1", "text": "a river"}\n{"_id": "d2", "text": "a stone"}\n')
    put("queries.jsonl", '{"_id": "q1", "text": "webi"}\n')
    put("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    config = CollectionConfig(
        name="folder", path="hf://datasets/owner/name", languages=["so"], document_languages=["en"]
    )
    (collection,) = load_collections(config)
    assert [query.text for query in collection.queries] == ["webi"] and len(collection.documents) == 2


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (
            "hf://datasets/other/name",
            "not in the local cache of the hub; download it with .*data fetch hf://",
        ),
        ("hf://datasets/owner/name@v2", "not in the local cache of the hub"),
        ("hf://datasets/owner/name/so/train", r"no such file of this dataset; it has so/dev\.jsonl;"),
        ("hf://datasets/owner/name/../x", "no address of a dataset"),
        ("hf://datasets/owner", "no address of a dataset"),
        ("hf://owner/name", "no address of a dataset"),
    ],
)
def test_what_is_not_there_is_one_sentence(put: Put, path: str, says: str) -> None:
    put("so/dev.jsonl", "{}")
    with pytest.raises(InputError, match=says) as raised:
        texts(path)
    assert "\n" not in str(raised.value)


def test_the_script_of_a_dataset_is_never_run(put: Put, tmp_path: Path) -> None:
    put("name.py", f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(InputError, match="made by a script, which is never run; hf://datasets/owner/name@~"):
        texts("hf://datasets/owner/name/data/train")
    assert not (tmp_path / "ran").exists()


def test_only_data_is_downloaded(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.utils import filter_repo_objects

    on_hub = {
        "so/train.jsonl": '{"so": "kow", "en": "one"}\n',
        "so/train.py": "",
        "sw/train.jsonl": "{}",
        "README.md": "",
        "name.py": "",
    }
    fetched: list[str] = []

    def download(name: str, *, repo_type: str, revision: str | None, allow_patterns: list[str]) -> str:
        assert (name, repo_type, revision) == ("owner/name", "dataset", None)
        fetched[:] = filter_repo_objects(on_hub, allow_patterns=allow_patterns)
        for file in fetched:
            blob = put(file, on_hub[file])
        return str(blob.parent.parent / "snapshots" / ("a" * 40))

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    real = __import__("huggingface_hub").snapshot_download
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda name, **asked: real(name, **asked) if "local_files_only" in asked else download(name, **asked),
    )
    assert run_command(["data", "fetch", "hf://datasets/owner/name/so/train"]) == 0
    assert sorted(fetched) == ["README.md", "so/train.jsonl"]
    assert texts("hf://datasets/owner/name/so/train.jsonl") == [("kow", "one")]


def test_offline_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OpticalError, match="hf://datasets/owner/name: HF_HUB_OFFLINE is set"):
        HubPath("owner/name", None, "").fetch()


def test_a_hub_that_cannot_be_reached_is_one_sentence(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        "huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9"
    )  # discard: nothing listens
    with pytest.raises(OpticalError, match="hf://datasets/owner/name: it cannot be downloaded") as raised:
        HubPath("owner/name", None, "").fetch()
    assert "\n" not in str(raised.value)


def test_data_show_names_the_address_and_not_the_cache(
    put: Put, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet(put("en-so/train-00000-of-00001.parquet"))
    for inner in ("en-so", "en-so/train", "en-so/train-00000-of-00001.parquet"):
        name = f"hf://datasets/owner/name/{inner}"
        assert run_command(["data", "show", name, "--json"]) == 0
        (shown,) = json.loads(capsys.readouterr().out)
        assert shown["language"] == "so" and shown["counts"] == {"read": 3, "used": 3}
        assert str(tmp_path) not in json.dumps(shown)
        assert texts(shown["settings"]["path"], format=shown["settings"]["format"]) == ROWS


def test_addresses_are_written_as_they_are_read() -> None:
    for address in (
        "hf://datasets/o/n",
        "hf://datasets/o.x/n-1@v1.0/data/train",
        "hf://datasets/o/n@refs%2Fconvert%2Fparquet/default/train",
    ):
        assert str(hub_path(address)) == address
    assert hub_path("folder/hf.tsv") is None


def test_what_the_library_datasets_saves_is_read_as_it_loads_it(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{"id": str(number), "translation": {"so": so, "en": en}} for number, (so, en) in enumerate(ROWS)]
    split = datasets.Dataset.from_list(rows)
    split.save_to_disk(str(tmp_path / "one"), num_shards=2)
    datasets.DatasetDict(train=split, test=split.select([2])).save_to_disk(str(tmp_path / "both"))
    for place in (tmp_path / "one", tmp_path / "both" / "train", tmp_path / "both" / "test"):
        loaded = datasets.load_from_disk(str(place))["translation"]
        assert texts(place) == [(row["so"], row["en"]) for row in loaded]
