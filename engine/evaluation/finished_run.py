"""Open a finished run: its configuration and its encoders."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from engine.config import EncoderConfig, RunConfig, RunHeader, parse_config
from engine.config.declared import SETTINGS_FILE
from engine.encoders.encoder import Encoder
from engine.encoders.places import FITTED_FILE, weight_folders
from engine.encoders.recorded import check_weights, checkpoints_of, recorded_weights
from engine.errors import InputError
from engine.extensions.runs import RUN_KINDS
from engine.lexicon import glossary
from engine.paths import runs_folder
from engine.results.run_folder import RunFolder


def find_run(results: Path, name: str) -> RunFolder:
    """Open the run with the id `name`, or else the run that `name` means in the database `results`.

    Raises
    ------
    InputError
        If there is no such run, or its folder is missing.
    """
    folder = runs_folder(results) / name
    if Path(name).name == name and (folder / "run.json").is_file():
        return RunFolder.open(folder)
    from engine.results.queries import run_record

    return RunFolder.open(runs_folder(results) / run_record(results, name)["id"])


def config_of(run: RunFolder) -> RunHeader:
    """Return the configuration that a run recorded."""
    return parse_config(run.record["config"] or {}, run.path / "run.json")


def encoders_config_of(run: RunFolder) -> RunConfig:
    """Return the configuration of a run whose kind leaves encoders.

    Raises
    ------
    InputError
        If runs of its kind leave none.
    """
    config = config_of(run)
    if (chosen := RUN_KINDS[config.kind].chosen) is not None:
        file = run.path / "checkpoints" / chosen
        if not file.is_file():
            raise InputError(
                f"run {run.id!r} has chosen no encoders yet; choose a run that has finished", path=run.path
            )
        config = parse_config(json.loads(file.read_text("utf-8")), file)
    if RUN_KINDS[config.kind].encoders is None or not isinstance(config, RunConfig):
        *others, last = (repr(name) for name, kind in RUN_KINDS.items() if kind.encoders or kind.chosen)
        raise InputError(
            f"run {run.id!r} is of kind {config.kind!r} and has no encoders; choose a run of kind "
            f"{', '.join(others)} or {last}"
        )
    return config


@dataclass(frozen=True)
class SavedEncoder:
    """An encoder of a run that is not loaded yet.

    Attributes
    ----------
    config : EncoderConfig
    folder : Path
        The folder of its mean and projection.
    name : str
        A description for messages.
    """

    config: EncoderConfig
    folder: Path
    name: str

    def files(self) -> list[Path]:
        """Return the files and folders that determine what the encoder computes."""
        own = [self.folder, self.folder / FITTED_FILE, self._glossary, self.folder / SETTINGS_FILE]
        for place in weight_folders(self.config.checkpoint):
            own += [place, *sorted(place.glob("*.safetensors"))]
        return own

    @cached_property
    def key(self) -> str:
        """A hash of the settings, the fitted vectors, the glossary and the weights, computed once.

        Encoders that compute the same have the same key. Weights are identified by the size and time of their
        files, because reading them takes as long as loading the encoder.
        """
        digest = hashlib.blake2b(self.config.model_dump_json().encode(), digest_size=16)
        digest.update((self.folder / FITTED_FILE).read_bytes())
        if self._glossary.is_file():
            digest.update(self._glossary.read_bytes())
        for place in weight_folders(self.config.checkpoint):
            for path in sorted(place.glob("*.safetensors")):
                status = path.stat()
                digest.update(f"{path}{status.st_size}{status.st_mtime_ns}".encode())
        return digest.hexdigest()

    @property
    def _glossary(self) -> Path:
        return self.folder / glossary.FILE

    def load(self) -> Encoder:
        """Load the encoder.

        Raises
        ------
        InputError
            If its checkpoint cannot be opened.
        """
        encoder = Encoder.load(self.config)
        encoder.load_fitted(self.folder)
        return encoder


def saved_encoders(run: RunFolder) -> tuple[SavedEncoder, SavedEncoder]:
    """Return the query encoder and the document encoder of a run, without loading them.

    Raises
    ------
    InputError
        If the run has no encoders, because it ended before they were saved or they were deleted, or if a
        checkpoint that it began with has changed since.
    """
    config = encoders_config_of(run)
    student, teacher = (run.path / "checkpoints" / name for name in ("student", "teacher"))
    if not (teacher / FITTED_FILE).is_file() or not (student / FITTED_FILE).is_file():
        raise InputError(
            f"run {run.id!r} has no encoders in checkpoints/; choose a run that has finished", path=run.path
        )
    check_weights(recorded_weights(run.record), checkpoints_of(config), f"run {run.id!r}")
    of_kind = RUN_KINDS[config.kind].encoders
    assert of_kind is not None
    queries, documents = of_kind(config, run.path / "checkpoints")
    name = run.record["name"] or run.id
    return (
        SavedEncoder(queries, student, f"{name}'s query encoder"),
        SavedEncoder(documents, teacher, f"{name}'s document encoder"),
    )


def encoders_of(run: RunFolder) -> tuple[Encoder, Encoder]:
    """Load the query encoder and the document encoder of a run.

    Raises
    ------
    InputError
        As `saved_encoders` and `SavedEncoder.load`.
    """
    student, teacher = saved_encoders(run)
    return student.load(), teacher.load()
