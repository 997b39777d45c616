"""`congru serve` as a process: it says where it listens, speaks TLS, refuses a port in use, and ends in order."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from congru.cli.main import main
from runtime_models import save_text
from serve_cases import make_certificate


def test_it_listens_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    save_text(tmp_path / "words")
    command = [
        sys.executable,
        "-m",
        "congru",
        "serve",
        str(tmp_path),
        "--port",
        "0",
        "--runs",
        str(tmp_path / "runs"),
    ]
    tls: ssl.SSLContext | None = None
    if shutil.which("openssl"):
        certificate, key = make_certificate(tmp_path)
        command += ["--certificate", str(certificate), "--key", str(key)]
        tls = ssl.create_default_context(cafile=str(certificate))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        line = server.stdout.readline()
        address = line.split()[3]
        assert address.startswith("https://127.0.0.1:" if tls else "http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}v1/models", context=tls) as answer:
            assert b'"words"' in answer.read()
        with urllib.request.urlopen(address, context=tls) as answer:
            assert b"<title>congru</title>" in answer.read()
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=20)
    assert (server.returncode, errors) == (0, "")
    assert not (tmp_path / "runs").exists()


def test_a_port_in_use_costs_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(SystemExit) as caught:
            main(["serve", "--port", str(taken.getsockname()[1])])
    assert caught.value.code == 2
    assert "pass --port 0 for any" in capsys.readouterr().err


def test_folders_that_are_none_cost_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", str(tmp_path / "none")])
    assert caught.value.code == 2
    assert "expected a model or run folder" in capsys.readouterr().err
