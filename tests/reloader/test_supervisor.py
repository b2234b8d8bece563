"""The pieces of the parent that need no child: its command line, and the end of descendants."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from duoflask.reloader.processes import descendants, end_all
from duoflask.reloader.supervisor import _forget_compiled, _split_command


@pytest.mark.parametrize(
    ("arguments", "flags", "program"),
    [
        (["app.py", "-m", "x"], [], ["app.py", "-m", "x"]),
        (["-P", "-X", "dev", "app.py"], ["-P", "-X", "dev"], ["app.py"]),
        (["-m", "pkg", "-c"], [], ["-m", "pkg", "-c"]),
        (["-W", "error", "-Im", "pkg"], ["-W", "error", "-I"], ["-m", "pkg"]),
        (["-c", "print()", "x"], [], ["-c", "print()", "x"]),
        ([], [], []),
    ],
)
def test_command_line_is_split(arguments: list[str], flags: list[str], program: list[str]) -> None:
    assert _split_command(arguments) == (flags, program)


def test_stale_bytecode_is_removed(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text("x = 1")
    compiled = Path(importlib.util.cache_from_source(str(source)))
    compiled.parent.mkdir()
    compiled.touch()
    _forget_compiled([str(source), str(tmp_path / "b.py"), str(tmp_path / "c.html")])
    assert not compiled.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
@pytest.mark.parametrize("stubborn", [False, True])
def test_descendants_are_found_and_ended(stubborn: bool) -> None:
    inner = "import signal, time; "
    inner += "signal.signal(signal.SIGTERM, signal.SIG_IGN); " if stubborn else ""
    inner += "print('up', flush=True); time.sleep(100)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    process = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        found = descendants(process.pid)
        assert len(found) == 1
        end_all(found)
        assert process.wait(20) in (0, 1)
        assert descendants(process.pid) == {}
        end_all(found)  # gone already
    finally:
        process.kill()
        process.communicate()


PROGRAM = """
import sys, time
import anyio
from duoflask import DuoFlask

app = DuoFlask("stopping")

@app.after_serving
async def stopped():
    print("shutdown", flush=True)

@app.get("/def")
def thread():
    print("in", flush=True)
    time.sleep(60)
    return ""

@app.get("/async")
async def stream():
    print("in", flush=True)
    async def body():
        while True:
            yield "data: x\\n\\n"
            await anyio.sleep(0.02)
    return body()

app.run(port=int(sys.argv[1]), debug=True)
"""


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("path", ["/def", "/async"])
@pytest.mark.parametrize("to_group", [True, False])
def test_one_interrupt_runs_the_shutdown_functions(tmp_path: Path, path: str, to_group: bool) -> None:
    """A terminal's Ctrl+C goes to parent and child, `kill -INT` to the parent alone."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, str(program), str(port)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        with _connection(port) as sock:
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert process.stdout is not None
            assert "in\n" in iter(process.stdout.readline, "")  # behind the banner
            if to_group:
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=40)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()
    assert (process.returncode, output) == (0, "shutdown\n")
    assert "1 request was not finished 2.0 s after the stop" in errors
    assert "second signal" not in errors


def _connection(port: int) -> socket.socket:
    """Connect as soon as the parent listens."""
    deadline = time.monotonic() + 40
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=40)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
