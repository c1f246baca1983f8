"""The commit of a Git repository, read without running anything that the repository names.

A repository's configuration can name programs, which git runs when it compares files with the index: a
monitor of the file system, hooks, filters, a transport for missing objects. So files are compared in a
temporary Git folder that shares the repository's objects and its index, but not its configuration.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

#: The settings of a repository that decide on how files are compared, and name no program.
_HARMLESS = "autocrlf|eol|filemode|ignorecase|symlinks|precomposeunicode|trustctime|checkstat"
_SECONDS = 5.0


def git_commit(folder: Path | None = None) -> str | None:
    """Return the commit of `folder` (by default the working folder), with ``-dirty`` if files differ from it.

    The commit is followed by ``-unchecked`` if the files cannot be compared with it. Submodules are not
    compared. None if there is no repository, no commit or no git, or if the repository belongs to another
    user. It never raises.
    """
    try:
        return _commit(folder or Path.cwd())
    except (OSError, subprocess.SubprocessError, UnicodeError, ValueError):
        return None


def _commit(folder: Path) -> str | None:
    asked = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir", "HEAD")
    # This reads references only: no index, no objects.
    top, private, shared, commit = _git("rev-parse", *asked, folder=folder).splitlines()
    root, own, common = Path(top), Path(private), folder / shared
    if any(place.stat().st_uid != os.geteuid() for place in (root, own, common)):
        return None
    try:
        changed = _changed(root, own, common, commit)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return f"{commit}-unchecked"
    return f"{commit}-dirty" if changed else commit


def _changed(top: Path, private: Path, shared: Path, commit: str) -> bool:
    """Return whether tracked files differ from `commit`."""
    with tempfile.TemporaryDirectory(prefix="optical-git-") as made:
        place = Path(made)
        (place / "refs").mkdir()
        (place / "objects").mkdir()
        (place / "HEAD").write_text(f"{commit}\n", "utf-8")
        (place / "config").write_text(_config(shared / "config", len(commit)), "utf-8")
        for part in private.glob("sharedindex.*"):  # of an index that is split
            (place / part.name).symlink_to(part)
        listed = _git(
            *("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"),
            folder=top,
            variables={
                "GIT_DIR": made,
                "GIT_WORK_TREE": str(top),
                "GIT_INDEX_FILE": str(private / "index"),
                "GIT_OBJECT_DIRECTORY": str(shared.resolve() / "objects"),
            },
        )
    return bool(listed)


def _config(path: Path, length: int) -> str:
    """Return a configuration with the harmless settings of the one at `path`.

    Parameters
    ----------
    path : Path
        The repository's configuration.
    length : int
        The number of digits of a commit, which tells the kind of its hashes.
    """
    lines = ["[core]", "repositoryformatversion = 1", "bare = false"]
    if path.is_file():
        pattern = rf"^core\.({_HARMLESS})$"
        found = _git("config", "--file", str(path), "--no-includes", "--get-regexp", pattern, fails=True)
        lines += [
            f"{key} = {value}" for key, value in re.findall(r"^core\.(\w+) (\w+)$", found, re.MULTILINE)
        ]
    return "\n".join([*lines, "[extensions]", f"objectFormat = {'sha256' if length == 64 else 'sha1'}", ""])


def _git(
    *arguments: str,
    folder: Path | None = None,
    variables: Mapping[str, str] | None = None,
    fails: bool = False,
) -> str:
    """Return what git prints; `fails` tells that its exit status 1 is no error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
    done = subprocess.run(
        ["git", "--no-pager", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", *arguments],
        cwd=folder, env={**environment, **(variables or {})},
        capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode and not (fails and done.returncode == 1):
        raise subprocess.CalledProcessError(done.returncode, arguments[0])
    return done.stdout.rstrip("\n")
