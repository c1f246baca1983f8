"""Translations of words against expectation maximisation by hand, and search with them."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.config import parse_config
from engine.errors import InputError
from engine.inspect.opening import open_searcher
from engine.lexicon import translations as word_translations
from engine.lexicon.translations import FILE, WordTranslations, learn, load, save
from engine.lexicon.words import plain_words
from engine.results.run_folder import RunFolder
from engine.retrieval import psq
from engine.retrieval.lexical import bm25, find_lexical, sparse_blocks
from engine.retrieval.psq import find_psq, psq_index
from engine.runs.execute import execute, resume

PAIRS = [
    ("das haus", "the house"),
    ("das buch", "the book"),
    ("ein buch", "a book"),
    ("das das haus", "the the small house"),
    ("das", ""),
]


def split(pairs: list[tuple[str, str]]) -> list[tuple[list[str], list[str]]]:
    return [(source.split(), target.split()) for source, target in pairs]


def model_1(pairs: list[tuple[list[str], list[str]]], iterations: int) -> dict[str, dict[str, float]]:
    """IBM model 1 word by word; the empty word is ``""``."""
    probability: dict[tuple[str, str], float] = defaultdict(lambda: 1.0)
    for _ in range(iterations):
        counts: dict[tuple[str, str], float] = defaultdict(float)
        totals: dict[str, float] = defaultdict(float)
        for source, target in pairs:
            for word in target if source else []:
                whole = sum(probability[other, word] for other in ["", *source])
                for other in ["", *source]:
                    counts[other, word] += probability[other, word] / whole
                    totals[other] += probability[other, word] / whole
        probability.update({key: count / totals[key[0]] for key, count in counts.items()})
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for (source_word, word), value in probability.items():
        if source_word:
            found[source_word][word] = value
    return found


@pytest.mark.parametrize("links", [1, 5, 1 << 21])
def test_model_1_is_the_algorithm_word_by_word(links: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_translations, "_CHUNK_LINKS", links)
    for iterations in (1, 2, 7):
        table = learn(split(PAIRS), iterations=iterations, mass=1.0)
        expected = model_1(split(PAIRS), iterations)
        assert set(table.rows) == set(expected)
        for word, translations in expected.items():
            assert dict(table.of(word)) == pytest.approx(translations, abs=1e-9)


def test_one_iteration_has_a_closed_form() -> None:
    """From a uniform start, a target word counts 1 / (source words + 1) for each source word of its pair."""
    table = learn(split([("a b", "x"), ("a", "y")]), iterations=1, mass=1.0)
    assert dict(table.of("a")) == pytest.approx({"x": (1 / 3) / (1 / 3 + 1 / 2), "y": 0.6})
    assert table.of("b") == [("x", 1.0)] and table.of("c") == []


def lexicon(words: int) -> dict[str, str]:
    return {f"f{n}": f"e{n * 7 % words}" for n in range(words)}


def sentences(count: int, words: int = 60) -> list[tuple[list[str], list[str]]]:
    """Random sentences under a bijective lexicon; the order of the words in the translation is random."""
    chance, meanings = random.Random(0), lexicon(words)
    pairs = []
    for _ in range(count):
        source = chance.choices(list(meanings), k=chance.randint(2, 6))
        target = [meanings[word] for word in source]
        chance.shuffle(target)
        pairs.append((source, target))
    return pairs


def test_a_bijective_lexicon_is_recovered() -> None:
    table = learn(sentences(800))
    best = {word: table.of(word)[0] for word in table.rows}
    assert {word: translation for word, (translation, _) in best.items()} == lexicon(60)
    assert min(p for _, p in best.values()) > 0.8


def test_few_translations_are_kept_and_they_sum_to_one() -> None:
    whole = learn(sentences(50), mass=1.0, most=1000)
    kept = learn(sentences(50), mass=0.5, most=3)
    for word in whole.rows:
        every, some = whole.of(word), kept.of(word)
        assert [p for _, p in every] == sorted((p for _, p in every), reverse=True)
        sums = np.cumsum([p for _, p in every])
        assert len(some) == min(3, int((sums < 0.5 - 1e-12).sum()) + 1)
        assert [other for other, _ in some] == [other for other, _ in every[: len(some)]]
        assert sum(p for _, p in some) == pytest.approx(1)


def test_tables_are_stored_and_read(tmp_path: Path) -> None:
    tables = {"de": learn(split(PAIRS)), "xx": learn(sentences(20))}
    save(tmp_path / FILE, tables)
    found = load(tmp_path / FILE)
    assert set(found) == {"de", "xx"}
    for code, table in tables.items():
        assert set(found[code].rows) == set(table.rows)
        assert all(found[code].of(word) == table.of(word) for word in table.rows)
    (tmp_path / FILE).write_bytes(b"PAR1")
    with pytest.raises(InputError, match="translations of words cannot be read; run it again"):
        load(tmp_path / FILE)


def test_plain_words() -> None:
    assert plain_words("Ọ́jọ́ ƙasa, CAFÉ й") == ["ojo", "kasa", "cafe", "и"]
    assert plain_words("हिन्दी 한국어") == ["हिन्दी", "한국어"]  # vowel signs and syllables stay


DOCUMENTS = ["the house is the small house", "a book", "my home and my book", "", "das Haus 12"]


def table_of(translations: dict[str, dict[str, float]]) -> WordTranslations:
    targets = [word for found in translations.values() for word in found]
    starts = np.cumsum([0, *(len(found) for found in translations.values())])
    values = np.array([p for found in translations.values() for p in found.values()])
    return WordTranslations({word: n for n, word in enumerate(translations)}, starts, targets, values)


TABLE = table_of({"haus": {"house": 0.6, "home": 0.3, "roof": 0.1}, "buch": {"book": 1.0}})


def by_formula(query: str, document: str, k1: float, b: float, same: float) -> float:
    """The paper's formula, word by word."""
    pool = [plain_words(text) for text in DOCUMENTS]
    counts, mean = Counter(plain_words(document)), sum(map(len, pool)) / len(pool)
    score = 0.0
    for word in plain_words(query):
        known, occurs = dict(TABLE.of(word)), any(word in other for other in pool)
        share = (same if known else 1.0) if occurs else 0.0
        meant = {other: (1 - share) * p for other, p in known.items()}
        meant[word] = meant.get(word, 0.0) + share
        frequency = sum(p * sum(other in text for text in pool) for other, p in meant.items())
        count = sum(p * counts[other] for other, p in meant.items())
        length = 1 - b + b * len(plain_words(document)) / mean
        if count:
            idf = math.log(1 + (len(pool) - frequency + 0.5) / (frequency + 0.5))
            score += idf * count / (count + k1 * length)
    return score


@pytest.mark.parametrize(("k1", "b", "same"), [(0.9, 0.4, 0.3), (1.2, 0.75, 0.0), (2.0, 0.0, 1.0)])
def test_search_is_the_formula(k1: float, b: float, same: float) -> None:
    queries = ["Haus", "buch das haus haus", "12 nichts", ""]
    index = psq_index(DOCUMENTS, translations=TABLE, k1=k1, b=b, same_word=same)
    found = torch.cat([*sparse_blocks(index.of(queries))]).numpy()
    expected = [[by_formula(query, document, k1, b, same) for document in DOCUMENTS] for query in queries]
    assert found == pytest.approx(np.array(expected), abs=1e-6)
    for place in range(len(DOCUMENTS)):
        parts = index.explain(queries[1], place)
        assert sum(part for *_, part in parts) == pytest.approx(expected[1][place], abs=1e-6)


def test_an_explanation_names_the_translations_in_the_document() -> None:
    index = psq_index(DOCUMENTS, translations=TABLE, k1=0.9, b=0.4, same_word=0.5)
    assert [part[:2] for part in index.explain("Haus", 0)] == [("haus", "house 0.30")]
    assert [part[:2] for part in index.explain("Haus", 4)] == [("haus", "haus 0.50")]
    assert index.explain("Haus", 1) == []


def test_without_translations_it_is_bm25() -> None:
    queries = ["the house", "book book my", "?"]
    index = psq_index(DOCUMENTS, translations=None, k1=0.9, b=0.4, same_word=0.3)
    plain = torch.cat([*sparse_blocks(bm25(queries, DOCUMENTS, k1=0.9, b=0.4))])
    assert torch.cat([*sparse_blocks(index.of(queries))]).allclose(plain, atol=1e-6)


def test_queries_of_several_languages_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = ["haus", "the house", "buch", "haus buch", "house"]
    tables = [TABLE, None, TABLE, TABLE, None]
    settings: dict[str, Any] = {"k1": 0.9, "b": 0.4, "same_word": 0.3}
    wanted = torch.tensor([[0], [0], [1], [2], [-1]])
    whole = find_psq(queries, DOCUMENTS, 3, wanted, translations=tables, **settings)
    for row, (query, table) in enumerate(zip(queries, tables, strict=True)):
        own = psq_index(DOCUMENTS, translations=table, **settings).of([query])
        single = find_lexical(own, 3, wanted[[row]])
        assert torch.equal(whole.indices[row], single.indices[0]) and torch.equal(
            whole.ranks[row], single.ranks[0]
        )
    monkeypatch.setattr(psq, "_BLOCK_BYTES", 1)
    small = find_psq(queries, DOCUMENTS, 3, wanted, translations=tables, **settings)
    assert torch.equal(whole.scores, small.scores) and torch.equal(whole.ranks, small.ranks)


def test_texts_without_words_are_never_found() -> None:
    for documents in (["!", "..."], ["word", ""]):
        index = psq_index(documents, translations=TABLE, k1=0.9, b=0.4, same_word=0.3)
        found = find_lexical(index.of(["haus", "?"]), 2, torch.zeros(2, 1, dtype=torch.int64))
        assert (found.scores == -torch.inf).all() and not found.ranks.any()


def settings(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """A language with other words, whose pairs are not those of the collection."""
    pairs = [(" ".join(source), " ".join(target)) for source, target in sentences(300)]
    for name, rows in (("train", pairs[40:]), ("test", pairs[:40])):
        (tmp_path / f"{name}.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in rows), "utf-8")
    test = [{"path": str(tmp_path / "test.tsv"), "language": "sw"}]
    return {
        "preset": "psq",
        "kind": "lexical",
        "method": "psq",
        "name": "psq",
        "overlap": "keep",
        "bitext": [{"path": str(tmp_path / "train.tsv"), "language": "sw"}],
        "collections": [{"name": "bitext", "bitext": test, "upper_line": True}],
        **changes,
    }


def test_a_run_learns_searches_and_is_asked(tmp_path: Path) -> None:
    config = parse_config(settings(tmp_path))
    run, (scores, upper) = execute(config, tmp_path / "runs", ["test"])
    assert scores.scoring == "psq" and scores.macro("RR") > 0.95 and upper.macro("RR") > 0.95
    assert (run.path / "bitext.parquet").exists() and run.record["summary"]["pairs_sw"] == 260
    searcher = open_searcher(run, "sw")
    ranking = scores.ranking
    for place in (0, 7):
        query = scores.collection.queries[place]
        hits = searcher.search(query.text, 5)
        kept = [document for document in ranking.document_ids[place][:5] if document]
        assert [hit.document for hit in hits] == kept
        assert [hit.score for hit in hits] == pytest.approx(ranking.scores[place][: len(kept)], rel=1e-5)
        matches = searcher.explain(query.text, hits[0].document)
        assert searcher.adds_up
        assert sum(match.score for match in matches) == pytest.approx(hits[0].score, rel=1e-5)
        words = lexicon(60)
        assert all(match.document_token.startswith(words[match.query_token]) for match in matches)
    with pytest.raises(InputError, match=r"no \[\[bitext\]\] in 'mr'"):
        open_searcher(run, "mr").search("f1", 3)


def test_a_run_that_is_resumed_uses_what_it_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, (scores, _) = execute(parse_config(settings(tmp_path)), tmp_path / "runs", ["test"])
    for name in ("scores", "query_scores", "rankings", "texts"):
        for file in run.path.glob(f"{name}*.parquet"):
            file.unlink()
    run.update(state="stopped")
    monkeypatch.setattr("engine.runs.word_translations.learn", None)
    found, _ = resume(RunFolder.open(run.path))
    assert found.macro("RR") == scores.macro("RR")


def test_pairs_of_the_evaluation_are_dropped(tmp_path: Path) -> None:
    same = settings(tmp_path, overlap="drop", bitext=[{"path": str(tmp_path / "test.tsv"), "language": "sw"}])
    with pytest.raises(InputError, match=r"every pair in 'sw' .* or set overlap = 'keep'"):
        execute(parse_config(same), tmp_path / "runs", ["test"])


def test_only_a_sample_of_very_many_pairs_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.runs.word_translations.MOST_PAIRS", 100)
    run, _ = execute(parse_config(settings(tmp_path)), tmp_path / "runs", ["test"])
    assert run.record["summary"]["pairs_sw"] == 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bitext": []}, r"'psq' learns translations of words from \[\[bitext\]\], and there is none"),
        ({"method": "bm25"}, "'bm25' learns nothing from bitext; leave it out"),
        ({"bitext": [{"path": "x", "language": "en"}]}, "needs two different languages"),
        (
            {
                "bitext": [
                    {"path": "x", "language": "sw"},
                    {"path": "x", "language": "sw", "target_language": "fr"},
                ]
            },
            "target languages en, fr",
        ),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        parse_config(settings(tmp_path, **changes))


def test_languages_without_bitext_are_refused_before_it_is_read(tmp_path: Path) -> None:
    for bitext, message in (
        ({"path": "nowhere", "language": "ha"}, r"no \[\[bitext\]\] in 'sw', a query language of"),
        ({"path": "nowhere", "language": "sw", "target_language": "fr"}, "into 'fr', and documents of"),
    ):
        with pytest.raises(InputError, match=message):
            execute(parse_config(settings(tmp_path, bitext=[bitext])), tmp_path / "runs", ["test"])
