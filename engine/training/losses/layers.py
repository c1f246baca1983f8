"""Which layers of student and teacher the transport cost is summed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.config import TransportConfig
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.encoders.encoder import Encoder


@dataclass(frozen=True)
class Layers:
    """The layers that transport compares.

    Attributes
    ----------
    student, teacher : tuple of int
        Pairs of layers below the last, or of a last with another, whose states are compared as they are.
    weights : tuple of float
        Weight of each of these pairs.
    last : float
        Weight of the token vectors, which come from the last layer of both; 0 leaves them out.
    """

    student: tuple[int, ...] = ()
    teacher: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    last: float = 1.0


def layers_of(config: TransportConfig, student_encoder: Encoder, teacher_encoder: Encoder) -> Layers:
    """Return the layers that `config` names.

    Raises
    ------
    InputError
        If student or teacher has no such layer, or their states below the last have different widths.
    """
    student_depth, teacher_depth = student_encoder.depth, teacher_encoder.depth
    student = config.layers or [student_depth]
    teacher = config.teacher_layers or (student if config.layers else [teacher_depth])
    weights = config.layer_weights or [1 / len(student)] * len(student)
    for name, layers, depth in (("student", student, student_depth), ("teacher", teacher, teacher_depth)):
        if max(layers) > depth:
            key = "teacher_layers" if name == "teacher" and config.teacher_layers else "layers"
            raise InputError(
                f"transport.{key} names layer {max(layers)}, but the {name} has {depth}; name others, or map "
                "the student's layers with transport.teacher_layers"
            )
    pairs = list(zip(student, teacher, weights, strict=True))
    inner = [pair for pair in pairs if pair[:2] != (student_depth, teacher_depth)]
    if inner and student_encoder.width != teacher_encoder.width:
        raise InputError(
            f"transport.layers compares states of width {student_encoder.width} with the teacher's of width "
            f"{teacher_encoder.width}, and only the last layer has a projection; leave it out"
        )
    return Layers(
        tuple(one for one, _, _ in inner),
        tuple(other for _, other, _ in inner),
        tuple(weight for _, _, weight in inner),
        sum(weight for *pair, weight in pairs if pair == [student_depth, teacher_depth]),
    )
