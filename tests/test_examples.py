"""The examples, run in process under both protocols; tests/e2e runs them under real servers."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from duoflask import g, request

EXAMPLES = Path(__file__).parents[1] / "examples"
TOPICS = sorted(path.parent.name for path in EXAMPLES.glob("*/app.py"))


def load(topic: str) -> ModuleType:
    """Import an example's module anew, so that no test sees what another one did to its application."""
    spec = importlib.util.spec_from_file_location(f"example_{topic}", EXAMPLES / topic / "app.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where an app finds out which folder is its own
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["wsgi", "asgi"])
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def hello() -> ModuleType:
    return load("hello")


@pytest.fixture
def client(hello: ModuleType, protocol: str) -> Iterator[Any]:
    with hello.app.test_client(protocol=protocol) as client:
        yield client


@pytest.mark.parametrize("topic", TOPICS)
def test_each_example_answers_at_its_root_and_has_a_readme(
    topic: str, protocol: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES / topic)
    monkeypatch.setenv("FLASKR_DATABASE", str(tmp_path / "blog.sqlite"))
    with load(topic).app.test_client(protocol=protocol) as client:
        assert client.get("/").status_code == 200
    assert (EXAMPLES / topic / "README.md").read_text().startswith(f"# {topic}\n")


@pytest.mark.parametrize("topic", ["chat", "flaskr"])
def test_example_passes_its_own_tests(topic: str) -> None:
    plugins = ["no:cacheprovider", "no:rerunfailures", "no:timeout", "no:asyncio"]  # only a developer's clone has them
    command = [sys.executable, "-m", "pytest", "-q", *(part for name in plugins for part in ("-p", name))]
    result = subprocess.run(command, cwd=EXAMPLES / topic, capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stdout + result.stderr


def test_hello_module_exports_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES / "hello")
    spec = importlib.util.spec_from_file_location("example_hello_module", EXAMPLES / "hello" / "hello.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.app)


def test_views_of_both_colours_answer(client: Any) -> None:
    assert client.get("/").text == "Hello, World!"
    assert client.get("/async").text == "Hello, async World!"
    assert client.get("/users/7?q=x").json == {"id": 7, "name": "user 7", "query": "x"}


def test_form_is_shown_and_read(client: Any) -> None:
    assert b"<form" in client.get("/form").data
    assert client.post("/form", data={"name": "Löve"}).text == "Hello, Löve!"


@pytest.mark.parametrize("target", ["/sum", "/sum/async"])
def test_json_goes_in_and_out(client: Any, target: str) -> None:
    client.get("/")
    assert client.post(target, json={"numbers": [1, 2]}).json == {"sum": 3}
    assert client.post(target, data="[", content_type="application/json").status_code == 400
    assert client.post(target, data="{}", content_type="text/plain").status_code == 415


def test_body_over_the_rules_limit_is_refused(client: Any) -> None:
    assert client.post("/echo", data=b"x" * 1000).data == b"x" * 1000
    assert client.post("/echo", data=b"x" * 1001).status_code == 413


@pytest.mark.parametrize("target", ["/sum", "/sum/async"])
def test_first_request_of_an_application_may_have_a_body(client: Any, target: str) -> None:
    assert client.post(target, json={"numbers": [1, 2]}).json == {"sum": 3}


def test_hooks_of_both_colours_share_one_context(client: Any) -> None:
    response = client.get("/trail", headers={"X-Visitor": "Ada"})
    assert response.json == [
        "url_value_preprocessor (def)",
        "url_value_preprocessor (async def)",
        "before_request (def)",
        "before_request (async def) for Ada",
        "view (async def) for Ada",
    ]
    assert response.headers["X-After-Def"] == response.headers["X-After-Async-Def"] == "Ada"


@pytest.mark.parametrize("target", ["/stream", "/stream/async"])
def test_body_chunks_run_inside_the_context(client: Any, target: str) -> None:
    response = client.get(target, headers={"X-Visitor": "Ada"})
    assert response.text == "".join(f"{number} for Ada at {target}\n" for number in range(5))


def test_error_handlers_of_both_colours_answer(client: Any) -> None:
    missing = client.get("/nowhere")
    assert (missing.status_code, missing.text) == (404, "nothing at /nowhere")
    coffee = client.get("/coffee")
    assert (coffee.status_code, coffee.json) == (503, {"error": "the pot is empty"})


def test_unhandled_exception_is_a_500(client: Any) -> None:
    response = client.get("/crash")
    assert response.status_code == 500
    assert "nobody handles" not in response.text


def test_start_functions_and_teardown_run_once_each(client: Any) -> None:
    for target in ("/", "/async", "/nowhere", "/coffee", "/crash", "/stream/async"):
        client.get(target).close()
    counts = client.get("/counts").json
    assert counts["started"] == ["before_serving (def)", "before_serving (async def)"]
    assert counts["first request"] == ["before_first_request (def)", "before_first_request (async def)"]
    assert counts["requests"] == 7
    assert [value for key, value in counts.items() if key.startswith("teardown")] == [6, 6, 6, 6]


def test_async_view_calls_another_route_over_httpx(hello: ModuleType, protocol: str) -> None:
    app = hello.app

    @app.route("/relay")
    async def relay() -> dict[str, Any]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://inner.example") as inner:
            answer = await inner.get("/trail", headers={"X-Visitor": "inner"})
        return {
            "inner": answer.json()[-1],
            "outer": g.trail[-1],
            "path": request.path,
            "visitor": hello.visitor.get(),
        }

    with app.test_client(protocol=protocol) as client:
        response = client.get("/relay", headers={"X-Visitor": "outer"})
    assert json.loads(response.data) == {
        "inner": "view (async def) for inner",
        "outer": "before_request (async def) for outer",
        "path": "/relay",
        "visitor": "outer",
    }
