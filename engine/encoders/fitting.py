"""Fit the centring mean and the whitening projection on unlabelled text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from engine.config import EncoderConfig
from engine.config.declared import read_declared
from engine.encoders.checkpoints import FITTED_FILE, resolve, saved_config
from engine.encoders.encoder import Encoder, Role
from engine.errors import InputError
from engine.paths import expanded

#: Least number of sentences that centring and whitening are fitted on, if there are so many.
FITTED_ON = 1000


@torch.no_grad()
def fit(
    encoder: Encoder,
    texts: Sequence[str],
    role: Role = "query",
    *,
    batch_size: int = 64,
    precision: torch.dtype = torch.float32,
) -> None:
    """Fit the mean of the counted unit token vectors, and the whitening projection if it is configured.

    A large mean makes all token vectors of an encoder similar (anisotropy: Ethayarajh 2019, arXiv
    1909.00512). Whitening scales the leading principal axes to unit variance (Su et al. 2021, arXiv
    2103.15316).

    Raises
    ------
    InputError
        If the texts have too few tokens for the projection's width.
    """
    count = 0
    total = torch.zeros(encoder.width, dtype=torch.float64)
    second = torch.zeros(encoder.width, encoder.width, dtype=torch.float64)
    whiten = encoder.config.projection == "whitening"
    for batch in _states(encoder, texts, role, batch_size, precision):
        unit = torch.nn.functional.normalize(batch, dim=-1).double().cpu()
        count += len(unit)
        total += unit.sum(0)
        if whiten:
            second += unit.T @ unit
    if count == 0:
        raise InputError("centring needs unlabelled text, and the given texts have no countable tokens")
    mean = total / count
    if encoder.config.centring:
        encoder.mean.copy_(mean)
    if whiten and encoder.projection is not None:
        width = encoder.config.projection_dim
        if count <= width or width > encoder.width:
            raise InputError(
                f"whitening to {width} dimensions needs more than {count} tokens of width {encoder.width}"
            )
        centre = mean if encoder.config.centring else torch.zeros_like(mean)
        values, axes = torch.linalg.eigh(second / count - torch.outer(centre, centre))
        scale = values[-width:].clamp_min(values[-1] * 1e-9).rsqrt()
        encoder.projection.weight.data.copy_((axes[:, -width:] * scale).T.flip(0))


def _states(
    encoder: Encoder, texts: Sequence[str], role: Role, batch_size: int, precision: torch.dtype
) -> Iterator[Tensor]:
    """Yield the states (N, W) of the counted tokens, without those of [MASK] expansion."""
    tokenized = sorted(encoder.tokenize(texts, role), key=lambda item: len(item.ids))
    for start in range(0, len(tokenized), batch_size):
        ids, attend, counted = encoder.pad(tokenized[start : start + batch_size], role)
        with torch.autocast(encoder.device.type, dtype=precision, enabled=precision != torch.float32):
            states = encoder.states(ids, attend)
        yield states[counted & attend]


def evenly_spaced(texts: Sequence[str]) -> Sequence[str]:
    """Return evenly spaced texts, fewer than twice `FITTED_ON`: a mean of 20,000 tokens is precise enough."""
    return texts[:: max(1, len(texts) // FITTED_ON)]


def needs_fitting(config: EncoderConfig) -> bool:
    """Return whether a mean or a projection must be fitted before the encoder can be used."""
    if not (config.centring or config.projection == "whitening"):
        return False
    folder = expanded(config.checkpoint)
    saved = saved_config(folder) if folder.is_dir() else {}
    mean = not config.centring or bool(saved.get("centring")) or read_declared(config.checkpoint).centred
    return not (mean and (config.projection != "whitening" or saved.get("projection") == "whitening"))


#: The settings that determine the space of token vectors, besides the checkpoint.
_SPACE = ("centring", "projection", "projection_dim")


def same_space(one: EncoderConfig, other: EncoderConfig) -> bool:
    """Return whether two encoders centre and project alike, so that one can take what the other fitted."""
    return all(getattr(one, name) == getattr(other, name) for name in _SPACE)


def same_weights(one: EncoderConfig, other: EncoderConfig) -> bool:
    """Return whether two encoders have the same weights, those of one folder or hub id."""
    return resolve(one.checkpoint) == resolve(other.checkpoint)


def fitted_partner(encoder: EncoderConfig, partner: EncoderConfig) -> Path | None:
    """Return the folder with the mean and projection for the `partner` of an encoder that a run saved.

    A run saves its student and its teacher, which share a space, in two folders next to each other.

    Parameters
    ----------
    encoder : EncoderConfig
        The encoder with the checkpoint of one of them.
    partner : EncoderConfig
        An encoder to compare its vectors with.

    Returns
    -------
    Path or None
        None if the encoder was not saved so, or the other one centres or projects in another way.
    """
    folder = expanded(encoder.checkpoint).absolute()
    other = {"student": "teacher", "teacher": "student"}.get(folder.name)
    if other is None or not (folder / FITTED_FILE).is_file():
        return None
    beside = folder.parent / other
    saved = saved_config(beside)
    if not (beside / FITTED_FILE).is_file() or any(saved.get(k) != getattr(partner, k) for k in _SPACE):
        return None
    return beside
