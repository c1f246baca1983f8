from __future__ import annotations

import importlib.metadata
import json
import platform

import pytest


def test_a_whole_installation(call, tmp_path, monkeypatch):
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "not" / "yet"))
    code, out, err = call("doctor", "--json")
    told = json.loads(out)
    assert (code, err, told["ok"]) == (0, "", True) and told.keys() == {"ok", "findings"}
    found = {finding["what"]: finding for finding in told["findings"]}
    assert all(finding.keys() == {"what", "found", "state", "advice"} for finding in told["findings"])
    assert found["python"]["found"] == platform.python_version()
    for package in ("torch", "duckdb", "pot", "django"):
        assert found[package]["found"] == importlib.metadata.version(package)
    assert {
        "threads",
        "memory",
        "bf16 on the CPU",
        "GPU",
        "cache",
        "runs",
        "data home",
        "free disk",
    } <= found.keys()
    assert found["multilingual-e5-small"]["state"] == "ok"
    # A check leaves no trace.
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_said(call, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("OPTICAL_DATA", str(tmp_path / "nowhere"))
    real = importlib.metadata.version

    def without_pot(name: str) -> str:
        if name == "pot":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0" if name == "torch" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", without_pot)
    code, out, err = call("doctor")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 1 and err == "optical-workbench: missing: pot, torch, cache\n"
    assert "missing" in lines["pot"] and "pip install 'pot>=" in lines["pot"]
    assert "1.0" in lines["torch"] and "missing" in lines["torch"]
    assert "Not a directory" in lines["cache"] and "OPTICAL_CACHE" in lines["cache"]
    assert "warning" in lines["data"]


@pytest.mark.parametrize("command", ["runs", "show", "stop", "compare", "sql", "export", "doctor"])
def test_every_command_has_help(call, command):
    code, out, err = call(command, "--help")
    assert (code, err) == (0, "") and "--results" in out and "Usage: optical-workbench" in out
