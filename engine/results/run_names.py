"""Which run a user means by an id, the beginning of an id, or a name."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import InputError, nearest


def resolve_run(name: str, runs: Sequence[tuple[str, str]]) -> str:
    """Return the id of the run that `name` means.

    An id or name that was cut in its middle, with an ellipsis, means what the whole one means.

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
    start, _, end = name.partition("…")
    begun = [known for known in ids if start and known.startswith(start) and known.endswith(end)]
    if end and not begun:
        named = {known: identity for identity, known in reversed(runs)}
        begun = [named[known] for known in named if start and known.startswith(start) and known.endswith(end)]
    if len(begun) > 1:
        raise InputError(f"{len(begun)} runs begin with {name!r}; give more of the id, such as {begun[0]!r}")
    if not begun:
        known_names = [*ids, *(known for _, known in runs)]
        raise InputError(
            f"there is no run {name!r}{nearest(name, known_names)}; `optical-workbench runs` lists them"
        )
    return begun[0]
