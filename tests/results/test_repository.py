"""The commit of the working folder is read, and nothing that its repository names runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from engine.results.repository import git_commit


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "file").write_text("1\n")
    git(folder, "add", "file")
    git(folder, "commit", "-qm", "one")
    return folder


def test_the_commit_is_gits_own(repository: Path, tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    head = git(repository, "rev-parse", "HEAD")
    (repository / "inner").mkdir()
    for folder in (repository, repository / "inner"):
        assert git_commit(folder) == head
    (repository / "untracked").write_text("")
    os.utime(repository / "file", (1, 1))  # touched is not changed
    index = (repository / ".git/index").read_bytes()
    assert git_commit(repository) == head
    assert (repository / ".git/index").read_bytes() == index
    (repository / "file").write_text("2\n")
    assert git_commit(repository) == f"{head}-dirty"
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    assert git_commit(tmp_path / "empty") is None


def test_other_kinds_of_repositories(repository: Path, tmp_path: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert git_commit(tmp_path / "tree") == head
    (tmp_path / "tree/file").write_text("2\n")
    assert (git_commit(tmp_path / "tree"), git_commit(repository)) == (f"{head}-dirty", head)
    git(repository, "config", "core.autocrlf", "true")
    (repository / "file").unlink()
    git(repository, "checkout", "file")
    assert (repository / "file").read_bytes() == b"1\r\n"
    os.utime(repository / "file", (1, 1))
    assert git_commit(repository) == head
    git(repository, "update-index", "--split-index")
    assert git_commit(repository) == head
    (repository / ".git/index").write_bytes(b"damaged")
    assert git_commit(repository) == f"{head}-unchecked"


def test_nothing_that_a_repository_names_runs(repository: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 $* >> '{ran}'\ncat\n")
    program.chmod(0o755)
    hooks = repository / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        (hooks / hook).unlink(missing_ok=True)
        (hooks / hook).symlink_to(program)
    (repository / ".gitattributes").write_text("* filter=evil diff=evil\n")
    settings = {
        "core.fsmonitor": program, "core.hooksPath": hooks, "core.sshCommand": program, "core.pager": program,
        "core.editor": program, "core.gitProxy": program, "core.alternateRefsCommand": program,
        "filter.evil.clean": program, "filter.evil.process": program, "filter.evil.required": "true",
        "diff.external": program, "diff.evil.textconv": program, "alias.status": f"!{program}",
        "alias.rev-parse": f"!{program}", "credential.helper": program, "gpg.program": program,
        "pager.status": program, "remote.origin.url": f"ext::{program}", "remote.origin.promisor": "true",
        "extensions.partialClone": "origin", "protocol.ext.allow": "always",
        "core.repositoryformatversion": "1",
    }  # fmt: skip
    inner = repository / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "file").write_text("1\n")
    git(inner, "add", "file")
    git(inner, "commit", "-qm", "inner")
    git(repository, "-c", "protocol.file.allow=always", "add", "inner", ".gitattributes")
    git(repository, "commit", "-qm", "two")
    head = git(repository, "rev-parse", "HEAD")
    for folder in (repository, inner):
        with (folder / ".git/config").open("a") as stream:
            for key, value in settings.items():
                section, _, name = key.rpartition(".")
                first, _, second = section.partition(".")
                stream.write(f'[{first} "{second}"]\n' if second else f"[{first}]\n")
                stream.write(f'\t{name} = "{value}"\n')
    ran.unlink(missing_ok=True)
    for path in (repository / "file", inner / "file"):
        os.utime(path, (1, 1))
    assert git_commit(repository) == head
    (repository / "file").write_text("2\n")
    assert git_commit(repository) == f"{head}-dirty"
    tree = git(repository, "-c", "core.fsmonitor=false", "rev-parse", "HEAD^{tree}")
    ran.unlink(missing_ok=True)
    (repository / ".git/objects" / tree[:2] / tree[2:]).unlink()  # git would fetch it
    assert git_commit(repository) == f"{head}-unchecked"
    assert not ran.exists(), ran.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can give files away")
@pytest.mark.parametrize("place", [".", ".git"])
def test_a_repository_of_another_owner_is_not_read(repository: Path, place: str, monkeypatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
    assert git_commit(repository)
    os.chown(repository / place, 12345, 12345)
    assert git_commit(repository) is None
