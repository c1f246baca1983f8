"""The layers of student and teacher over which the transport cost is summed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.extensions.losses import Layers

if TYPE_CHECKING:
    from engine.config import TransportConfig
    from engine.encoders.encoder import Encoder


def compared_layers(config: TransportConfig, student_encoder: Encoder, teacher_encoder: Encoder) -> Layers:
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
                "the layers of the student to others with transport.teacher_layers"
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
