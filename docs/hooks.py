"""Hooks of MkDocs: pages that are made from the code and from the files of the repository's root."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

DOCS = Path(__file__).resolve().parent
#: The pages of the site that are files in the repository's root.
FROM_ROOT = {"index.md": "README.md", "changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the settings of every kind of run under *Settings* in the navigation."""
    pages = [path for path in _pages() if path.startswith("reference/settings/")]
    for section in config.nav or ():
        for entry in section.get("Reference", ()):
            if isinstance(entry, dict) and "Settings" in entry:
                entry["Settings"] = [{Path(path).stem: path} for path in pages]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in ``docs/``."""
    pages = {path: moved(DOCS.parent / name) for path, name in FROM_ROOT.items()} | _pages()
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def moved(path: Path) -> str:
    """Return a page of the root with links as they are from ``docs/``."""
    text = path.read_text("utf-8")
    for target, name in FROM_ROOT.items():
        text = text.replace(f"]({name})", f"]({target})")
    return re.sub(r"\]\(docs/", "](", text)


@functools.cache
def _pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("reference_pages", DOCS / "reference_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages
