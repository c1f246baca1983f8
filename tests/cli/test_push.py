"""Uploading exported encoders through ``huggingface_hub`` itself, to a small hub on the loopback."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.cli.commands import run as run_command

TOKEN = "hf_secretsecretsecret"


class Hub:
    """What a hub was asked for, and what it has."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.repositories: dict[str, bool] = {}  # whether they are private
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.refuses = False


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *arguments: Any) -> None:
        pass

    def answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        self.wfile.write(body)

    def noted(self) -> str:
        path = self.path.partition("?")[0]
        self.hub.asked.append((self.command, path))
        self.hub.tokens.add(self.headers.get("Authorization"))
        return path

    def do_GET(self) -> None:
        path = self.noted()
        name = path.removeprefix("/api/models/").partition("/revision")[0]
        if path.startswith("/api/models/") and name in self.hub.repositories:
            self.answer(
                200, {"id": name, "sha": "0" * 40, "private": self.hub.repositories[name], "siblings": []}
            )
        else:
            self.answer(404, {"error": "Repository not found"})

    def do_POST(self) -> None:
        path = self.noted()
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else self.chunks()
        if self.hub.refuses:
            self.answer(403, {"error": f"forbidden for {self.headers.get('Authorization')}"})
        elif path == "/api/repos/create":
            asked = json.loads(raw)
            name = f"{asked.get('organization') or 'owner'}/{asked['name']}"
            self.hub.repositories.setdefault(name, asked.get("private", asked.get("visibility") == "private"))
            self.answer(200, {"url": f"http://{self.headers['Host']}/{name}", "name": name})
        elif "/preupload/" in path:
            files = json.loads(raw)["files"]
            self.answer(
                200,
                {
                    "files": [
                        {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files
                    ]
                },
            )
        elif "/commit/" in path:
            for line in raw.splitlines():
                part = json.loads(line)
                if part["key"] == "file":
                    self.hub.files[part["value"]["path"]] = base64.b64decode(part["value"]["content"])
            self.answer(
                200, {"commitUrl": f"http://{self.headers['Host']}/owner/name/commit/1", "commitOid": "1"}
            )
        else:
            self.answer(200, {"message": "valid"})

    def chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"hub": found}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    (folder / "1_Dense").mkdir(parents=True)
    for name in ("README.md", "modules.json", "1_Dense/model [x].bin", ".hidden"):
        (folder / name).write_bytes(f"content of {name}".encode())
    return folder


def push(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run_command(["encoders", "push", *map(str, arguments)])
    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err
    return code, captured.out, captured.err


def test_a_folder_is_uploaded_to_a_new_private_repository(hub, exported, capsys):
    code, out, err = push(capsys, exported, "owner/name", "--yes")
    assert code == 0, (err, hub.asked)
    assert hub.repositories == {"owner/name": True}
    assert hub.files == {
        name: f"content of {name}".encode() for name in ("README.md", "modules.json", "1_Dense/model [x].bin")
    }
    assert out.splitlines()[-1].endswith("/owner/name") and "1_Dense/model [x].bin" in out
    assert hub.tokens - {None} == {f"Bearer {TOKEN}"}  # what is public is asked for without
    code, out, _ = push(capsys, exported, "owner/name", "--yes", "--json")
    assert code == 0 and json.loads(out)["private"] is True and json.loads(out)["files"] == 3


def test_nothing_is_sent_before_the_user_agrees(hub, exported, capsys, monkeypatch):
    code, out, err = push(capsys, exported, "owner/name")
    assert code == 2 and "add --yes to upload" in err and "modules.json" in out
    asked = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", lambda question, **more: asked.append(question) or exit_no())
    code, _, _ = push(capsys, exported, "owner/name")
    assert code == 130
    assert asked == ["Upload 3 files, 75 B, to owner/name, a new private repository?"]
    assert not hub.repositories and {method for method, _ in hub.asked} == {"GET"}


def exit_no() -> None:
    import click

    raise click.Abort()


def test_a_public_repository_needs_the_word(hub, exported, capsys):
    hub.repositories["owner/name"] = False
    code, _, err = push(capsys, exported, "owner/name", "--yes")
    assert code == 2 and "owner/name is public; add --public" in err and not hub.files
    assert push(capsys, exported, "owner/name", "--yes", "--public")[0] == 0
    assert hub.files


def test_a_refusal_is_one_sentence_without_the_token(hub, exported, capsys):
    hub.refuses = True
    code, _, err = push(capsys, exported, "owner/name", "--yes")
    assert code == 1 and "the repository owner/name was not written" in err
    assert len([line for line in err.splitlines() if line.startswith("optical-workbench: ")]) == 1


@pytest.mark.parametrize("offline", [True, False])
def test_what_does_not_start_is_one_sentence(offline, exported, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    code, _, err = push(capsys, exported, "owner/name", "--yes")
    assert code in (1, 2) and ("HF_HUB_OFFLINE is set" if offline else "no access token of the hub") in err
    code, _, err = push(capsys, exported, "a/b/c", "--yes")
    assert code == 2 and "'a/b/c' is no name of a repository" in err
    code, _, err = push(capsys, tmp_path, "owner/name", "--yes")
    assert code == 2 and "this is no folder that `optical-workbench encoders export" in err
    (exported / "link").symlink_to("/etc/hostname")
    code, _, err = push(capsys, exported, "owner/name", "--yes")
    assert code == 2 and "it is a link, which is not uploaded" in err


def test_a_hub_that_cannot_be_reached_is_one_sentence(exported, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    code, _, err = push(capsys, exported, "owner/name", "--yes")
    assert code == 1 and "the repository owner/name cannot be looked up" in err and "Traceback" not in err
