import builtins
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from clew.apps.cli import run
from clew.apps.cli.studio import _bound


def test_a_folder_that_is_not_there_is_said(capsys):
    assert run(["studio", "nowhere"]) == 1
    assert "there is no folder 'nowhere'" in capsys.readouterr().err


def test_elsewhere_needs_a_token(capsys, tmp_path):
    assert run(["studio", str(tmp_path), "--host", "0.0.0.0", "--port", "0"]) == 1
    assert "token" in capsys.readouterr().err


def test_the_extra_that_is_missing_is_named(monkeypatch, capsys, tmp_path):
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "uvicorn":
            raise ModuleNotFoundError("no", name="uvicorn")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert run(["studio", str(tmp_path)]) == 1
    assert "pip install 'clew[studio]'" in capsys.readouterr().err


def test_small_answers_are_not_held_back_until_the_last_is_acknowledged():
    """asyncio sets TCP_NODELAY where a socket says that it is of TCP; else each answer on an open line takes 40 ms."""
    with _bound("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        line, _ = listening.accept()
        with line:
            assert line.proto == socket.IPPROTO_TCP


@pytest.mark.slow
def test_it_prints_its_address_answers_there_and_ends_at_an_interrupt(tmp_path):
    words = [sys.executable, "-m", "clew.apps.cli", "studio", str(tmp_path), "--port", "0"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as studio:
        try:
            line = studio.stdout.readline().strip()
            assert line.startswith(f"clew studio of {tmp_path} at http://127.0.0.1:")
            address = line.rpartition(" ")[2]
            with urllib.request.urlopen(f"{address}api/items") as answer:
                assert json.load(answer) == []
            with urllib.request.urlopen(f"{address}api/runs/events") as events:  # a page that is open does not hold it
                assert events.readline() == b"retry: 1000\n"
                started = time.monotonic()
                studio.send_signal(signal.SIGINT)
                assert studio.wait(30) == 0
            assert time.monotonic() - started < 5  # on an idle machine less than 1
        finally:
            studio.kill()


def test_the_list_of_commands_waits_for_no_server_and_no_model():
    look = "import sys; from clew.apps.cli import run; run(['--help']); print(*{'fastapi', 'torch'} & {*sys.modules}, 'end')"
    said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout
    assert "studio" in said and said.strip().endswith("\nend")
