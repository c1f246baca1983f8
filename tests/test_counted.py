"""A number agrees with its noun in every sentence."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import engine
import workbench
from engine.counted import counted


@pytest.mark.parametrize(
    ("number", "words", "expected"),
    [
        (1, ("run",), "1 run"),
        (0, ("run",), "0 runs"),
        (1200, ("query", "queries"), "1,200 queries"),
        (1, ("query is", "queries are"), "1 query is"),
    ],
)
def test_counted(number: int, words: tuple[str, ...], expected: str) -> None:
    assert counted(number, *words) == expected


#: Whole sentences about what is counted begin so; nouns behind "of N" are plural whatever the number is.
_NOUNS = re.compile(
    r" (queries|pairs|sentences|runs|documents|languages|files|topics|questions|lines|rows|tries|columns|"
    r"judgements|passages|candidates|units)\b"
)


def _counts(path: Path) -> list[str]:
    """Return the places where a length is written in front of a plural."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, behind in zip(node.values, node.values[1:], strict=False):
            if (
                isinstance(value, ast.FormattedValue)
                and isinstance(value.value, ast.Call)
                and getattr(value.value.func, "id", "") == "len"
                and isinstance(behind, ast.Constant)
                and _NOUNS.match(str(behind.value))
            ):
                before = node.values[node.values.index(value) - 1]
                if not (
                    isinstance(before, ast.Constant)
                    and str(before.value).endswith(("of ", "all ", "of the "))
                ):
                    found.append(f"{path}:{value.lineno}{ast.unparse(value.value)}{behind.value}")
    return found


@pytest.mark.parametrize("package", [engine, workbench])
def test_no_length_stands_in_front_of_a_plural(package: object) -> None:
    root = Path(package.__path__[0])  # type: ignore[attr-defined]
    found = [place for path in root.rglob("*.py") for place in _counts(path)]
    allowed = ("len(begun)", "len(revisions)", "len(known)", "len(roles[role])")  # always more than one
    assert [place for place in found if not any(name in place for name in allowed)] == []
