"""The model card of an exported encoder, ``README.md``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.cli.score_groups import Group, languages_of
from engine.cli.tables import figure_text, score_text
from engine.encoders.exporting import Library, Vectors
from engine.languages import language
from engine.visible import markdown_literal, visible

#: Measures that a card shows of each collection, from the first of its protocol's order.
_MEASURES = 2


def model_card(
    record: Mapping[str, Any],
    groups: Sequence[Group],
    recipe: Mapping[str, Any],
    *,
    library: Library,
    vectors: Vectors,
    places: Mapping[str, str],
    notes: Sequence[str],
    command: Sequence[str],
) -> str:
    """Return the text of a model card.

    Parameters
    ----------
    record : mapping
        The run's row in the table ``runs``.
    groups : sequence of Group
        Its scores.
    recipe : mapping
        Its settings that differ from the defaults.
    library, vectors
        As in `engine.encoders.exporting.export`.
    places : mapping of str to str
        The folders of ``query`` and ``document`` within the exported one; ``"."`` is that one.
    notes : sequence of str
        What the folder leaves out.
    command : sequence of str
        The command that exported it.
    """
    languages = languages_of(record, groups)
    codes = sorted({language(code).code for code in languages if code})
    tokens = vectors == "tokens" or library == "onnx"
    front = [
        "---",
        *(["language:", *(f"- {code}" for code in codes)] if codes else []),
        f"library_name: {'PyLate' if library == 'pylate' else library}",
        f"pipeline_tag: {'feature-extraction' if tokens else 'sentence-similarity'}",
        "tags:",
        *(f"- {tag}" for tag in ("cross-lingual-retrieval", "knowledge-distillation", "optimal-transport")),
        "---",
    ]
    trained = _mapping(recipe.get("teacher")).get("checkpoint")
    facts = [
        ("Kind of run", str(record["kind"])),
        ("Languages", " ".join(languages)),
        ("Teacher", "" if trained is None else _place(str(trained))),
        ("Bitext", ", ".join(dict.fromkeys(_place(str(entry.get("path"))) for entry in _entries(recipe)))),
        ("Seed", str(record["seed"])),
        ("Command", shlex.join(map(_place, record["argv"] or ()))),
        ("Exported by", shlex.join(map(_place, command))),
    ]
    parts = [
        "\n".join(front),
        f"# {markdown_literal(str(record['name'] or record['id']))}",
        "An encoder for cross-lingual retrieval, trained and exported with Optical Workbench.",
        *(f"**Note:** {markdown_literal(note)}" for note in notes),
        "## Use",
        _usage(library, vectors, places),
        "## Training",
        "\n".join(f"- {name}: {markdown_literal(value)}" for name, value in facts if value),
        "Settings that differ from the defaults:",
        f"```json\n{_settings(recipe)}\n```",
    ]
    if groups:
        parts += ["## Scores", "Means over queries, with 95 % intervals where the run has them."]
        parts += [_scores(group) for group in groups]
    return "\n\n".join(parts) + "\n"


def _usage(library: Library, vectors: Vectors, places: Mapping[str, str]) -> str:
    if library == "transformers":
        code = _TRANSFORMERS.format(**places)
        said = "`optical.safetensors` has the mean and projection of token vectors, `optical.json` settings."
    elif library == "pylate":
        code = _PYLATE.format(**places)
        said = "PyLate sums over the tokens of a query, where the run's scores are the mean."
    elif library == "onnx":
        code = _ONNX.format(**places)
        said = (
            "`roles.json` has what belongs before a text of each role, its longest length in pieces, and the "
            "pieces that do not count. `maxsim` and `dense` are the two scorings of the run."
        )
    elif vectors == "tokens":
        code = _TOKENS
        said = (
            "sentence-transformers 6.0 or newer is needed. A score is the mean over the tokens of a query of "
            "the largest cosine with a token of the document (MaxSim), as in the run."
        )
    else:
        code = _SENTENCES
        said = "A score is the cosine of the vectors of the two texts, as in the run."
    return f"```python\n{code.strip()}\n```\n\n{said} Paths are relative to this folder."


_TOKENS = """
from sentence_transformers import MultiVectorEncoder

model = MultiVectorEncoder(".")
queries = model.encode_query(["a query"])
documents = model.encode_document(["a document"])
scores = model.similarity(queries, documents)
"""
_SENTENCES = """
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(".")
queries = model.encode_query(["a query"])
documents = model.encode_document(["a document"])
scores = model.similarity(queries, documents)
"""
_PYLATE = """
from pylate import models, scores

places = {{"query": "{query}", "document": "{document}"}}
encoders = {{role: models.ColBERT(place) for role, place in places.items()}}
prompts = {{role: role if encoder.prompts.get(role) else None for role, encoder in encoders.items()}}
queries = encoders["query"].encode(["a query"], is_query=True, prompt_name=prompts["query"])
documents = encoders["document"].encode(["a document"], is_query=False, prompt_name=prompts["document"])
sums = scores.colbert_scores(queries, documents)
"""
_ONNX = """
import json

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def encode(folder, texts, role):
    \"\"\"Return the sentence vectors, and the counted token vectors of each text.\"\"\"
    session = onnxruntime.InferenceSession(f"{{folder}}/onnx/model.onnx")
    tokenizer = Tokenizer.from_file(f"{{folder}}/tokenizer.json")
    settings = json.load(open(f"{{folder}}/roles.json", encoding="utf-8"))
    said = settings[role]
    tokenizer.enable_truncation(said["length"])
    tokenizer.no_padding()
    texts = [said["prompt"] + text for text in texts]
    read = tokenizer.encode_batch([text.lower() if settings["lowercase"] else text for text in texts])
    more = said["expansion"]
    length = said["length"] if more else max(len(one.ids) for one in read)
    ids = np.full((len(read), length), more["piece"] if more else 0)
    attend = np.full(ids.shape, int(bool(more) and more["attended"]))
    counted = np.full(ids.shape, bool(more))
    for row, one in enumerate(read):
        here = slice(len(one.ids))
        ids[row, here], attend[row, here] = one.ids, 1
        counted[row, here] = ~np.isin(one.ids, said["skipped"])
    feeds = {{"input_ids": ids, "attention_mask": attend}}
    sentences, tokens = session.run(["sentence_embedding", "token_embeddings"], feeds)
    return sentences, [vectors[keep] for vectors, keep in zip(tokens, counted)]


queries = encode("{query}", ["a query"], "query")
documents = encode("{document}", ["a document"], "document")
dense = queries[0] @ documents[0].T
maxsim = [[float((q @ d.T).max(1).mean()) for d in documents[1]] for q in queries[1]]
"""
_TRANSFORMERS = """
import json
import unicodedata

import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer


def encode(folder, texts, role):
    \"\"\"Return the counted token vectors of each text; `role` is "query" or "passage".\"\"\"
    settings = json.load(open(f"{{folder}}/optical.json", encoding="utf-8"))
    fitted = load_file(f"{{folder}}/optical.safetensors")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    prefix, found = settings[f"{{role}}_prefix"], []
    for text in texts:
        text = prefix + text
        encoded = tokenizer(
            text.lower() if settings["lowercase"] else text,
            truncation=True,
            max_length=settings[f"{{role}}_length"],
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        with torch.no_grad():
            ids = torch.tensor([encoded["input_ids"]])
            states = model(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        vectors = torch.nn.functional.normalize(states, dim=-1)
        if settings["centring"]:
            vectors = vectors - fitted["mean"]
        if "projection" in fitted:
            vectors = vectors @ fitted["projection"].T
        vectors = torch.nn.functional.normalize(vectors, dim=-1)
        counted = []
        for piece, (_, end), special in zip(
            tokenizer.convert_ids_to_tokens(encoded["input_ids"]),
            encoded["offset_mapping"],
            encoded["special_tokens_mask"],
        ):
            mark = all(unicodedata.category(c)[0] in "PZ" or c in "\\u2581#\\u0120" for c in piece)
            keep = settings["punctuation"] and (role == "query" or settings["passage_punctuation"])
            count = settings["special_tokens"] if special else (keep or not mark)
            if not special and 0 < end <= len(prefix):
                count = settings["prefix_tokens"]
            counted.append(count and not (role == "passage" and piece in settings["skiplist"]))
        found.append(vectors[torch.tensor(counted)])
    return found


queries = encode("{query}", ["a query"], "query")
documents = encode("{document}", ["a document"], "passage")
scores = [[float((q @ d.T).amax(1).mean()) for d in documents] for q in queries]
"""


def _scores(group: Group) -> str:
    measures = group.measures[:_MEASURES]
    lines = [
        f"**{markdown_literal(str(group.key))}**\n",
        f"| language | queries | {' | '.join(map(markdown_literal, measures))} |",
        f"|---|---|{'---|' * len(measures)}",
    ]
    for code, queries, rows in group.lines():
        cells = " | ".join(map(figure_text, rows[:_MEASURES]))
        lines.append(f"| {markdown_literal(code)} | {queries:,} | {cells} |")
    means = " | ".join(score_text(group.mean(measure)) for measure in measures)
    return "\n".join([*lines, f"| mean | | {means} |"])


def _place(text: str) -> str:
    """Return the name of an absolute path, which tells nothing about the machine; other text as it is."""
    path = Path(text)
    return path.name if path.is_absolute() or text.startswith("~") else text


def _settings(recipe: Mapping[str, Any]) -> str:
    return visible(json.dumps(_without_paths(recipe), indent=2, ensure_ascii=False), keep="\n")


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_paths(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_paths(part) for part in value]
    return _place(value) if isinstance(value, str) else value


def _entries(recipe: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries = recipe.get("bitext")
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
