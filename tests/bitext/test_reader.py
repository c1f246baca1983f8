"""Sources of any format are found, cleaned, counted and cut to a range."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bitext import Drops, open_bitext
from engine.bitext.reader import normalise
from engine.config import BitextConfig
from engine.errors import InputError
from engine.extensions.bitext import BITEXT_FORMATS

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(*rows: str, name: str = "a.tsv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
        return path

    return write


def test_every_reason_to_drop_is_counted_once(write: Write) -> None:
    path = write(
        "1\tkow\tone",
        "1\t \tempty",
        f"1\t{'x' * 21}\t{'y' * 20}",
        "1\tx\tyyyyyy",
        "0.5\tlaba\ttwo",
        "1\tkow\tone",
        "1\tkow\tdifferent",
        f"0\t{'x' * 21}\ty",
    )
    drops = Drops()
    limits: dict[str, Any] = {"max_characters": 20, "max_ratio": 5.0, "min_score": 0.75}
    pairs = list(open_bitext(path, language="so", drops=drops, **limits))
    assert [pair.target for pair in pairs] == ["one", "different"]
    assert drops == Drops(read=8, kept=2, empty=1, too_long=2, ratio=1, low_score=1, duplicate=1)
    assert drops.dropped == 6
    assert drops.sentence() == (
        "8 pairs read, 2 kept, 6 dropped (1 empty, 2 too long, 1 ratio, 1 low score, 1 duplicate)"
    )


def test_limits_are_inclusive(write: Write) -> None:
    path = write(f"1\t{'x' * 20}\t{'y' * 4}")
    assert len(list(open_bitext(path, language="so", max_characters=20, max_ratio=5.0, min_score=1.0))) == 1


def test_counts_of_several_sources_add_up(write: Write) -> None:
    drops = Drops()
    for name in ("a.tsv", "b.tsv"):
        list(open_bitext(write("kow\tone", "kow\tone", name=name), language="so", drops=drops))
    assert drops == Drops(read=4, kept=2, duplicate=2)
    with pytest.raises(
        InputError, match=r"no pair is left to use: 1 pair read, 0 kept, 1 dropped \(1 empty\)"
    ):
        list(open_bitext(write("\tone"), language="so", drops=drops))
    assert drops == Drops(read=5, kept=2, duplicate=2, empty=1)


def test_counts_without_drops_are_one_short_line() -> None:
    assert Drops(read=1200, kept=1200).sentence() == "1,200 pairs read, 1,200 kept"


def test_duplicates_are_found_after_normalisation(write: Write) -> None:
    path = write("caf\u00e9  kow\tone", "cafe\u0301 kow\tone\u00a0")
    assert [pair.source for pair in open_bitext(path, language="so")] == ["caf\u00e9 kow"]


def test_the_range_counts_before_anything_is_dropped(write: Write) -> None:
    path = write("a\tone", "\tempty", "a\tone", "b\ttwo", "c\tthree")

    def ids(start: int, stop: int | None) -> list[str]:
        return [pair.id for pair in open_bitext(path, language="so", start=start, stop=stop)]

    assert ids(0, 4) == ["1", "4"]
    assert ids(2, 4) == ["3", "4"]
    assert ids(3, None) == ids(3, 99) == ["4", "5"]


def test_a_range_beyond_the_end_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match=r"a\.tsv: there are no pairs from number 5 on"):
        list(open_bitext(write("a\tone"), language="so", start=5))
    for start, stop in ((3, 3), (-1, None), (2, 0)):
        with pytest.raises(InputError, match="leave no pairs; stop must be above start"):
            open_bitext(write("a\tone"), language="so", start=start, stop=stop)


def test_pairs_have_canonical_language_codes(write: Write) -> None:
    (pair,) = open_bitext(write("kow\tone"), language="som", target_language="eng")
    assert (pair.source_language, pair.target_language) == ("so", "en")


def test_relative_paths_are_looked_up_in_the_working_folder_then_in_the_data_home(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("guri\thome", name="home/a/x.tsv")
    monkeypatch.setenv("OPTICAL_DATA", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert [pair.target for pair in open_bitext("a/x.tsv", language="so")] == ["home"]
    write("halkan\there", name="a/x.tsv")
    assert [pair.target for pair in open_bitext("a/x.tsv", language="so")] == ["here"]
    assert [pair.target for pair in open_bitext(Path("home/a/x.tsv"), language="so")] == ["home"]


def test_prefixes_are_looked_up_in_the_data_home_too(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("kow", name="t/tatoeba.som-eng.som")
    write("one", name="t/tatoeba.som-eng.eng")
    monkeypatch.setenv("OPTICAL_DATA", str(tmp_path))
    assert [pair.target for pair in open_bitext("t/tatoeba.som-eng", language="so")] == ["one"]


def test_missing_files_are_refused_immediately(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTICAL_DATA", str(tmp_path / "home"))
    with pytest.raises(
        InputError, match=r"x\.tmx: no such file or folder in .* the data home .*home;.* OPTICAL_DATA"
    ):
        open_bitext("x.tmx", language="so")
    with pytest.raises(InputError, match=r"x\.tmx: no such file or folder; give another path"):
        open_bitext(tmp_path / "x.tmx", language="so")


def test_a_folder_where_a_file_is_needed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        list(open_bitext(tmp_path, language="so", format="tsv"))


def test_wrong_arguments_are_refused_immediately(write: Write) -> None:
    path = write("kow\tone")
    with pytest.raises(InputError, match=r"unknown language code 'so1'"):
        open_bitext(path, language="so1")
    with pytest.raises(InputError, match=r"both sides would be in 'en'"):
        open_bitext(path, language="eng")
    with pytest.raises(InputError, match=r"unknown bitext format 'tmxx' \(did you mean 'tmx'\?\)"):
        open_bitext(path, language="so", format="tmxx")


def test_the_setting_format_has_precedence_over_the_name(write: Write) -> None:
    assert len(list(open_bitext(write("kow\tone", name="pairs.dat"), language="so", format="tsv"))) == 1


def test_configurations_accept_the_formats_that_are_read() -> None:
    schema = BitextConfig.model_json_schema()["properties"]["format"]
    assert schema["enum"] == ["auto", *BITEXT_FORMATS]
    for name in BITEXT_FORMATS:
        assert BitextConfig(path="a", language="so", format=name).format == name
    with pytest.raises(ValueError, match=r"'auto', 'tmx', .* 'parquet', 'afriqa', .* or 'ntrex'"):
        BitextConfig(path="a", language="so", format="tmxx")


@given(st.text(st.sampled_from("aé´e\u0301 \u00a0\u2000\t\n\x00\x1c\u200b한ᄒ"), max_size=12) | st.text())
def test_text_is_composed_and_has_single_spaces_between_its_words(text: str) -> None:
    bare = "".join(c for c in text if not (c < "\t" or "\x0e" <= c < " " or c == "\x7f"))
    words = unicodedata.normalize("NFC", bare).split()
    assert normalise(text) == " ".join(words)
