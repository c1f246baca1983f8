"""Values as text for a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from engine.durations import age_text, duration_text
from workbench.widgets.text import fit, p_value, plain, signed


@given(st.text(max_size=60), st.integers(0, 30))
def test_fitted_text_has_the_width_and_no_control_characters(text: str, width: int) -> None:
    cleaned = plain(text)
    assert cell_len(fit(cleaned, width)) == width
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in cleaned)
    assert not set(cleaned) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")


def test_numbers_as_short_text() -> None:
    assert [signed(value) for value in (0.0104, -0.25, 0.0, -0.0001, 1.5)] == [
        "+.010",
        "−.250",
        " .000",
        " .000",
        "+1.500",
    ]
    assert [p_value(value) for value in (0.0001, 0.0437, 1.0)] == ["<.001", ".044", "1"]
    assert [duration_text(seconds) for seconds in (5, 119, 600, 5400, 200_000)] == [
        "5 s",
        "119 s",
        "10 min",
        "2 h",
        "2 d",
    ]
    assert age_text(None) == ""
