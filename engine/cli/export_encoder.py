"""``encoders export``: write the encoders of a finished run as a folder that another library opens."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from engine.cli.options import json_option, print_json, refreshed, results_option
from engine.cli.output import out, say
from engine.errors import InputError

#: The names of `engine.encoders.exporting.LIBRARIES`, which imports torch.
_LIBRARIES = ("sentence-transformers", "pylate", "transformers", "onnx")


@click.command("export")
@click.argument("run")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--for",
    "library",
    type=click.Choice(_LIBRARIES),
    required=True,
    help="The library that is to open the folder.",
)
@click.option(
    "--scoring",
    type=click.Choice(("maxsim", "dense")),
    help="Whether it computes token vectors or sentence vectors. The default is the run's first scoring.",
)
@click.option(
    "--int8",
    is_flag=True,
    help="With --for onnx: also write a graph with weights of 8 bits, and report what it loses.",
)
@results_option
@json_option
def export_command(
    run: str, folder: Path, library: str, scoring: str | None, int8: bool, results: Path, as_json: bool
) -> None:
    """Write the encoders of a finished RUN to FOLDER, with a model card, for another library.

    In sentence-transformers 6 and PyLate they give the run's scores. What a library cannot compute is an
    error. If queries and documents have different encoders, a folder for sentence-transformers routes to
    both; for other libraries it has the subfolders query and document.

    An ONNX graph computes token vectors and the sentence vector, and is compared with the encoder before it
    is kept.
    """
    if library == "onnx" and scoring is not None:
        raise InputError("an ONNX graph computes token vectors and sentence vectors; leave --scoring out")
    if int8 and library != "onnx":
        raise InputError("--int8 is for --for onnx; leave it out")
    from engine.cli.model_card import model_card
    from engine.cli.score_groups import read_groups
    from engine.encoders.exporting import LIBRARIES, Pair, Vectors, export
    from engine.evaluation.finished_run import encoders_config_of, encoders_of, find_run
    from engine.results.queries import run_record

    refreshed(results)
    opened = find_run(results, run)
    config = encoders_config_of(opened)
    chosen = scoring or ("maxsim" if config.evaluation.scoring[0] == "maxsim" else "dense")
    vectors: Vectors = "tokens" if chosen == "maxsim" else "sentence"
    notes = []
    queries, documents = encoders_of(opened)
    if queries.glossary is not None:
        notes.append(
            "Queries of the run are extended by a glossary before they are encoded, which the library does "
            "not do; extend them with engine.lexicon.glossary.Glossary.load and glossary.parquet."
        )
    for name in ("language_components", "language_shift"):
        if getattr(config, name, None):
            notes.append(f"The run's {name} is applied to vectors behind the encoder and is not exported.")
    named = next(one for one in LIBRARIES if one == library)
    symmetric = all(collection.reader.symmetric for collection in config.collections)
    folders = export(
        Pair(queries, documents), folder, named, vectors, symmetric=symmetric, int8=int8, say=notes.append
    )
    record = run_record(results, opened.id)
    names = [str(place.relative_to(folder)) for place in folders]
    card = model_card(
        record,
        read_groups(results, [opened.id]).get(opened.id, []),
        config.model_dump(mode="json", exclude_defaults=True),
        library=named,
        vectors=vectors,
        places={"query": names[0], "document": names[-1]},
        notes=notes,
        command=["optical-workbench", *sys.argv[1:]],
    )
    (folder / "README.md").write_text(card, "utf-8")
    for note in notes:
        say(note)
    if as_json:
        print_json({"run": opened.id, "for": library, "scoring": chosen, "folders": [*map(str, folders)]})
    else:
        for place in folders:
            out(str(place))
