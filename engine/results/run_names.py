"""Which run a user means by an id, the beginning of an id, or a name."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import InputError, nearest


def resolve_run(name: str, runs: Sequence[tuple[str, str]]) -> str:
    """Return the id of the run that `name` means.

    Parameters
    ----------
    name : str
        The id of a run, its name, or the beginning of one id, in this order.
    runs : sequence of (id, name)
        The runs to choose from. Of several with the same name, the first is meant.

    Raises
    ------
    InputError
        If there is no such run, or several ids begin with `name`.
    """
    ids = [identity for identity, _ in runs]
    if name in ids:
        return name
    for identity, known in runs:
        if known == name:
            return identity
    begun = [identity for identity in ids if name and identity.startswith(name)]
    if len(begun) > 1:
        raise InputError(f"{len(begun)} runs begin with {name!r}; give more of the id, such as {begun[0]!r}")
    if not begun:
        known_names = [*ids, *(known for _, known in runs)]
        raise InputError(
            f"there is no run {name!r}{nearest(name, known_names)}; `optical-workbench runs` lists them"
        )
    return begun[0]
