"""``encoders push``: upload a folder that ``encoders export`` wrote to a hub."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.bitext.files import files_in
from engine.cli.options import ask_first, json_option, print_json
from engine.cli.output import say
from engine.cli.tables import print_line, print_table, size_text
from engine.counted import counted
from engine.errors import InputError, OpticalError

if TYPE_CHECKING:
    from engine.cli.answers import PushedEncoder

#: Files of which an exported folder has one, or each of its two subfolders.
_EXPORTED = ("modules.json", "optical.json", "roles.json")


@click.command("push")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("repository")
@click.option("--public", is_flag=True, help="Make a new repository public. The default is private.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def push_command(folder: Path, repository: str, public: bool, yes: bool, as_json: bool) -> None:
    """Upload FOLDER, which `encoders export` wrote, to REPOSITORY (OWNER/NAME) of the Hugging Face hub.

    The files and their sizes are listed, and nothing is sent before you agree. A repository that does not
    exist is made. The access token is the one that `hf auth login` stored, or that of HF_TOKEN.
    """
    files = _files(folder)
    total = sum(file.stat().st_size for file in files)
    names = [file.relative_to(folder).as_posix() for file in files]
    if not as_json:
        rows = [(name, size_text(file.stat().st_size)) for name, file in zip(names, files, strict=True)]
        print_table(("file", "size"), rows, right=("size",))
    hub = _Hub(repository)
    exists = hub.check(public)
    if not yes:
        kind = "public" if public else "private"
        where = repository if exists else f"{repository}, a new {kind} repository"
        ask_first(
            f"Upload {counted(len(files), 'file')}, {size_text(total)}, to {where}?",
            "encoders push",
            "upload",
        )
    say(f"uploading to {repository}")
    address, private = hub.upload(folder, names, public)
    answer: PushedEncoder = {
        "repository": repository,
        "address": address,
        "private": private,
        "files": len(files),
        "bytes": total,
    }
    if as_json:
        print_json(answer)
    else:
        print_line(address)


def _files(folder: Path) -> list[Path]:
    """Return the files of an exported folder; hidden ones are left out.

    Raises
    ------
    InputError
        If `encoders export` did not write it, or a file is a link.
    """
    places = (folder, folder / "query", folder / "document")
    exported = any((place / name).is_file() for place in places for name in _EXPORTED)
    if not exported or not (folder / "README.md").is_file():
        raise InputError(
            "this is no folder that `optical-workbench encoders export RUN FOLDER --for LIBRARY` wrote; "
            "export the run first",
            path=folder,
        )
    files = files_in(folder)
    if links := [file for file in files if file.is_symlink()]:
        raise InputError("it is a link, which is not uploaded; replace it by the file", path=links[0])
    return files


class _Hub:
    """A repository of the hub, as ``huggingface_hub`` reaches it. Errors are one sentence without the token.

    Parameters
    ----------
    repository : str
        ``OWNER/NAME``.
    """

    def __init__(self, repository: str) -> None:
        from huggingface_hub import HfApi, constants, get_token

        self.repository = repository
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise InputError(f"{repository!r} is no name of a repository; write OWNER/NAME")
        if constants.HF_HUB_OFFLINE:
            raise OpticalError("HF_HUB_OFFLINE is set, so nothing is uploaded; unset it")
        self.token = get_token()
        if self.token is None:
            raise InputError(
                "there is no access token of the hub; `hf auth login` stores one, or set HF_TOKEN to it"
            )
        self.api = HfApi(token=self.token)

    def check(self, public: bool) -> bool:
        """Return whether the repository exists.

        Raises
        ------
        InputError
            If it is public, and the folder is not to be.
        OpticalError
            If the hub cannot be reached.
        """
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            known: Any = self.api.repo_info(self.repository)
        except RepositoryNotFoundError:
            return False
        except Exception as error:
            raise self._failed("cannot be looked up", error) from error
        if not known.private and not public:
            raise InputError(
                f"the repository {self.repository} is public; add --public, or name another repository"
            )
        return True

    def upload(self, folder: Path, names: list[str], public: bool) -> tuple[str, bool]:
        """Upload files; return the address of the repository, and whether it is private.

        Raises
        ------
        OpticalError
            If the hub cannot be reached, or refuses.
        """
        try:
            address = self.api.create_repo(self.repository, private=not public, exist_ok=True)
            self.api.upload_folder(
                repo_id=address.repo_id,
                folder_path=folder,
                allow_patterns=[glob.escape(name) for name in names],
                commit_message="Encoder exported by Optical Workbench",
            )
            return str(address), bool(self.api.repo_info(address.repo_id).private)
        except Exception as error:
            raise self._failed("was not written", error) from error

    def _failed(self, what: str, error: Exception) -> OpticalError:
        """Return the error for an exception of the library, which may be one of many network libraries."""
        reason = " ".join(str(error).split()) or type(error).__name__
        return OpticalError(
            f"the repository {self.repository} {what}: {reason[:300].replace(self.token or ' ', '...')}"
        )
