from __future__ import annotations

import io
import pstats
from pathlib import Path
from typing import Any

import pytest

import duoflask
from duoflask.middleware import ProfilerMiddleware


def app_with_views() -> duoflask.DuoFlask:
    app = duoflask.DuoFlask("profiled")

    @app.get("/def/<path:rest>")
    def plain(rest: str) -> str:
        return rest

    @app.get("/async")
    async def marked_view() -> str:
        return "async"

    @app.get("/stream")
    def stream() -> Any:
        return iter("ab")

    @app.get("/error")
    def error() -> Any:
        raise LookupError("in the view")

    return app


def test_a_table_for_each_request(client: Any) -> None:
    out = io.StringIO()
    app = app_with_views()
    ProfilerMiddleware.install(app, stream=out, sort_by=("cumulative",), restrictions=(30,))
    sender = client(app)
    assert sender.get("/async").text == "async"
    assert sender.get("/stream").text == "ab"
    tables = out.getvalue()
    assert tables.count("PATH: '/") == 2
    assert "PATH: '/async'" in tables and "function calls" in tables and "cumulative" in tables


def test_a_path_cannot_forge_lines(client: Any) -> None:
    out = io.StringIO()
    app = app_with_views()
    ProfilerMiddleware.install(app, stream=out, restrictions=(1,))
    client(app).get("/def/x%0d%0aPATH: forged%1b[31m")
    assert "\nPATH: forged" not in out.getvalue() and "\x1b" not in out.getvalue()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/async", "GET.async."),
        ("/", "GET.root."),
        ("/def/a/b", "GET.def.a.b."),
        ("/def/..%2f..%2fetc", "GET.def.......etc."),
        ("/def/%00%ff\\c:", "GET.def._"),
        ("/def/" + "x" * 5000, "GET.def.xxx"),
    ],
)
def test_a_file_for_each_request(client: Any, tmp_path: Path, path: str, name: str) -> None:
    app = app_with_views()
    ProfilerMiddleware.install(app, stream=None, profile_dir=tmp_path)
    client(app).get(path)
    (file,) = tmp_path.iterdir()
    assert file.name.startswith(name) and file.name.endswith(".prof")
    assert len(file.name) < 200
    pstats.Stats(str(file))


def test_a_function_names_the_file(client: Any, tmp_path: Path) -> None:
    seen = []

    def name(source: Any) -> str:
        seen.append(source["werkzeug.profiler"])
        return "mine.prof"

    app = app_with_views()
    ProfilerMiddleware.install(app, None, profile_dir=str(tmp_path), filename_format=name)
    client(app).get("/async")
    assert (tmp_path / "mine.prof").exists()
    assert seen[0]["elapsed"] > 0 and seen[0]["time"] > 1e9


def test_what_an_async_view_does_is_in_the_profile(loop_client: Any, tmp_path: Path) -> None:
    app = app_with_views()
    ProfilerMiddleware.install(app, stream=None, profile_dir=tmp_path, filename_format="x.prof")
    sender = loop_client(app)
    sender.get("/async")
    names = {function for _, _, function in pstats.Stats(str(tmp_path / "x.prof")).stats}  # type: ignore[attr-defined]
    assert ("marked_view" in names) is (sender.protocol == "asgi")  # under WSGI it runs on the portal


def test_an_error_goes_on_and_nothing_is_reported(client: Any) -> None:
    out = io.StringIO()
    app = app_with_views()
    app.config["PROPAGATE_EXCEPTIONS"] = True
    ProfilerMiddleware.install(app, stream=out)
    with pytest.raises(LookupError):
        client(app).get("/error")
    assert out.getvalue() == ""


def test_what_a_wsgi_application_writes_is_kept() -> None:
    closed = []

    class Body(list[bytes]):
        def close(self) -> None:
            closed.append(1)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"a")
        return Body([b"b"])

    body = ProfilerMiddleware(app, stream=None)({"REQUEST_METHOD": "GET"}, lambda *args: None)
    assert (list(body), closed) == ([b"ab"], [1])
