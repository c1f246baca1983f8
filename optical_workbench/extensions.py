"""Add entries to the registries from a script or notebook."""

from __future__ import annotations

from typing import TypeVar

from engine.errors import InputError
from engine.registry import Entry

EntryT = TypeVar("EntryT", bound=Entry)


def register(entry: EntryT) -> EntryT:
    """Add a loss, cost, marginal, solver, bitext format, collection, kind of run or scoring to this process.

    A distribution adds entries for all processes with entry points; see ``docs/extending.md``.

    Parameters
    ----------
    entry : Loss, Cost, Marginal, Solver, BitextFormat, CollectionReader, RunKind or Scoring
        The entry, one of the types in `engine.extensions`.

    Returns
    -------
    entry
        The same object.

    Raises
    ------
    InputError
        If the name is taken, or `entry` is of another type.

    Examples
    --------
    >>> ow.register(Loss(name="centroid", meaning="Distance between mean token vectors.", build=build))
    >>> ow.run("somali.toml", loss={"centroid": 1.0})
    """
    from engine.extensions import registries

    for registry in registries():
        if registry.accepts(entry):
            registry.register(entry)
            return entry
    raise InputError(
        f"there is no registry for a {type(entry).__name__}; see docs/extending.md for the types"
    )
