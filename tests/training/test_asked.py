"""Training questions that an evaluation asks are dropped; the others without overlap are marked clean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.bitext.questions import Questions
from engine.config import BitextConfig, CollectionConfig
from engine.reporting import Reporter
from engine.training.data.prepare import PreparedBitext, prepare, read_bitext

# split, id, question, translation, title, passage
RECORDS = [
    ("test", "0", "Wane ne shugaban Kenya?", "Who is the president of Kenya?", "Ruto", "He is Ruto."),
    ("test", "1", "Ina Ghana take?", "Where in Africa is Ghana found today?", "Ghana", "It is in the west."),
    ("test", "2", "Yaushe aka haifi Mandela?", "When was Mandela born in his village?", "M", "In 1918."),
    ("test", "3", "Menene babban birnin Mali?", "What is the capital city of Mali?", "Bamako", "It is big."),
    ("train", "0", "Me ya sa Ruto ya ci?", "Why did he win that vote?", "Ruto", "He is Ruto."),
    ("train", "1", "Waye aka fi sani?", "Where in Africa is Ghana found  today ?", "X", "Other text."),
    ("train", "2", "Girman Bamako nawa?", "How large is that town by the river?", "Bamako", "Another text."),
    ("train", "3", "Mutane nawa ne a Lagos?", "How many people live in Lagos now?", "Lagos", "Many do."),
    ("train", "4", "Kudin Najeriya menene?", "Which money do they use in Nigeria?", "Naira", "Naira it is."),
]


class Told(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "test"):
        lines = [
            json.dumps(
                {
                    "id": name,
                    "question_lang": text,
                    "question_translated": translation,
                    "title": title,
                    "context": passage,
                }
            )
            for part, name, text, translation, title, passage in RECORDS
            if part == split
        ]
        path = tmp_path / f"gold_span_passages.afriqa.hau.en.{split}.json"
        path.write_text("\n".join(lines) + "\n", "utf-8")
    return tmp_path


def prepared(folder: Path, overlap: str, told: Reporter) -> PreparedBitext:
    bitext = read_bitext(
        [BitextConfig(path=str(folder), language="ha")],
        [CollectionConfig(name="afriqa", path=str(folder))],
        overlap=overlap,
        seed=0,
        reporter=told,
    )
    return prepare(bitext, aligner=None, held_out=0, seed=0, reporter=told)


def test_pairs_with_the_passage_or_nearly_the_question_of_an_evaluation_are_dropped(folder: Path) -> None:
    told = Told()
    result = prepared(folder, "drop", told)
    assert [pair.target.split()[0:2] for pair in result.training] == [
        ["How", "large"],
        ["How", "many"],
        ["Which", "money"],
    ]
    assert json.loads(result.rows[0]["dropped"]) == {"in_evaluation": 2} or json.loads(
        result.rows[0]["dropped"]
    ) == {"in_evaluation": 1, "near_evaluation": 1}
    assert any("1 with the passage of an evaluation question, 1 that ask nearly" in s for s in told.sentences)


def test_evaluation_questions_without_overlap_are_marked_clean(folder: Path) -> None:
    values = {row["topic"]: row["value"] for row in prepared(folder, "drop", Told()).marks}
    # Bamako's title is still shared; what was dropped is not shared any more.
    assert values == {"ha-test-0": "yes", "ha-test-1": "yes", "ha-test-2": "yes", "ha-test-3": "no"}
    kept = {row["topic"]: row["value"] for row in prepared(folder, "keep", Told()).marks}
    assert kept == {"ha-test-0": "no", "ha-test-1": "no", "ha-test-2": "yes", "ha-test-3": "no"}


def test_questions_of_one_pattern_are_not_near_duplicates() -> None:
    questions = Questions(["What is the capital of Kenya?"])
    assert questions.near(["What is the capital of Mali?", "what is the capital of Kenya", "", "Kenya"]) == [
        *(False, True, False, False),
    ]
    assert Questions([]).near(["a"]) == [False]
