"""Check that ``import engine`` finds our own package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def check_installation() -> None:
    """Check that no other module called ``engine`` comes before ours in the search path.

    Raises
    ------
    ImportError
        If another module does; the sentence names its file.
    """
    ours = Path(__file__).resolve().parents[1] / "engine" / "__init__.py"
    try:
        spec = find_spec("engine")
    except ValueError:  # a module that somebody put into sys.modules by hand
        spec = None
    found = None if spec is None else spec.origin
    if found is None or Path(found).resolve() != ours:
        place = found or (list(spec.submodule_search_locations or ())[:1] if spec is not None else None)
        what = f"the module 'engine' at {place}" if place else "a module called 'engine' without a file"
        raise ImportError(
            f"{what} hides the package 'engine' of Optical Workbench, {ours.parent}; rename that module, or "
            "remove its folder from the search path (python -P leaves the working folder out)"
        )
