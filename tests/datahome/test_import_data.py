"""Importing: every format is recognised by its content, counted and copied, or refused in one sentence."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.cli.commands import run
from engine.collections.load import load_collections
from engine.config import BitextConfig, parse_config
from engine.datahome.datasets import Dataset, datasets
from engine.datahome.examples import usage
from engine.datahome.formats.recognise import recognise
from engine.datahome.import_data import import_data
from engine.errors import InputError

TMX = """<?xml version="1.0"?><tmx version="1.4"><header/><body>
<tu><tuv xml:lang="en"><seg>water</seg></tuv><tuv xml:lang="so"><seg>biyo</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>house</seg></tuv><tuv xml:lang="so"><seg>guri</seg></tuv>
<tuv xml:lang="sw"><seg>nyumba</seg></tuv></tu></body></tmx>"""
XLIFF = """<?xml version="1.0"?><xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file source-language="en" target-language="so" original="a" datatype="plaintext"><body>
<trans-unit id="1"><source>water</source><target>biyo</target></trans-unit></body></file></xliff>"""
PO = 'msgid ""\nmsgstr ""\n"Language: so\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
PO += 'msgid "water"\nmsgstr "biyo"\n'
JSONL = '{"translation": {"en": "water", "so": "biyo"}}\n{"translation": {"en": "house", "so": "guri"}}\n'
SCORED = "1.05\twater\tbiyo\n1.04\thouse\tguri\n"

FILES = {
    "memory.tmx": (TMX, "tmx", {"so": 2, "sw": 1}),
    "unknown-ending": (TMX, "tmx", {"so": 2, "sw": 1}),
    "exchange.xlf": (XLIFF, "xliff", {"so": 1}),
    "so.po": (PO, "gettext", {"so": 1}),
    "pairs.jsonl": (JSONL, "jsonl", {"so": 2}),
    "WikiMatrix.en-so.tsv": (SCORED, "tsv", {"so": 2}),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPTICAL_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "shared"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "home"


def named(name: str) -> Dataset:
    return next(dataset for dataset in datasets(catalogues=False) if dataset.name == name)


def lareqa(questions: int) -> str:
    """A file in LAReQA's format with one paragraph."""
    asked = [
        {"id": f"q{number}", "question": "Who?", "answers": [{"answer_start": 0, "text": "Abe"}]}
        for number in range(questions)
    ]
    paragraph = {
        **{"context": "Abe. Bee.", "sentences": ["Abe.", "Bee."], "sentence_breaks": [[0, 4], [5, 9]]},
        "qas": asked,
    }
    return json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]})


@pytest.mark.parametrize("name", FILES)
def test_bitext_is_recognised_by_content_counted_and_usable(home, name):
    content, reader, counts = FILES[name]
    Path(name).write_text(content, "utf-8")
    imported = import_data(Path(name))
    assert imported.data.reader == reader
    assert {code: part.counts["pairs"] for code, part in imported.data.languages.items()} == counts
    assert (imported.folder / name).read_text("utf-8") == content
    # The lines that are shown for a run's file read the same pairs from another folder.
    dataset = named(imported.name)
    assert dataset.kind == "bitext" and set(dataset.files) == set(counts)
    parsed = parse_config({"kind": "distil", "bitext": [_table(usage(dataset))]})
    (source,) = parsed.bitext
    assert isinstance(source, BitextConfig)
    from engine.bitext.source import read_source

    first = read_source(source)[0]
    assert (first.source, first.target) == ("biyo", "water")


def _table(text: str) -> dict:
    import tomllib

    ((_, (table,)),) = tomllib.loads(text).items()
    return table


def test_line_aligned_files_are_imported_together(home):
    for end, text in (("so", "biyo\nguri\n"), ("en", "water\nhouse\n"), ("scores", "1\n0.5\n")):
        Path(f"corpus.{end}").write_text(text)
    Path("other.txt").write_text("no part of it\n")
    imported = import_data(Path("corpus.en"))
    assert imported.name == "corpus" and imported.data.languages["so"].counts == {"pairs": 2}
    here = sorted(file.name for file in imported.folder.iterdir())
    assert here == ["corpus.en", "corpus.scores", "corpus.so", "imported.record"]
    Path("corpus.so").write_text("biyo\n")
    with pytest.raises(InputError, match="not aligned"):
        import_data(Path("corpus.en"), name="again")


def test_only_archives_that_readers_cannot_open_are_unpacked(home):
    with zipfile.ZipFile("opus.zip", "w") as archive:
        archive.writestr("corpus.so", "biyo\n")
        archive.writestr("corpus.en", "water\n")
    assert (import_data(Path("opus.zip")).folder / "opus.zip").is_file()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo("inner/pairs.jsonl")
        member.size = len(JSONL.encode())
        tar.addfile(member, io.BytesIO(JSONL.encode()))
    Path("packed.tar.gz").write_bytes(stream.getvalue())
    imported = import_data(Path("packed.tar.gz"))
    assert imported.name == "packed" and (imported.folder / "pairs.jsonl").read_text() == JSONL
    assert sorted(entry.name for entry in home.iterdir()) == ["opus", "packed"]
    with pytest.raises(InputError, match="cannot be linked"):
        import_data(Path("packed.tar.gz"), name="again", link=True)


def test_an_unsafe_archive_leaves_no_file(home):
    with zipfile.ZipFile("bad.zip", "w") as archive:
        archive.writestr("../pairs.jsonl", JSONL)
    with pytest.raises(InputError, match="points outside"):
        import_data(Path("bad.zip"))
    assert not home.exists() or not any(home.iterdir())


def test_a_gettext_folder_is_recognised_by_its_locales(home):
    for locale in ("so", "pt_BR", "en"):
        folder = Path("app") / "locale" / locale / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / "app.po").write_text(PO.replace("Language: so", f"Language: {locale}"))
    imported = import_data(Path("app"))
    assert imported.data.kind == "catalogues" and sorted(imported.data.languages) == ["pt", "so"]
    assert named("app").kind == "catalogues"
    assert run(["data", "check", "app"]) == 0


def test_a_compiled_catalogue(home):
    messages = [(b"", b"Language: so\nContent-Type: text/plain; charset=UTF-8\n"), (b"water", b"biyo")]
    offset = 28 + 16 * len(messages)
    tables, data = [b"", b""], b""
    for side in (0, 1):
        for message in messages:
            tables[side] += struct.pack("<II", len(message[side]), offset + len(data))
            data += message[side] + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(messages), 28, 28 + 8 * len(messages), 0, 0)
    Path("x.mo").write_bytes(head + b"".join(tables) + data)
    assert import_data(Path("x.mo")).data.languages["so"].counts == {"pairs": 1}


def test_parquet_by_its_columns(home):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"en": ["water", "house"], "sw": ["maji", "nyumba"]}), "p.parquet")
    assert import_data(Path("p.parquet")).data.languages["sw"].counts == {"pairs": 2}


def test_an_imported_folder_can_be_evaluated_on(home):
    Path("mine/qrels").mkdir(parents=True)
    Path("mine/corpus.jsonl").write_text('{"_id": "d1", "text": "maji safi", "language": "sw"}\n')
    Path("mine/queries.jsonl").write_text('{"_id": "q1", "text": "water", "language": "en"}\n')
    Path("mine/qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    imported = import_data(Path("mine"))
    assert imported.data.languages["en"].counts == {"topics": 1, "documents": 1}
    shutil.rmtree("mine")
    config = parse_config({"kind": "evaluate", "encoder": {}, "collections": [_table(usage(named("mine")))]})
    (collection,) = load_collections(config.collections[0])
    assert [query.text for query in collection.queries] == ["water"]
    assert run(["data", "check", "mine"]) == 0


def test_data_in_lareqas_format_is_a_data_set_of_its_own(home):
    Path("ours").mkdir()
    for code in ("so", "en"):
        Path("ours", f"{code}.json").write_text(lareqa(3))
    imported = import_data(Path("ours"))
    assert imported.data.known == "" and imported.name == "ours"
    assert imported.data.languages["so"].counts == {"questions": 3, "sentences": 2}
    assert 'path = "ours"' in usage(named("ours")) and run(["data", "check", "ours"]) == 0
    with pytest.raises(InputError, match="import the folder with all its languages"):
        import_data(Path("ours/so.json"), name="single")


def test_the_usage_of_every_data_set_is_a_valid_configuration(home):
    for dataset in datasets(catalogues=False):
        kind = {"kind": "evaluate", "encoder": {}} if dataset.kind == "collection" else {"kind": "distil"}
        key = "collections" if dataset.kind == "collection" else "bitext"
        assert parse_config({**kind, key: [_table(usage(dataset))]}), dataset.name


def test_linking_links_to_the_files(home):
    Path("pairs.jsonl").write_text(JSONL)
    imported = import_data(Path("pairs.jsonl"), link=True)
    assert (imported.folder / "pairs.jsonl").readlink() == Path("pairs.jsonl").resolve()
    assert run(["data", "check", "pairs"]) == 0
    Path("pairs.jsonl").write_text(JSONL.splitlines()[0])
    assert run(["data", "check", "pairs"]) == 1


def test_a_dry_run_reports_and_imports_nothing(home, capsys):
    Path("pairs.jsonl").write_text(JSONL)
    assert run(["data", "import", "pairs.jsonl", "--dry-run", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["name"] == "pairs" and report["languages"]["so"]["counts"] == {"pairs": 2}
    assert not home.exists()
    assert run(["data", "import", "pairs.jsonl"]) == 0
    assert "Somali" in capsys.readouterr().out
    assert run(["data", "import", "pairs.jsonl"]) == 2
    assert "it exists already" in capsys.readouterr().err


def test_unknown_languages_are_asked_for(home):
    Path("plain.tsv").write_text("biyo\twater\nguri\thouse\n")
    with pytest.raises(InputError, match="--language"):
        import_data(Path("plain.tsv"))
    assert import_data(Path("plain.tsv"), language="som").data.languages["so"].counts == {"pairs": 2}
    with pytest.raises(InputError, match="unknown language"):
        import_data(Path("plain.tsv"), name="b", language="xxxx")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"just a few\nlines of text\n", "not recognised"),
        (b"", "not recognised"),
        (bytes(range(256)) * 10, "not recognised"),
        (b"q1 0 d1 1\nq2 0 d2 0\nq3 0 d3 1\n", "relevance judgements"),
        (b"1\tfirst topic\n2\tsecond topic\n", "not recognised"),
        (b'{"docid": "1", "text": "a"}\n', "not recognised"),
        (TMX.encode()[:150], "well-formed"),
        (b"<tmx><header/><body/></tmx>", "are unknown"),
        (b"PK\x03\x04 no archive", "damaged"),
        (b"PAR1 no table", "cannot be read"),
    ],
)
def test_unknown_and_broken_files_are_refused(home, content, match):
    Path("thing").write_bytes(content)
    with pytest.raises(InputError, match=match) as caught:
        import_data(Path("thing"))
    assert "\n" not in str(caught.value) and "thing" in str(caught.value)
    assert not home.exists() or not any(home.iterdir())


@pytest.mark.parametrize("name", ["..", "a/b", "Upper", "", "lareqa", "xquad-r", ".hidden"])
def test_invalid_names_are_refused(home, name):
    Path("pairs.jsonl").write_text(JSONL)
    if name:
        with pytest.raises(InputError, match="name"):
            import_data(Path("pairs.jsonl"), name=name)
    else:
        assert import_data(Path("pairs.jsonl"), name=name).name == "pairs"


def test_a_broken_manifest_hides_no_other_data(home):
    Path("pairs.jsonl").write_text(JSONL)
    import_data(Path("pairs.jsonl"))
    for name, record in (("bad", "[]"), ("worse", '{"kind": "bitext"}'), ("worst", "{")):
        (home / name).mkdir()
        (home / name / "imported.record").write_text(record)
    assert named("pairs").files and not {"bad", "worse", "worst"} & {
        d.name for d in datasets(catalogues=False)
    }


@pytest.mark.data
def test_the_real_data_is_recognised_and_added_to_its_folder(home, data_home):
    somali = import_data(data_home / "tico-19" / "all.en-so.tmx.zip")
    assert (somali.name, somali.folder) == ("tico-19", home / "tico-19")
    import_data(data_home / "tico-19" / "all.en-sw.tmx.zip")
    import_data(data_home / "tico-19" / "all.en-so.tmx.zip")  # importing the same file again is no conflict
    assert set(named("tico-19").files) == {"so", "sw"}
    (home / "tico-19" / "all.en-sw.tmx.zip").write_bytes(b"another")
    with pytest.raises(InputError, match="another file is there"):
        import_data(data_home / "tico-19" / "all.en-sw.tmx.zip")
    assert import_data(data_home / "xquad-r" / "th.json").name == "lareqa"
    africa = import_data(data_home / "africlirmatrix")
    assert africa.data.languages["so"].counts == {"topics": 1000, "judgements": 1049}
    assert import_data(data_home / "tatoeba", dry_run=True).data.known == "tatoeba"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([TMX, XLIFF, PO, JSONL, SCORED, lareqa(2)]).map(str.encode),
    st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=3)), max_size=4),
    st.integers(0, 3000),
    st.booleans(),
)
def test_damaged_files_are_recognised_or_refused_in_one_sentence(tmp_path, content, changes, cut, packed):
    damaged = bytearray(content)
    for place, value in changes:
        start = place % len(damaged)
        damaged[start : start + len(value)] = value
    damaged = damaged[: cut or None]
    file = tmp_path / ("x.en-so.gz" if packed else "x.en-so")
    file.write_bytes(gzip.compress(bytes(damaged)) if packed else bytes(damaged))
    try:
        seen = recognise(file)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert seen.languages and all(sum(part.counts.values()) for part in seen.languages.values())


# -- a folder in BEIR's format -----------------------------------------------------------------------


def beir(folder: Path, *, corpus: str = "corpus.jsonl", splits: tuple[str, ...] = ("test",)) -> Path:
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": "d1", "title": "", "text": "water"}, {"_id": "d2", "text": "house"}]
    queries = [{"_id": "q1", "text": "biyo"}, {"_id": "q2", "text": "guri"}]
    for name, records in ((corpus, documents), ("queries.jsonl", queries)):
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    for split in splits:
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    return folder


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, ['languages = ["so"]', 'document_languages = ["so"]']),
        ({"corpus": "corpus.en.jsonl"}, ['languages = ["so"]']),
        (
            {"splits": ("dev", "train")},
            ['split = "dev"', 'languages = ["so"]', 'document_languages = ["so"]'],
        ),
    ],
)
def test_the_lines_shown_for_an_imported_beir_folder_pass_the_check(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], lines: list[str]
) -> None:
    folder = beir(tmp_path / "mine", **options)
    assert run(["data", "import", str(folder), "--language", "so"]) == 0
    assert run(["data", "check", "mine"]) == 0
    capsys.readouterr()
    assert run(["data", "show", "mine", "--json"]) == 0
    use = json.loads(capsys.readouterr().out)["use"]
    assert use.splitlines() == ["[[collections]]", 'name = "folder"', 'path = "mine"', *lines]
    file = tmp_path / "run.toml"
    file.write_text(f'kind = "lexical"\n{use}\n')
    assert run(["config", "check", str(file), "--json"]) == 0
    (described,) = json.loads(capsys.readouterr().out)["collections"]
    assert (described["queries"], described["documents"]) == (1, 2)


def test_a_beir_folder_without_a_language_says_how_to_give_it(tmp_path: Path, home: Path) -> None:
    folder = beir(tmp_path / "mine")
    with pytest.raises(
        InputError, match=r"corpus\.jsonl, line 1: .* --language CODE, or call the file corpus"
    ):
        import_data(folder)
