"""Datasets of the Hugging Face hub: their files in the local cache of ``huggingface_hub``.

A path ``hf://datasets/OWNER/NAME/FOLDER/FILE`` is written as for pandas, DuckDB or ``HfFileSystem``; a
revision follows the name (``OWNER/NAME@REVISION``). Reading takes what is in the cache and asks no network.
Only data is read: Parquet, Arrow, JSON, CSV, TSV. No code of a dataset is downloaded or run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from engine.errors import InputError, OpticalError

#: A path object has one of the two slashes.
_ADDRESS = re.compile(
    r"hf:/{1,2}datasets/(?P<name>[\w.-]+/[\w.-]+?)(@(?P<revision>[^/@]+))?(/(?P<inner>.*))?", re.DOTALL
)
_ENDINGS = (
    *(".parquet", ".arrow"),
    *(
        f"{ending}{packed}"
        for ending in (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
        for packed in ("", ".gz", ".xz")
    ),
)
#: The branch in which the hub keeps every public dataset as Parquet, and its short name.
_CONVERTED = {"~parquet": "refs/convert/parquet"}


@dataclass(frozen=True)
class HubPath:
    """A file, folder or split of a dataset of the hub.

    Attributes
    ----------
    name : str
        The id of the dataset, ``OWNER/NAME``.
    revision : str, optional
        A branch, tag or commit; None takes the main branch.
    inner : str
        The path in the dataset; empty for all of it.
    """

    name: str
    revision: str | None
    inner: str

    def __str__(self) -> str:
        """Return the path as it is written in a configuration."""
        revision = "" if self.revision is None else f"@{self.revision.replace('/', '%2F')}"
        return f"hf://datasets/{self.name}{revision}" + (f"/{self.inner}" if self.inner else "")

    def root(self) -> Path | None:
        """Return the folder of the dataset in the cache; None if the cache has no file of it."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            found = snapshot_download(  # nosec B615
                self.name, repo_type="dataset", revision=self.revision, local_files_only=True
            )
        except (LocalEntryNotFoundError, OSError):
            return None
        return Path(found)

    def place(self) -> Path:
        """Return the file or folder in the cache, or the prefix of the files of a split.

        Raises
        ------
        InputError
            If the cache has no file of the dataset.
        """
        root = self.root()
        if root is None:
            raise InputError(
                "this dataset is not in the local cache of the hub; download it with `optical-workbench data "
                f"fetch {self}`",
                path=str(self),
            )
        return root / self.inner

    def address_of(self, place: Path) -> str:
        """Return the address of a file or folder of the dataset in the cache."""
        root = self.root()
        assert root is not None and place.is_relative_to(root)
        inner = place.relative_to(root).as_posix()
        return str(HubPath(self.name, self.revision, "" if inner == "." else inner))

    def missing(self) -> InputError:
        """Return the error for what the cache does not have, which names what it has."""
        root = self.root()
        files = [] if root is None else sorted(file for file in root.rglob("*") if file.is_file())
        data = [file.relative_to(root).as_posix() for file in files if root and is_data(file.name)]
        if data:
            listed = ", ".join(data[:5]) + (", ..." if len(data) > 5 else "")
            return InputError(
                f"the local cache of the hub has no such file of this dataset; it has {listed}; "
                f"`optical-workbench data fetch {self}` downloads it",
                path=str(self),
            )
        script = any(file.suffix == ".py" for file in files)
        return InputError(
            "there is no data in it that can be read (Parquet, JSON, CSV or TSV)"
            + ("; it is made by a script, which is never run" if script else "")
            + f"; hf://datasets/{self.name}@~parquet is the hub's copy in Parquet, if it has one",
            path=str(self),
        )

    def fetch(self) -> Path:
        """Download the data files under the path into the cache of the hub; return their place.

        Raises
        ------
        InputError
            If the dataset has no such data.
        OpticalError
            If the hub cannot be reached, or does not give the dataset.
        """
        from huggingface_hub import constants, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError

        if constants.HF_HUB_OFFLINE:
            raise OpticalError(f"{self}: HF_HUB_OFFLINE is set, so nothing is downloaded; unset it")
        whole = self.inner.lower().endswith(_ENDINGS)
        wanted = [self.inner] if whole else [f"{self.inner}*{ending}" for ending in _ENDINGS]
        try:
            root = Path(
                snapshot_download(  # nosec B615
                    self.name,
                    repo_type="dataset",
                    revision=self.revision,
                    allow_patterns=[*wanted, "README.md"],
                )
            )
        except (HfHubHTTPError, OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise OpticalError(f"{self}: it cannot be downloaded from the hub: {reason}") from error
        place = root / self.inner
        under = place.rglob("*") if place.is_dir() else place.parent.glob(f"{place.name}*")
        if not any(is_data(file.name) for file in under):
            raise self.missing()
        return place


def is_data(name: str) -> bool:
    """Return whether a file's name is that of data which is read."""
    return name.lower().endswith(_ENDINGS)


def hub_path(path: str | Path) -> HubPath | None:
    """Return what a path of the hub names; None if it is another path.

    Raises
    ------
    InputError
        If it begins like one and names no dataset, or leads outside it.
    """
    text = str(path)
    if not re.match("hf:/", text):
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None or ".." in Path(found["inner"] or "").parts:
        raise InputError(
            "this is no address of a dataset; write hf://datasets/OWNER/NAME, with @REVISION or /FILE",
            path=text,
        )
    revision = found["revision"]
    if revision is not None:
        revision = _CONVERTED.get(revision, unquote(revision))
    return HubPath(found["name"], revision, (found["inner"] or "").strip("/"))
