"""Language information removal: against numpy's singular vectors, and on a planted language."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from engine.collections.base import Collection, Document, Query
from engine.config import parse_config
from engine.encoders.components import principal_components, remove_components
from engine.errors import InputError
from engine.evaluation.language_removal import (
    Isolation,
    LanguageComponents,
    LanguageShifts,
    Shift,
    rows_of,
)
from engine.evaluation.scores import evaluate_collection
from engine.inspect.explain import explain
from engine.inspect.search import Searcher
from engine.retrieval.tokens import TokenStore
from engine.runs.checks import check_config
from engine.runs.execute import execute


@pytest.mark.parametrize("count", [1, 3])
def test_components_are_the_first_right_singular_vectors(count: int) -> None:
    vectors = torch.randn(50, 8, generator=torch.Generator().manual_seed(count)) + 0.5
    _, _, axes = np.linalg.svd(vectors.numpy().astype(np.float64))
    found = principal_components(vectors, count).numpy()
    assert np.abs((found * axes[:count]).sum(1)) == pytest.approx(np.ones(count), abs=1e-5)
    left = vectors.numpy() - vectors.numpy() @ axes[:count].T @ axes[:count]
    left /= np.linalg.norm(left, axis=1, keepdims=True)
    assert remove_components(vectors, torch.from_numpy(found)).numpy() == pytest.approx(left, abs=1e-5)


def test_nothing_removed_changes_nothing_and_all_removed_is_refused() -> None:
    vectors = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).half()
    assert remove_components(vectors, principal_components(vectors, 0)) is vectors
    for rows, count in ((5, 4), (3, 3)):
        with pytest.raises(InputError, match=f"language_components = {count} would leave nothing"):
            principal_components(vectors[:rows], count)


def test_a_vector_among_the_components_becomes_zero() -> None:
    components = torch.eye(4)[:2]
    vectors = normalize(torch.tensor([[1.0, 2, 0, 0], [1, 0, 1, 0]]), dim=1)
    assert torch.equal(remove_components(vectors, components), torch.tensor([[0.0] * 4, [0, 0, 1, 0]]))


def planted(count: int = 40, width: int = 16) -> tuple[Collection, torch.Tensor, torch.Tensor]:
    """Pairs that differ by their languages' directions; two English documents point to Swahili too."""
    generator = torch.Generator().manual_seed(1)
    meaning = torch.zeros(count, width)
    meaning[:, 2:] = normalize(torch.randn(count, width - 2, generator=generator), dim=1)
    swahili, english = torch.eye(width)[:2]
    documents = normalize(meaning + 3 * english, dim=1)
    documents[:2] = normalize(meaning[:2] + 3 * english + 2 * swahili, dim=1)
    queries = normalize(meaning + 3 * swahili, dim=1)
    collection = Collection(
        name="planted",
        revision="1",
        protocol="bitext",
        direction="xx-en",
        queries=tuple(Query(f"sw:{i}", f"swali {i}", "sw") for i in range(count)),
        documents=tuple(Document(f"en:{i}", f"text {i}", "en") for i in range(count)),
        judgements={f"sw:{i}": {f"en:{i}": 1} for i in range(count)},
        measures=("RR",),
    )
    return collection, queries, documents


def untouched(texts: Sequence[str]) -> torch.Tensor:
    raise AssertionError(f"{texts} must not be encoded")


@pytest.mark.parametrize("scoring", ["dense", "maxsim"])
def test_without_the_planted_direction_retrieval_is_perfect(scoring: Any, tmp_path: Path) -> None:
    collection, queries, documents = planted()
    one_each = torch.arange(len(queries) + 1)
    sides: list[Any] = [queries, documents]
    if scoring == "maxsim":
        sides = [TokenStore(side, one_each) for side in sides]
    before = evaluate_collection(collection, *sides, scoring=scoring, depth=40).macro("RR")
    assert before < 0.6
    isolation = Isolation(LanguageComponents(1, tmp_path / "components.safetensors"), {})
    left = [
        isolation.isolated(collection, scoring, role, side, untouched)
        for role, side in zip(("query", "passage"), sides, strict=True)
    ]
    assert evaluate_collection(collection, *left, scoring=scoring, depth=40).macro("RR") == 1.0
    again = LanguageComponents(1, tmp_path / "components.safetensors")
    found = again.of(f"planted 1 {scoring} query", "sw")
    assert abs(float(found[0, 0])) > 0.9  # the planted direction, kept on disk
    with pytest.raises(InputError, match=r"no components of 'fr' to remove.* those of sw"):
        again.of(f"planted 1 {scoring} query", "fr")


def test_text_that_is_given_is_what_is_fitted_on(tmp_path: Path) -> None:
    collection, queries, _ = planted()
    given = normalize(torch.randn(30, 16, generator=torch.Generator().manual_seed(2)), dim=1)
    isolation = Isolation(LanguageComponents(2, tmp_path / "c.safetensors"), {"sw": ["a"], "en": ["b"]})
    asked: list[Sequence[str]] = []

    def encode(texts: Sequence[str]) -> torch.Tensor:
        asked.append(texts)
        return given

    left = isolation.isolated(collection, "dense", "query", queries, encode)
    assert asked == [["a"]]
    assert torch.allclose(left, remove_components(queries, principal_components(given, 2)), atol=1e-6)
    isolation.isolated(collection, "dense", "query", queries, encode)
    assert len(asked) == 1


def settings(tiny: Any, **changes: Any) -> dict[str, Any]:
    test = [{"path": str(tiny.test[code]), "language": code} for code in ("sw", "mr")]
    training = [{"path": str(tiny.training[code]), "language": code} for code in ("sw", "mr")]
    return {
        "kind": "evaluate",
        "encoder": tiny.encoder(),
        "bitext": training,
        "collections": [{"name": "bitext", "bitext": test}],
        "evaluation": {"scoring": ["maxsim", "dense"]},
        **changes,
    }


def test_a_run_without_components_is_what_it_was_and_cached_vectors_stay_apart(
    tiny: Any, tmp_path: Path
) -> None:
    scores = {}
    for name, count in (("plain", 0), ("lir", 2), ("again", 0)):
        config = parse_config(settings(tiny, name=name, language_components=count))
        run, found = execute(config, tmp_path / "runs", ["test"])
        scores[name] = [one.ranking.scores for one in found]
        if count:
            searcher = Searcher(run, "sw")
            query = next(q for q in searcher.collection.queries if q.language == "sw")
            place = found[0].ranking.query_ids.index(query.id)
            hits = searcher.search(query.text, 5)
            # The run kept its queries in half precision; one that is asked alone stays in fp32.
            assert [hit.score for hit in hits] == pytest.approx(found[0].ranking.scores[place][:5], abs=2e-3)
            with pytest.raises(InputError, match="no components of 'so'"):
                Searcher(run, "so", precision=torch.float32)
            matches = explain(searcher, query.text, hits[0].document)
            assert np.mean([match.score for match in matches]) == pytest.approx(hits[0].score, abs=1e-5)
    assert scores["plain"] == scores["again"]
    assert all(one != two for one, two in zip(scores["plain"], scores["lir"], strict=True))


def test_it_does_not_go_with_translated_queries(tiny: Any) -> None:
    both = settings(tiny, language_components=1, translation={"checkpoint": "gold"})
    with pytest.raises(InputError, match="leave one of the two out"):
        parse_config(both)


# -- SHIFT ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scoring", ["dense", "maxsim"])
def test_a_shift_is_the_mean_difference_of_translations(scoring: str, tmp_path: Path) -> None:
    collection, queries, documents = planted()
    rows = torch.randn(30, 16, generator=torch.Generator().manual_seed(3)) + 0.2
    vectors = {("a",): rows[:12], ("b",): rows[12:]}

    def encode(texts: Sequence[str]) -> Any:
        return stored(vectors[tuple(texts)]) if scoring == "maxsim" else vectors[tuple(texts)]

    def stored(part: torch.Tensor) -> TokenStore:
        return TokenStore(part, torch.arange(len(part) + 1))

    shift = Shift(LanguageShifts(tmp_path / "s.safetensors"), {"sw": (["a"], ["b"])}, "en")
    asked: Any = stored(queries) if scoring == "maxsim" else queries
    left = rows_of(shift.isolated(collection, scoring, "query", asked, encode)).numpy()
    expected = queries.numpy() - (rows[:12].numpy().mean(0) - rows[12:].numpy().mean(0))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert left == pytest.approx(expected, abs=1e-6)
    english: Any = stored(documents) if scoring == "maxsim" else documents
    same = shift.isolated(collection, scoring, "passage", english, encode)
    assert torch.equal(rows_of(same), documents)
    again = LanguageShifts(tmp_path / "s.safetensors")
    assert again.of(f"planted 1 {scoring} query", "sw").shape == (1, 16)
    with pytest.raises(InputError, match="no shift of 'fr' to remove"):
        again.of(f"planted 1 {scoring} query", "fr")
    with pytest.raises(InputError, match=r"\[\[bitext\]\] has none in 'sw'; it has mr"):
        Shift(LanguageShifts(tmp_path / "t"), {"mr": (["a"], ["b"])}, "en").isolated(
            collection, scoring, "query", asked, encode
        )


def test_a_planted_shift_is_undone(tmp_path: Path) -> None:
    collection, queries, documents = planted()
    apart = {("s",): queries, ("e",): normalize(queries + 3 * torch.eye(16)[1] - 3 * torch.eye(16)[0], dim=1)}
    shift = Shift(LanguageShifts(tmp_path / "s"), {"sw": (["s"], ["e"])}, "en")
    left = shift.isolated(collection, "dense", "query", queries, lambda texts: apart[tuple(texts)])
    before, after = (
        evaluate_collection(collection, side, documents, scoring="dense", depth=40).macro("RR")
        for side in (queries, left)
    )
    assert before < 0.6 and after > before + 0.3


def test_a_run_with_shifts_is_searched_as_it_was_evaluated(tiny: Any, tmp_path: Path) -> None:
    scores = {}
    for shifted in (False, True):
        config = parse_config(settings(tiny, language_shift=shifted))
        run, found = execute(config, tmp_path / "runs", ["test"])
        scores[shifted] = [one.ranking.scores for one in found]
    assert all(one != two for one, two in zip(scores[False], scores[True], strict=True))
    searcher = Searcher(run, "sw")
    query = next(q for q in searcher.collection.queries if q.language == "sw")
    place = found[0].ranking.query_ids.index(query.id)
    hits = searcher.search(query.text, 5)
    assert [hit.score for hit in hits] == pytest.approx(found[0].ranking.scores[place][:5], abs=2e-3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"language_components": 1}, "both remove the differences between languages; leave one"),
        ({"translation": {"checkpoint": "gold"}}, "language_shift removes .* leave one of the two out"),
    ],
)
def test_shifts_do_not_go_with_other_removals(tiny: Any, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_config(settings(tiny, language_shift=True, **changes))


def test_shifts_need_translations_in_one_language(tiny: Any, tmp_path: Path) -> None:
    config = parse_config(settings(tiny, language_shift=True, bitext=[]))
    ((key, error),) = check_config(config, tmp_path)[1]
    assert key == "language_shift" and "name them in [[bitext]]" in str(error)
    two = settings(tiny, language_shift=True)
    two["bitext"][0]["target_language"] = "fr"
    with pytest.raises(InputError, match="translations in one language, not in en and fr"):
        execute(parse_config(two), tmp_path, ["test"])
