"""The registry of bitext formats: what built-in formats declare, and a format from another distribution."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engine.bitext import open_bitext
from engine.bitext.reader import format_of
from engine.bitext.source import read_source
from engine.bitext.text import read_text
from engine.config import BitextConfig
from engine.config.pretraining import TextConfig
from engine.datahome.formats.recognise import recognise
from engine.errors import InputError
from engine.extensions.bitext import BITEXT_FORMATS, BitextFormat, SentencePair
from engine.languages import names_language


def read_blocks(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Read blocks of two lines ``code: sentence``, separated by blank lines."""
    for number, block in enumerate(path.read_text("utf-8").strip().split("\n\n"), 1):
        texts = dict(line.split(": ", 1) for line in block.split("\n"))
        first, second = (
            next(texts[k] for k in texts if names_language(k, code)) for code in (source, target)
        )
        yield SentencePair(first, second, source, target, f"block{number}")


def block_languages(path: Path, names: Sequence[str]) -> list[str]:
    return [line.split(":")[0] for line in path.read_text("utf-8").split("\n")]


BLOCKS = BitextFormat(
    name="blocks",
    meaning="blocks of two lines, each with a language code",
    title="a file of blocks",
    read=read_blocks,
    endings=(".blocks",),
    is_folder=lambda names: any(name.endswith(".blocks") for name in names),
    matches=lambda sample: bool(sample.lines) and sample.lines[0].startswith("en: "),
    languages=block_languages,
)


@pytest.fixture
def blocks() -> Iterator[None]:
    BITEXT_FORMATS.register(BLOCKS)
    yield
    BITEXT_FORMATS.unregister("blocks")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.blocks"
    path.write_text("en: water\nsom: biyo\n\nen: house\nsom: guri\n", "utf-8")
    return path


def test_a_registered_format_is_read_recognised_and_accepted_in_settings(blocks: None, file: Path) -> None:
    expected = [("biyo", "water", "block1"), ("guri", "house", "block2")]
    for format in ("auto", "blocks"):
        pairs = open_bitext(file, language="so", format=format)
        assert [(pair.source, pair.target, pair.id) for pair in pairs] == expected
        config = BitextConfig(path=str(file), language="so", format=format)
        assert [pair.source for pair in read_source(config)] == ["biyo", "guri"]
        text = TextConfig(path=str(file), language="so", format=format, side="target")
        assert read_text(text) == ["water", "house"]
    seen = recognise(file)
    assert (seen.reader, seen.format) == ("blocks", "a file of blocks")
    assert {code: part.counts for code, part in seen.languages.items()} == {"so": {"pairs": 2}}
    assert format_of(file.parent) is BLOCKS


def test_a_format_that_is_not_registered_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="Input should be"):
        BitextConfig(path=str(file), language="so", format="blocks")


def test_every_format_declares_itself() -> None:
    endings: list[str] = []
    for name, entry in BITEXT_FORMATS.items():
        assert entry.name == name and entry.meaning and entry.title.split()[0] in ("a", "an", *PLURAL)
        endings += entry.endings
    assert len(endings) == len(set(endings)) and all(ending == ending.lower() for ending in endings)


PLURAL = ("line-aligned", "pairs", "tab-separated")  # titles of formats with several files or lines


def test_listing_the_formats_imports_no_parsers() -> None:
    code = (
        "import sys\nfrom engine.extensions.bitext import BITEXT_FORMATS\nassert len(BITEXT_FORMATS) >= 9\n"
        "print([name for name in ('torch', 'transformers', 'pyarrow', 'polib', 'numpy', 'langcodes') "
        "if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_variants_of_a_language_are_languages_of_their_own_in_an_imported_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"en": "x", "zho_Hans": "y", "zho_Hant": "z", "som_Latn": "w"}\n', "utf-8")
    assert set(recognise(path).languages) == {"zh-Hans", "zh-Hant", "so"}
    assert set(recognise(path, "zh-TW").languages) == {"zh-TW"}
    assert set(recognise(path, "som").languages) == {"so"}
    for language, text in (("zh-Hans", "y"), ("zh-TW", "z")):
        (pair,) = open_bitext(path, language=language)
        assert (pair.source, pair.source_language) == (text, "zh")


@pytest.mark.parametrize("name", ["two-scripts.tmx", "flores.tsv"])
def test_one_language_in_two_scripts(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "flores.tsv":
        path.write_text(
            "eng_Latn\tzho_Hans\tzho_Hant\nThe well is dry.\t这口井干了。\t這口井乾了。\n", "utf-8"
        )
    else:
        tags = (("en", "The well is dry."), ("zh-CN", "这口井干了。"), ("zh-TW", "這口井乾了。"))
        variants = "".join(f'<tuv xml:lang="{tag}"><seg>{text}</seg></tuv>' for tag, text in tags)
        path.write_text(f'<tmx version="1.4"><header/><body><tu>{variants}</tu></body></tmx>', "utf-8")
    for wanted, text in (
        ("zh-Hans", "这口井干了。"),
        ("zho_Hant", "這口井乾了。"),
        ("zh-TW", "這口井乾了。"),
    ):
        assert [pair.source for pair in open_bitext(path, language=wanted)] == [text]
    with pytest.raises(InputError, match=rf"{name}.*all match the language 'zho'; give one of them"):
        list(open_bitext(path, language="zho"))


def test_a_column_id_is_indonesian_only_if_no_other_column_is(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("id\tind\ten\n17\tsatu\tone\n", "utf-8")
    assert [pair.source for pair in open_bitext(path, language="id")] == ["satu"]
    path.write_text("id\ten\nsatu\tone\n", "utf-8")
    assert [pair.source for pair in open_bitext(path, language="ind")] == ["satu"]
