"""The reloader with real processes: what a developer's requests see while the code changes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import duoflask
from duoflask.reloader.processes import descendants

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("reloader"),
    pytest.mark.skipif(sys.platform == "win32", reason="sockets are inherited on POSIX"),
]

SECONDS = 40

APP = """
import os, subprocess, sys
from duoflask import DuoFlask, render_template

app = DuoFlask(__name__)

@app.route("/")
def index():
    return "ONE"

@app.route("/pid")
async def pid():
    return str(os.getpid())

@app.route("/page")
def page():
    return render_template("page.html")

@app.route("/start")
def start():
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
    return str(subprocess.Popen([sys.executable, "-c", code]).pid)

@app.route("/fails")
async def fails():
    raise ValueError("in a view")
"""
MAIN = """
if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), debug=True, **eval(os.environ.get("OPTIONS", "{}")))
"""
DUOFLASK = ("-P", "-c", "from duoflask.cli import main; main()")


class Project:
    """A folder with a program that is served under the reloader."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.code = folder / "pkg" / "__init__.py"
        self.code.parent.mkdir()
        (folder / "pkg" / "__main__.py").write_text("from pkg import app\nimport os\n" + MAIN)
        self.code.write_text(APP)
        (folder / "app.py").write_text("from pkg import app\nimport os\n" + MAIN)
        (folder / "pkg" / "templates").mkdir()
        (folder / "pkg" / "templates" / "page.html").write_text("PAGE ONE")
        self.process: subprocess.Popen[bytes] | None = None
        self.tls = False

    def start(self, *command: str, **variables: str) -> None:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("FLASK_", "DUOFLASK_"))
        }
        environment.update(PYTHONPATH=str(Path(duoflask.__file__).parents[1]), PORT=str(self.port), **variables)
        environment.pop("WERKZEUG_RUN_MAIN", None)
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *options: str, **variables: str) -> None:
        self.start(*DUOFLASK, "--app", "pkg", "run", "--debug", "--port", str(self.port), *options, **variables)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def get(self, path: str = "/", accept: str = "*/*") -> tuple[int, str]:
        connection: http.client.HTTPConnection
        if self.tls:
            context = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=SECONDS, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            connection.request("GET", path, headers={"Accept": accept, "Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def wait_for(self, text: str, path: str = "/") -> tuple[int, str]:
        deadline = time.monotonic() + SECONDS
        answer: Any = None
        while time.monotonic() < deadline:
            try:
                answer = self.get(path)
            except OSError as exc:  # before the first start, or a connection that the last server has dropped
                answer = exc
            else:
                if text in answer[1]:
                    return answer  # type: ignore[no-any-return]
            time.sleep(0.05)
        pytest.fail(f"{text!r} did not come, but {answer!r}:\n{self.log()}")

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what}:\n{self.log()}"
            time.sleep(0.05)

    def write(self, old: str, new: str) -> None:
        text = self.code.read_text()
        assert old in text
        self.code.write_text(text.replace(old, new))

    def stop(self, number: int = signal.SIGINT) -> int:
        assert self.process is not None
        os.kill(self.process.pid, number)
        return self.process.wait(SECONDS)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        made = Project(tmp_path, free.getsockname()[1])
    yield made
    if made.process is not None:
        try:
            os.killpg(made.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        made.process.wait(SECONDS)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


WAYS = {
    "run": (*DUOFLASK, "--app", "pkg", "run", "--debug", "--port", "{port}"),
    "run-wsgi": (*DUOFLASK, "--app", "pkg", "run", "--debug", "--port", "{port}", "--interface", "wsgi"),
    "run-trio": (*DUOFLASK, "--app", "pkg", "run", "--debug", "--port", "{port}", "--loop", "trio"),
    "script": ("app.py",),
    "module": ("-m", "pkg"),
}


@pytest.mark.parametrize("way", WAYS)
def test_change_is_served_and_no_request_is_refused(project: Project, way: str) -> None:
    project.start(*[part.format(port=project.port) for part in WAYS[way]])
    project.wait_for("ONE")
    answers: list[Any] = []
    stopped = threading.Event()

    def ask() -> None:
        while not stopped.is_set():
            try:
                answers.append(project.get())
            except Exception as exc:
                answers.append(exc)

    client = threading.Thread(target=ask)
    client.start()
    try:
        for old, new in (("ONE", "TWO"), ("TWO", "SIX")):
            project.write(old, new)
            project.wait(lambda new=new: (200, new) in answers[-1:], f"{new} was not served")
    finally:
        stopped.set()
        client.join()
    assert {(200, "ONE"), (200, "SIX")} <= set(answers) <= {(200, "ONE"), (200, "TWO"), (200, "SIX")}
    assert project.stop() == 0
    assert "Traceback" not in project.log()


@pytest.mark.parametrize("way", ["run", "run-wsgi", "script", "module"])
def test_syntax_error_is_shown_until_it_is_corrected(project: Project, way: str) -> None:
    project.start(*[part.format(port=project.port) for part in WAYS[way]])
    project.wait_for("ONE")
    project.write('return "ONE"', 'return "ONE')
    status, text = project.wait_for("SyntaxError")
    assert status == 500
    assert 'return "ONE' in text and "pkg/__init__.py" in text
    project.write('return "ONE', 'return "TWO"')
    assert project.wait_for("TWO") == (200, "TWO")
    assert project.stop() == 0


def test_first_start_with_a_syntax_error_waits_for_its_correction(project: Project) -> None:
    project.write('return "ONE"', 'return "ONE')
    project.run()
    project.wait_for("SyntaxError")
    project.write('return "ONE', 'return "TWO"')
    assert project.wait_for("TWO") == (200, "TWO")


def test_missing_module_is_shown_until_it_is_there(project: Project) -> None:
    project.write("import os,", "import pkg.later, os,")
    project.run()
    project.wait_for("ModuleNotFoundError: No module named 'pkg.later'")
    (project.folder / "pkg" / "later.py").touch()
    assert project.wait_for("ONE") == (200, "ONE")


def test_wrong_name_of_the_application_ends_the_command(project: Project) -> None:
    project.start(*DUOFLASK, "--app", "nothing", "run", "--debug", "--port", str(project.port))
    assert project.process is not None
    assert project.process.wait(SECONDS) == 2
    assert "Could not import 'nothing'" in project.log()


def test_failing_start_up_function_is_shown(project: Project) -> None:
    project.write(
        "app = DuoFlask(__name__)\n",
        "app = DuoFlask(__name__)\n\n@app.before_serving\nasync def connect():\n    raise OSError('no database')\n",
    )
    project.run()
    status, text = project.wait_for("no database")
    assert status == 500
    project.write("raise OSError('no database')", "pass")
    assert project.wait_for("ONE") == (200, "ONE")


def test_error_page_is_shown_and_not_without_the_debugger(project: Project) -> None:
    project.run()
    status, text = project.wait_for("in a view", "/fails")
    assert status == 500 and "GET /fails failed" in text
    assert "<h1>ValueError</h1>" in project.get("/fails", "text/html")[1]
    project.stop()
    project.run("--no-debugger")
    project.wait_for("ONE")
    status, text = project.get("/fails", "text/html")
    assert status == 500 and "in a view" not in text


def test_template_extra_file_and_pattern(project: Project) -> None:
    (project.folder / "extra.cfg").touch()
    (project.folder / "pkg" / "ignored.py").touch()
    project.run("--extra-files", "extra.cfg", "--exclude-patterns", "*/ignored.py")
    project.wait_for("ONE")
    assert project.get("/page") == (200, "PAGE ONE")
    (project.folder / "pkg" / "templates" / "page.html").write_text("PAGE TWO")
    project.wait(lambda: "page.html changed" in project.log(), "no restart by a template")
    project.wait_for("PAGE TWO", "/page")
    (project.folder / "extra.cfg").write_text("x")
    project.wait(lambda: "extra.cfg changed" in project.log(), "no restart by an extra file")
    project.wait_for("ONE")
    (project.folder / "pkg" / "ignored.py").write_text("x = 1")
    (project.folder / "pkg" / "other.py").write_text("x = 1")
    project.wait(lambda: "other.py changed" in project.log(), "no restart by a new file")
    assert "ignored.py" not in project.log()


def test_polling_works_without_watchfiles(project: Project) -> None:
    project.start("app.py", OPTIONS="{'reloader_type': 'stat', 'reloader_interval': 0.2}")
    project.wait_for("ONE")
    assert "restarts on changes (stat)" in project.log()
    project.write("ONE", "TWO")
    project.wait_for("TWO")


def test_what_the_application_has_started_ends_with_it(project: Project) -> None:
    project.run()
    project.wait_for("ONE")
    started = int(project.get("/start")[1])
    assert is_running(started)
    project.write("ONE", "TWO")
    project.wait_for("TWO")
    assert not is_running(started)
    started = int(project.get("/start")[1])
    assert project.stop() == 0
    assert not is_running(started)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_both_processes_quietly(project: Project, number: int) -> None:
    project.run()
    project.wait_for("ONE")
    assert project.process is not None
    child = int(project.get("/pid")[1])
    assert child in descendants(project.process.pid)
    assert project.stop(number) == 0
    assert not is_running(child)
    assert "Traceback" not in project.log()
    with pytest.raises(ConnectionRefusedError):
        project.get()


def test_control_c_in_a_terminal_reaches_both_and_ends_them_quietly(project: Project) -> None:
    project.run()
    project.wait_for("ONE")
    assert project.process is not None
    os.killpg(project.process.pid, signal.SIGINT)
    assert project.process.wait(SECONDS) == 0
    assert "Traceback" not in project.log()


def test_child_ends_with_a_parent_that_was_killed(project: Project) -> None:
    project.run()
    project.wait_for("ONE")
    child = int(project.get("/pid")[1])
    assert project.process is not None
    project.process.kill()
    project.wait(lambda: not is_running(child), "the child lives on")


def test_child_that_loads_while_its_parent_is_killed_ends(project: Project) -> None:
    """It has nobody to tell that it serves; it must not show that as an error and keep the address for ever."""
    wait = "import os, time\nopen('loading', 'w').write(str(os.getpid()))\n"
    project.code.write_text(wait + "while not os.path.exists('go'): time.sleep(0.02)\n" + APP)
    project.run()
    project.wait(lambda: (project.folder / "loading").exists() and (project.folder / "loading").read_text(), "no child")
    child = int((project.folder / "loading").read_text())
    assert project.process is not None
    project.process.kill()
    project.process.wait(SECONDS)
    (project.folder / "go").touch()
    project.wait(lambda: not is_running(child), "the child lives on")
    assert "serving on" not in project.log()


def test_live_stream_does_not_hold_up_a_restart(project: Project) -> None:
    project.run()
    project.wait_for("ONE")
    page = project.get("/fails", "text/html")[1]
    assert 'src="/__duoflask__/live.js"' in page
    stream = http.client.HTTPConnection("127.0.0.1", project.port, timeout=SECONDS)
    stream.request("GET", "/__duoflask__/live")
    response = stream.getresponse()
    assert response.readline() == b"retry: 200\n"
    first = response.readline()
    project.write("ONE", "TWO")
    before = time.monotonic()
    response.read()  # to its end
    project.wait_for("TWO")
    assert time.monotonic() - before < 15
    stream.close()
    stream.request("GET", "/__duoflask__/live")
    again = stream.getresponse()
    again.readline()
    assert again.readline() != first
    stream.close()


@pytest.mark.parametrize("options", [("--no-live-reload",), ("--no-reload",)])
def test_live_reload_can_be_switched_off(project: Project, options: tuple[str, ...]) -> None:
    project.run(*options)
    project.wait_for("ONE")
    assert "__duoflask__" not in project.get("/fails", "text/html")[1]
    assert project.get("/__duoflask__/live")[0] == 404


def test_live_reload_can_be_switched_off_by_a_setting(project: Project) -> None:
    project.write("app = DuoFlask(__name__)\n", "app = DuoFlask(__name__)\napp.config['LIVE_RELOAD'] = False\n")
    project.run()
    project.wait_for("ONE")
    assert project.get("/__duoflask__/live")[0] == 404


def test_unix_socket_stays_over_a_restart(project: Project) -> None:
    path = project.folder / "s"
    project.run("--uds", str(path))

    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(SECONDS)
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while piece := client.recv(1000):
                data += piece
            return data

    project.wait(path.exists, "no socket")
    assert ask().endswith(b"ONE")
    project.write("ONE", "TWO")
    project.wait(lambda: ask().endswith(b"TWO"), "no restart")
    assert project.stop() == 0
    assert not path.exists()


def test_tls_is_kept_over_a_restart_and_a_syntax_error(project: Project) -> None:
    pytest.importorskip("cryptography")
    project.tls = True
    project.run("--cert", "adhoc")
    project.wait_for("ONE")
    first = ssl.get_server_certificate(("127.0.0.1", project.port))
    project.write('return "ONE"', 'return "ONE')
    project.wait_for("SyntaxError")
    project.write('return "ONE', 'return "TWO"')
    project.wait_for("TWO")
    assert ssl.get_server_certificate(("127.0.0.1", project.port)) == first


def test_address_in_use_is_a_short_error(project: Project) -> None:
    with socket.create_server(("127.0.0.1", project.port)):
        project.run()
        assert project.process is not None
        assert project.process.wait(SECONDS) == 1
    assert "Address already in use" in project.log()
    assert "Traceback" not in project.log()
