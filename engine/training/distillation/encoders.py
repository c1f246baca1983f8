"""Load teacher and student so that they share a vector space."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.config import DistilConfig, EncoderConfig
from engine.encoders.checkpoints import resolve, saved_config
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import (
    evenly_spaced,
    fit,
    fitted_partner,
    needs_fitting,
    same_space,
    same_weights,
)
from engine.errors import InputError
from engine.extensions.losses import LOSSES
from engine.extensions.scorings import SCORINGS
from engine.paths import expanded


def load_encoders(
    config: DistilConfig, english: Sequence[str], foreign: Sequence[str], precision: torch.dtype
) -> tuple[Encoder, Encoder]:
    """Load teacher and student, and fit what unlabelled text fits.

    A student with the teacher's weights and space settings takes the teacher's mean and projection, and so
    starts in the teacher's space. A student that a run saved keeps its own, and the teacher that it learnt
    from takes those of that run. Any other student is fitted on its own side of the bitext.

    Raises
    ------
    InputError
        If the two cannot share a space.
    """
    teacher = Encoder.load(config.teacher)
    wanted = config.student or config.teacher
    if needs_fitting(config.teacher):
        beside = fitted_partner(wanted, config.teacher)
        if beside is not None and resolve(str(beside)) == resolve(config.teacher.checkpoint):
            teacher.load_fitted(beside)
        else:
            # as the documents of the first collection that it encodes
            encoded = [*config.searched, *config.passages]
            role = teacher.document_role(symmetric=bool(encoded) and encoded[0].reader.symmetric)
            fit(teacher, evenly_spaced(english), role, precision=precision)
    student = Encoder.load(wanted, dropout=config.training.dropout)
    if config.student is not None:
        check_projection(config.student, "student")
    if student.dim != teacher.dim:
        raise InputError(
            f"student tokens have width {student.dim} and teacher tokens {teacher.dim}; set "
            f"student.projection = 'linear' and student.projection_dim = {teacher.dim}"
        )
    widths = (student.sentence_width, teacher.sentence_width)
    over_passages = config.loss.over_passages()
    for name, loss in LOSSES.items():
        scorings = over_passages[name].scoring if name in over_passages else []
        sentences = loss.sentence_vectors or any(SCORINGS[s].compares == "sentences" for s in scorings)
        if sentences and config.loss.weight(name) and widths[0] != widths[1]:
            raise InputError(
                f"loss.{name} compares sentence vectors, which have width {widths[0]} in the student and "
                f"{widths[1]} in the teacher; set it to 0"
            )
    asked = [name for name in config.evaluation.scoring if "sentences" in SCORINGS[name].kinds]
    searched = config.collections and config.evaluation.documents == "teacher"
    if asked and searched and widths[0] != widths[1]:
        raise InputError(
            f"evaluation.scoring = '{asked[0]}' compares sentence vectors, which have width {widths[0]} "
            f"in the student and {widths[1]} in the teacher; choose a scoring of token vectors alone"
        )
    same_folder = wanted.checkpoint == config.teacher.checkpoint
    alike = same_folder or (needs_fitting(wanted) and same_weights(wanted, config.teacher))
    if alike and same_space(wanted, config.teacher):
        student.mean.copy_(teacher.mean)
        if student.projection is not None and teacher.projection is not None:
            student.projection.load_state_dict(teacher.projection.state_dict())
    elif needs_fitting(wanted):
        fit(student, evenly_spaced(foreign), "query", precision=precision)
    by_frequency = config.transport.needs("document_frequencies")
    if by_frequency and student.tokenizer.get_vocab() != teacher.tokenizer.get_vocab():
        raise InputError(
            f"transport.marginals = '{config.transport.marginals}' needs one vocabulary for student "
            "and teacher; choose other marginals"
        )
    if config.transport.needs("mass_head") and student.mass_head is None:
        student.add_mass_head()
    teacher.requires_grad_(False)
    return teacher, student


def check_projection(config: EncoderConfig, name: str) -> None:
    """Check that the encoder settings called `name` use the projection that the checkpoint was trained with.

    Raises
    ------
    InputError
        If they do not.
    """
    folder = expanded(config.checkpoint)
    saved = saved_config(folder) if folder.is_dir() else {}
    if saved.get("projection") == "linear" and config.projection == "none":
        raise InputError(
            f"the checkpoint was trained with a projection, which was saved with it; set {name}.projection = "
            f"'linear' and {name}.projection_dim = {saved['projection_dim']}",
            path=config.checkpoint,
        )
