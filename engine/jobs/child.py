"""Command lines and environments of the Python processes that this program starts."""

from __future__ import annotations

import os
import shutil
import site
import sys
from pathlib import Path

#: The folder that holds the packages ``engine`` and ``workbench``.
_ROOT = Path(__file__).resolve().parents[2]


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs `module` in another process of this Python interpreter.

    Start the process with the environment that `child_environment` returns. Then the command works in any
    working folder, also in one that holds an ``engine.py`` or a ``workbench/``: the option ``-P`` keeps the
    working folder out of the child's search path.

    Parameters
    ----------
    module : str
        The module's full name, such as ``engine.cli``.
    *arguments : str
        The arguments that the module reads from ``sys.argv``.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment() -> dict[str, str]:
    """Return a copy of this process's environment in which a child imports the same packages.

    ``PYTHONPATH`` changes in two ways. The folder that holds this program's packages comes first, unless it
    is a folder of installed packages. Entries that name the working folder, as an empty entry does, are left
    out, because modules there could hide ours.
    """
    here = _working_folder()
    folders = [here / entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    kept = [str(folder) for folder in folders if folder.resolve() not in (here, _ROOT)]
    if str(_ROOT) not in _installed_folders():
        kept.insert(0, str(_ROOT))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**environment, "PYTHONPATH": os.pathsep.join(kept)} if kept else environment


def find_program(name: str) -> str | None:
    """Return the whole path of a program on the ``PATH``, or None if there is none.

    Entries of the ``PATH`` that depend on the working folder are ignored, so no program of that folder runs.
    A `name` that is a whole path is returned if there is such a program.
    """
    folders = [folder for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    kept = os.pathsep.join(folder for folder in folders if Path(folder).is_absolute())
    if os.sep in name and not Path(name).is_absolute():
        return None
    return shutil.which(name, path=kept)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # it was deleted; nothing can be imported from it
        return Path(os.sep)


def _installed_folders() -> set[str]:
    return {str(Path(folder).resolve()) for folder in (*site.getsitepackages(), site.getusersitepackages())}
