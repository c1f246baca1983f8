"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

# In CI the same cases are tried each time, so that a change is judged and not the luck of a draw.
settings.register_profile("ci", derandomize=True)

# Nothing in a test may reach for a hub: a missing file must fail at once, not after a network time-out.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Workers share the cores: threads of two processes that wait for each other spin.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder of real data that ``OPTICAL_DATA`` names."""
    home = os.environ.get("OPTICAL_DATA")
    if not home:
        pytest.skip("OPTICAL_DATA does not name the folder of real data")
    return Path(home).resolve()


@pytest.fixture(autouse=True)
def real_data(request: pytest.FixtureRequest) -> None:
    """Skip tests with the marker ``data`` where there is none, whether or not they ask for its folder."""
    if request.node.get_closest_marker("data") is not None:
        request.getfixturevalue("data_home")


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache and results; the converted checkpoints are shared by all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    monkeypatch.setenv("OPTICAL_CACHE", str(shared / "cache"))
    monkeypatch.setenv("OPTICAL_CONFIG", str(shared / "settings"))
    (shared / "cache").mkdir(exist_ok=True)
    # An app that a test starts in a terminal begins without the tour.
    (shared / "cache" / "tour-seen").touch()
    monkeypatch.delenv("OPTICAL_RESULTS", raising=False)


@pytest.fixture(autouse=True)
def valid_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare what commands print with ``--json`` with their published schemas."""
    if "engine.cli.options" in sys.modules:
        from tests.json_schemas import checked_write

        monkeypatch.setattr("engine.cli.options.write", checked_write)


@pytest.fixture(autouse=True)
def whole_floats() -> Iterator[None]:
    """Undo what training sets for its whole process: hypothesis needs the smallest floats."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


# -- a checkpoint and bitext small enough to train on in a second ------------------------------------

#: English words of the tiny checkpoint; its two other "languages" are ciphers of them.
_WORDS = (
    "river stone cloud horse bread winter garden letter window market doctor summer forest silver "
    "mother village candle bridge winds ladder music harbour carpet engine pepper valley orange needle"
)
WORDS = _WORDS.split()


def cipher(word: str, language: str) -> str:
    """The word that stands for an English one: backwards in Swahili, backwards behind a q in Marathi."""
    return word[::-1] if language == "sw" else f"q{word[::-1]}"


@dataclass(frozen=True)
class Tiny:
    """A random two-layer BERT over whole words, and pairs of English sentences and their ciphers.

    Attributes
    ----------
    checkpoint : Path
        A folder as transformers saves it.
    training, test : dict of language to TSV file
        120 and 25 pairs; the English sides are the same in both languages.
    """

    checkpoint: Path
    training: dict[str, Path]
    test: dict[str, Path]

    def encoder(self, **changes: Any) -> dict[str, Any]:
        """Settings of the encoder."""
        return {"checkpoint": str(self.checkpoint), "query_length": 24, "passage_length": 24, **changes}

    def settings(self, *languages: str, **changes: Any) -> dict[str, Any]:
        """Settings of a distillation that takes about a second and works; tables in `changes` are merged."""
        languages = languages or ("sw",)
        test = [{"path": str(self.test[code]), "language": code} for code in languages]
        settings: dict[str, Any] = {
            "kind": "distil",
            "name": "tiny",
            "teacher": self.encoder(),
            "bitext": [{"path": str(self.training[code]), "language": code} for code in languages],
            "loss": {"maxsim_contrast": 1.0, "transport": 0.1, "temperature": 0.1},
            "transport": {"epsilon": 0.2, "iterations": 20},
            "training": self.loop(),
            "collections": [{"name": "bitext", "label": "ciphers", "bitext": test}],
        }
        return self.merged(settings, changes)

    @staticmethod
    def loop() -> dict[str, Any]:
        """Settings of a training loop that learns a cipher in about a second."""
        return {
            "steps": 60,
            "batch_size": 16,
            "learning_rate": 5e-3,
            "precision": "fp32",
            "held_out": 20,
            "evaluate_every": 20,
            "threads": 1,
        }

    @staticmethod
    def merged(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        """Return `settings` with `changes`, whose tables are merged into theirs."""
        both = {key for key, value in changes.items() if isinstance(value, dict)} & settings.keys()
        return {**settings, **changes, **{key: {**settings[key], **changes[key]} for key in both}}

    @staticmethod
    def save_tokenizer(folder: Path, pieces: list[str], normalizer: Any = None) -> None:
        """Write a fast WordPiece tokenizer of `pieces`, the first five BERT's own, for plain transformers."""
        from tokenizers import Tokenizer, models, pre_tokenizers, processors
        from transformers import PreTrainedTokenizerFast

        vocabulary = {piece: index for index, piece in enumerate(pieces)}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            pad_token="[PAD]",
            unk_token="[UNK]",
            cls_token="[CLS]",
            sep_token="[SEP]",
            mask_token="[MASK]",
        ).save_pretrained(str(folder))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny checkpoint and its bitext, written once a session."""
    folder = tmp_path_factory.mktemp("tiny")
    checkpoint = folder / "checkpoint"
    _write_checkpoint(checkpoint)
    sentences = _sentences(145)
    files: dict[str, dict[str, Path]] = {"training": {}, "test": {}}
    for code in ("sw", "mr"):
        pairs = [(" ".join(cipher(w, code) for w in words), " ".join(words)) for words in sentences]
        for part, chosen in (("training", pairs[:120]), ("test", pairs[120:])):
            path = folder / f"{part}.{code}.tsv"
            path.write_text("".join(f"{source}\t{target}\n" for source, target in chosen), "utf-8")
            files[part][code] = path
    return Tiny(checkpoint, files["training"], files["test"])


def _sentences(count: int) -> list[list[str]]:
    generator = random.Random(5)
    found: dict[tuple[str, ...], None] = {}
    while len(found) < count:
        found[tuple(generator.sample(WORDS, generator.randint(4, 7)))] = None
    return [list(words) for words in found]


def _write_checkpoint(folder: Path) -> None:
    import torch
    from tokenizers import normalizers
    from transformers import BertConfig, BertModel

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,!?:-", "query", "passage", "##s", "##ing"]
    pieces += WORDS + [cipher(word, code) for code in ("sw", "mr") for word in WORDS]
    Tiny.save_tokenizer(folder, pieces, normalizers.Lowercase())
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = BertModel(
            BertConfig(
                vocab_size=len(pieces),
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=64,
                initializer_range=0.2,
                pad_token_id=0,
            ),
            add_pooling_layer=False,
        )
    model.save_pretrained(str(folder), safe_serialization=True)


# -- a finished study with planted scores ---------------------------------------------------------------

ARMS, SEEDS, QUERIES = ("alpha-1", "alpha-0"), (0, 1), 40
#: German and French are rich, Somali and Swahili poor; balance takes from the rich and gives to the poor, and
#: distillation adds .1 everywhere, and .05 more to Somali in the balanced arm.
PLANTED = {
    "alpha-1": {"de": 0.5, "fr": 0.5, "so": 0.1, "sw": 0.2},
    "alpha-0": {"de": 0.4, "fr": 0.4, "so": 0.2, "sw": 0.3},
}


def planted(arm: str, stage: str, code: str, seed: int, query: int) -> float:
    """The score of one query of the planted study."""
    score = PLANTED[arm][code] + 0.01 * seed + 0.0005 * (query % 7)
    if stage == "distil":
        score += 0.1 + (0.05 if (arm, code) == ("alpha-0", "so") else 0.0) + 0.0003 * (query % 5)
    return score


@pytest.fixture
def planted_study(tmp_path: Path) -> SimpleNamespace:
    """The `results` of a finished study whose id is ``study``, and the function `planted` of its scores."""
    from engine.config import parse_config
    from engine.results.ingest import ingest
    from engine.results.run_folder import RunFolder

    results = tmp_path / "results.duckdb"
    bitext = [{"path": "x.tsv", "language": "so"}]
    config = parse_config(
        {
            "kind": "study",
            "name": "planted",
            "seeds": list(SEEDS),
            "arms": [{"name": arm, "sampling": {"alpha": float(arm[-1])}} for arm in ARMS],
            "primary": list(reversed(ARMS)),
            "pretrain": {"text": [{"path": "x.tsv", "language": "so"}]},
            "transfer": {"student": {"passage_length": 64}, "bitext": bitext},
            "distil": {"bitext": bitext},
            "collections": [{"name": "bitext", "bitext": bitext}],
        }
    )
    RunFolder.create(tmp_path / "runs", config, ["/home/someone/venv/bin/x"], "study").finish("finished")
    for arm in ARMS:
        for seed in SEEDS:
            for stage in ("pretrain", "transfer", "distil"):
                _stage(tmp_path / "runs", config, arm, seed, stage)
    assert not ingest(results, tmp_path / "runs").problems
    return SimpleNamespace(results=results, planted=planted)


def _stage(runs: Path, config: Any, arm: str, seed: int, stage: Any) -> None:
    from engine.config.study import Stage
    from engine.results.run_folder import RunFolder

    settings = getattr(config, stage)
    if stage != "pretrain":
        student = config.transfer.student.model_copy(
            update={"checkpoint": f"{runs}/study.{arm}.s{seed}.x/checkpoints"}
        )
        settings = settings.model_copy(update={"student": student})
    settings = settings.model_copy(update={"name": f"{arm}-{stage}", "seed": seed})
    run = RunFolder.create(runs, settings, ["x"], Stage(arm, seed, stage).run_id("study"))
    if stage == "pretrain":
        sizes = {"en": 9000, "de": 5000, "fr": 4000, "so": 100, "sw": 150}
        shares = dict.fromkeys(("epochs", "share", "probability", "pieces_per_word", "unknown"), 0.2)
        rows = [
            {"language": code, "sentences": 9, "held_out": 1, "tokens": tokens, "tokens_seen": 1, "hash": "h"}
            | shares
            for code, tokens in sizes.items()
        ]
        run.write_table("pretraining", rows)
        run.update(summary={"parameters": 2_000_000})
    else:
        rows, means = [], []
        for code in PLANTED[arm]:
            common = {"collection": "bitext", "revision": "r", "protocol": "bitext", "scoring": "maxsim"}
            common |= {
                "measure": "RR",
                "direction": "xx-en",
                "query_language": code,
                "document_language": "en",
            }
            values = [planted(arm, stage, code, seed, query) for query in range(QUERIES)]
            rows += [{**common, "query_id": f"{code}:{n}", "value": value} for n, value in enumerate(values)]
            means.append({**common, "value": fmean(values), "low": None, "high": None, "queries": QUERIES})
        run.write_table("query_scores", rows)
        run.write_table("scores", means)
    for step in (0, 3):
        run.log(step, {"held_out_loss": 5.0 - step, "held_out_rr": 0.1 * step, "loss": 1.0}, float(step))
    run.finish("finished")
