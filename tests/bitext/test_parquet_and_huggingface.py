"""Parquet files and saved datasets, in the layouts that Hugging Face's library writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.bitext import Drops, open_bitext
from engine.errors import InputError
from engine.jobs.child import child_environment

ROWS = [("kow", "one"), ("laba", "two"), ("saddex", "three")]


def table(rows: list[tuple[str, str]] = ROWS, **more: list[Any]) -> pa.Table:
    return pa.table({"so": [source for source, _ in rows], "en": [target for _, target in rows], **more})


def translation(rows: list[tuple[str, str]] = ROWS) -> pa.Table:
    cells = [{"en": target, "so": source} for source, target in rows]
    return pa.table({"id": [f"n{number}" for number in range(len(rows))], "translation": cells})


def stream(path: Path, content: pa.Table, rows: int = 2) -> Path:
    """Write like the library's ArrowWriter: a stream of record batches with an end marker."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, content.schema) as writer:
        writer.write_table(content, max_chunksize=rows)
    return path


def saved(folder: Path, *shards: pa.Table) -> Path:
    names = [f"data-{number:05d}-of-{len(shards):05d}.arrow" for number in range(len(shards))]
    for name, shard in zip(names, shards, strict=True):
        stream(folder / name, shard)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None, "_fingerprint": "0"}
    folder.joinpath("state.json").write_text(json.dumps(state))
    folder.joinpath("dataset_info.json").write_text("{}")
    return folder


def texts(path: Path, **settings: Any) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in open_bitext(path, language="so", **settings)]


def refuse(path: Path, sentence: str, **settings: Any) -> None:
    with pytest.raises(InputError, match=sentence):
        texts(path, **settings)


def test_columns_by_language_with_score_and_id(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table(id=[7, 8, 9], laser_score=[1.1, 1.0, None]), path)
    drops = Drops()
    pairs = list(open_bitext(path, language="som", min_score=1.04, drops=drops))
    assert [(pair.id, pair.source, pair.target, pair.score) for pair in pairs] == [
        ("7", "kow", "one", 1.1),
        ("9", "saddex", "three", None),
    ]
    assert drops == Drops(read=3, kept=2, low_score=1)


@pytest.mark.parametrize(
    "content",
    [
        translation(),
        table().rename_columns(["som_Latn", "eng_Latn"]),
        table().rename_columns(["source", "target"]),
        table().rename_columns(["non_english", "english"]),
        table().cast(pa.schema([("so", pa.large_string()), ("en", pa.string_view())])),
        table().set_column(0, "so", pa.array([s for s, _ in ROWS]).dictionary_encode()),
    ],
)
def test_names_and_types_of_columns(tmp_path: Path, content: pa.Table) -> None:
    stream(tmp_path / "a.arrow", content)
    assert texts(tmp_path / "a.arrow") == ROWS
    if not any(pa.types.is_string_view(kind) for kind in content.schema.types):
        pq.write_table(content, tmp_path / "a.parquet")
        assert texts(tmp_path / "a.parquet") == ROWS


def test_a_column_id_can_be_indonesian(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["satu"], "en": ["one"]}), tmp_path / "a.parquet")
    (pair,) = open_bitext(tmp_path / "a.parquet", language="id")
    assert (pair.id, pair.source, pair.target) == ("1", "satu", "one")
    pq.write_table(pa.table({"id": ["x"], "source": ["satu"], "target": ["one"]}), tmp_path / "b.parquet")
    (pair,) = open_bitext(tmp_path / "b.parquet", language="id")
    assert (pair.id, pair.source) == ("x", "satu")


def test_a_saved_dataset_is_read_in_the_order_of_its_list(tmp_path: Path) -> None:
    folder = saved(tmp_path / "d", translation(ROWS[:1]), translation(ROWS[1:]))
    assert texts(folder) == ROWS
    state = json.loads(folder.joinpath("state.json").read_text())
    state["_data_files"].reverse()
    folder.joinpath("state.json").write_text(json.dumps(state))
    assert texts(folder) == [*ROWS[1:], ROWS[0]]
    folder.joinpath("data-00001-of-00002.arrow").unlink()
    refuse(folder, r"data-00001-of-00002\.arrow: cannot be read \(.*\)")


def test_one_of_several_splits_is_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        saved(tmp_path / "d" / split, table())
    listed = tmp_path / "d" / "dataset_dict.json"
    listed.write_text('{"splits": ["train", "test"]}')
    refuse(tmp_path / "d", r"it holds several splits \(train, test\); name one of them, as in .*d/train")
    assert texts(tmp_path / "d" / "train") == ROWS
    listed.write_text('{"splits": ["train"]}')
    assert texts(tmp_path / "d") == ROWS


def test_the_shards_of_a_split_are_found_by_their_prefix(tmp_path: Path) -> None:
    folder = tmp_path / "repo" / "data"
    folder.mkdir(parents=True)
    pq.write_table(table(ROWS[:1]), folder / "train-00000-of-00002.parquet")
    pq.write_table(table(ROWS[1:]), folder / "train-00001-of-00002.parquet")
    assert texts(tmp_path / "repo") == texts(folder) == texts(folder / "train") == ROWS
    pq.write_table(table(), folder / "test-00000-of-00001.parquet")
    refuse(tmp_path / "repo", r"it holds several splits \(test, train\); give the path of one's file")
    assert texts(folder / "train") == ROWS
    folder.joinpath("train-00001-of-00002.parquet").unlink()
    refuse(folder / "train", r"1 of its 2 files are there; fetch the rest")


def test_files_in_the_cache_of_the_library(tmp_path: Path) -> None:
    stream(tmp_path / "json-train.arrow", table())
    stream(tmp_path / "cache-0123456789abcdef.arrow", table([("x", "y")]))
    assert texts(tmp_path) == ROWS
    stream(tmp_path / "json-test.arrow", table())
    refuse(tmp_path, r"several splits \(test, train\)")
    assert texts(tmp_path / "json-train.arrow") == ROWS


@pytest.mark.parametrize("name", ["../x.arrow", "/etc/passwd", "..", "a\\b.arrow", "", None])
def test_a_list_of_files_outside_the_folder_is_refused(tmp_path: Path, name: object) -> None:
    folder = saved(tmp_path, table())
    folder.joinpath("state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    refuse(folder, r"state\.json: it lists .*, which is not a file next to it; do not trust it")
    folder.joinpath("dataset_dict.json").write_text(json.dumps({"splits": [name]}))
    refuse(folder, r"dataset_dict\.json: 'splits' must be a list of folders next to it")


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000, "{}", '{"_data_files": []}'])
def test_a_broken_list_of_files_is_refused(tmp_path: Path, text: str) -> None:
    folder = saved(tmp_path, table())
    folder.joinpath("state.json").write_text(text)
    refuse(folder, r"state\.json: (not JSON|not a JSON object|'_data_files' must list)")


def test_empty_cells_are_empty_sentences(tmp_path: Path) -> None:
    pq.write_table(table([("kow", "one"), (None, "two")]), tmp_path / "a.parquet")  # type: ignore[list-item]
    drops = Drops()
    assert texts(tmp_path / "a.parquet", drops=drops) == [("kow", "one")]
    assert drops == Drops(read=2, kept=1, empty=1)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"de": ["eins"], "en": ["one"]}, r"no columns for 'so' and 'en'; its columns are: de, en"),
        ({"so": [1], "en": ["one"]}, r"column 'so' holds int64, not sentences"),
        ({"so": [["kow"]], "en": ["one"]}, r"column 'so' holds list<.*>, not sentences"),
        ({"so": ["kow"], "en": ["one"], "score": ["high"]}, r"column 'score' holds string, not numbers"),
        ({"so": ["kow\0"], "en": ["one"]}, r"there is a NUL character in pair 1"),
        ({"translation": [{"de": "eins", "en": "one"}]}, r"its columns are: de, en"),
    ],
)
def test_tables_that_are_not_bitext_are_refused(
    tmp_path: Path, content: dict[str, Any], sentence: str
) -> None:
    pq.write_table(pa.table(content), tmp_path / "a.parquet")
    refuse(tmp_path / "a.parquet", r"a\.parquet: .*" + sentence)


def test_broken_utf_8_is_refused(tmp_path: Path) -> None:
    raw = pa.array([b"kow", b"l\xe1ba"], pa.binary()).view(pa.string())
    stream(tmp_path / "a.arrow", pa.table({"so": raw, "en": ["one", "two"]}), rows=1)
    refuse(tmp_path / "a.arrow", r"a\.arrow: the file is damaged or of another format \(.*UTF8")


@pytest.mark.parametrize("name", ["a.arrow", "a.parquet"])
def test_truncated_files_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.arrow":
        stream(path, table(), rows=1)
    else:
        pq.write_table(table(), path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        refuse(path, rf"{name}: the file is (damaged|cut short)")


DAMAGED = """
import sys
from pathlib import Path
from engine.bitext.formats.parquet import read_parquet
from engine.errors import InputError
path = Path(sys.argv[1])
whole = path.read_bytes()
truth = list(read_parquet(path, "so", "en"))
footer = int.from_bytes(whole[-8:-4], "little") + 8
refused = 0
for place in range(len(whole) - footer, len(whole)):
    for change in (1, 128):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
        try:
            assert list(read_parquet(path, "so", "en")) == truth, place
        except InputError as error:
            assert str(error).startswith(str(path)), error
            refused += 1
print(refused)
"""


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_a_damaged_footer_neither_ends_the_process_nor_changes_pairs(
    tmp_path: Path, compression: str
) -> None:
    path = tmp_path / "a.parquet"
    content = pa.table({"so": [row[0] for row in ROWS], "en": [row[1] for row in ROWS]})
    pq.write_table(content, path, compression=compression, use_dictionary=False, store_schema=False)
    done = subprocess.run(
        [sys.executable, "-c", DAMAGED, str(path)], env=child_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 50
