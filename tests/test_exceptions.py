from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import anyio
import pytest
from werkzeug import exceptions as oracle
from werkzeug.test import create_environ, run_wsgi_app
from werkzeug.wrappers import Response as ForeignResponse

import duoflask
from duoflask import exceptions
from duoflask.exceptions import Aborter, HTTPException, abort
from duoflask.http.auth import WWWAuthenticate

CODES = sorted(exceptions.default_exceptions)


def test_every_name_of_werkzeugs_module_can_be_imported() -> None:
    for name, value in vars(oracle).items():
        if isinstance(value, type) and value.__module__ == oracle.__name__ and not name.startswith("_"):
            assert name in exceptions.__all__
    assert {"abort", "default_exceptions"} <= set(exceptions.__all__)


@pytest.mark.parametrize("path", ["/def", "/async"])
@pytest.mark.parametrize("code", CODES)
def test_code_is_aborted_with_its_page(client: Any, path: str, code: int) -> None:
    app = duoflask.DuoFlask("app")

    @app.get("/def")
    def view() -> Any:
        abort(code, description="<why> & how")

    @app.get("/async")
    async def async_view() -> Any:
        abort(code, description="<why> & how")

    response = client(app).get(path)
    theirs = oracle.default_exceptions[code](description="<why> & how")
    assert (response.status_code, response.text) == (code, theirs.get_body())
    assert [pair for pair in response.headers if pair[0] != "Content-Length"] == theirs.get_headers()
    assert response.content_length == len(response.data)


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (lambda m: m.MethodNotAllowed(["GET", "HEAD"]), "Allow", "GET, HEAD"),
        (lambda m: m.RequestedRangeNotSatisfiable(47311), "Content-Range", "bytes */47311"),
        (lambda m: m.RequestedRangeNotSatisfiable(0, "items"), "Content-Range", "items */0"),
        (lambda m: m.RequestedRangeNotSatisfiable(), "Content-Range", None),
        (lambda m: m.TooManyRequests(retry_after=20), "Retry-After", "20"),
        (
            lambda m: m.ServiceUnavailable(retry_after=datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
            "Retry-After",
            "Tue, 02 Jan 2024 03:04:05 GMT",
        ),
        (lambda m: m.ServiceUnavailable(retry_after=0), "Retry-After", None),
    ],
)
def test_fields_of_an_error_are_werkzeugs_and_are_sent(client: Any, error: Any, name: str, value: str | None) -> None:
    assert dict(error(oracle).get_headers()).get(name) == value
    app = duoflask.DuoFlask("app")

    @app.get("/")
    async def view() -> Any:
        raise error(exceptions)

    assert client(app).get("/").headers.get(name) == value


def test_challenges_are_sent_one_a_line(client: Any) -> None:
    challenges = [WWWAuthenticate("basic", {"realm": "a"}), WWWAuthenticate("bearer", token="x")]
    app = duoflask.DuoFlask("app")
    app.add_url_rule("/one", "one", lambda: abort(401, www_authenticate=challenges[0]))
    app.add_url_rule("/two", "two", lambda: abort(401, www_authenticate=challenges))
    tester = client(app)
    assert tester.get("/one").headers.getlist("WWW-Authenticate") == ['Basic realm="a"']
    assert sorted(tester.get("/two").headers.getlist("WWW-Authenticate")) in (
        ['Basic realm="a"', "Bearer x"],
        ['Basic realm="a", Bearer x'],  # a WSGI server may join them
    )


def test_field_that_would_split_the_page_is_refused(client: Any) -> None:
    app = duoflask.DuoFlask("app")
    app.testing = False
    app.logger.disabled = True

    @app.get("/")
    def view() -> Any:
        raise exceptions.MethodNotAllowed(["GET\r\nX-A: b"])

    response = client(app).get("/")
    assert response.status_code == 500
    assert "X-A" not in response.headers


@pytest.mark.parametrize("code", CODES)
def test_error_is_an_application_of_both_protocols(code: int) -> None:
    error = exceptions.default_exceptions[code](description="why")
    body, status, _ = run_wsgi_app(error, create_environ("/"), buffered=True)
    assert status.startswith(f"{code} ")
    assert b"why" in b"".join(body)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        await error({"type": "http", "method": "GET", "headers": []}, None, send)

    anyio.run(main)
    assert sent[0]["status"] == code
    assert b"why" in sent[1]["body"]
    run_wsgi_app(error, create_environ("/", method="HEAD"))


def test_own_page_gets_the_environ_or_the_scope() -> None:
    seen: list[Any] = []

    class Own(exceptions.NotFound):
        def get_body(self, environ: Any = None, scope: Any = None) -> str:
            seen.append((environ is not None, scope is not None))
            return "own"

        def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
            return [("Content-Type", "text/own"), ("X-A", "1")]

    body, _, headers = run_wsgi_app(Own(), create_environ("/"))
    assert (b"".join(body), headers["X-A"], headers["Content-Type"]) == (b"own", "1", "text/own")

    async def main() -> None:
        async def send(message: Any) -> None:
            pass

        await Own()({"type": "http", "method": "GET"}, None, send)

    anyio.run(main)
    assert seen == [(True, False), (False, True)]


# -- abort


@pytest.mark.parametrize("path", ["/ours", "/foreign", "/wsgi"])
def test_abort_with_a_response_sends_it(client: Any, path: str) -> None:
    app = duoflask.DuoFlask("app")

    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response("299 Own", [("X-A", "1")])
        return [b"sent"]

    app.add_url_rule("/ours", "ours", lambda: abort(duoflask.Response("sent", 299, {"X-A": "1"})))
    app.add_url_rule("/foreign", "foreign", lambda: abort(ForeignResponse("sent", 299, {"X-A": "1"})))  # type: ignore[arg-type]
    app.add_url_rule("/wsgi", "wsgi", lambda: abort(wsgi))  # type: ignore[arg-type]
    response = client(app).get(path)
    assert (response.status_code, response.data, response.headers["X-A"]) == (299, b"sent", "1")


@pytest.mark.parametrize("code", [200, 299, 600, "404", None, "Not Found", 404.0, [404]])
def test_abort_with_what_is_no_error_says_so(code: Any) -> None:
    with pytest.raises(LookupError, match="no exception for the status code"):
        abort(code)


def test_abort_takes_members_of_the_enumeration_and_arguments() -> None:
    with pytest.raises(exceptions.NotFound):
        abort(HTTPStatus.NOT_FOUND)
    with pytest.raises(exceptions.MethodNotAllowed) as caught:
        abort(405, valid_methods=["GET"], description="d")
    assert (caught.value.valid_methods, caught.value.description) == (["GET"], "d")


def test_aborter_has_a_mapping_of_its_own(client: Any) -> None:
    class Teapot(HTTPException):
        code = 299

    class NotThere(exceptions.NotFound):
        pass

    with pytest.raises(Teapot):
        Aborter(extra={299: Teapot})(299)
    with pytest.raises(exceptions.NotFound):
        Aborter(extra={299: Teapot})(404)
    with pytest.raises(LookupError):
        Aborter({404: NotThere})(403)
    app = duoflask.DuoFlask("app")
    app.aborter.mapping[404] = NotThere
    app.errorhandler(NotThere)(lambda error: "own")
    app.add_url_rule("/", "view", lambda: abort(404))
    assert client(app).get("/").text == "own"


@pytest.mark.parametrize("path", ["/args", "/headers", "/form"])
@pytest.mark.parametrize("debug", [True, False])
def test_missing_key_is_named_in_debug_mode_only(client: Any, path: str, debug: bool) -> None:
    app = duoflask.DuoFlask("app")
    app.debug = debug
    app.config["TRAP_BAD_REQUEST_ERRORS"] = False
    app.add_url_rule("/args", "args", lambda: duoflask.request.args["<secret>"])
    app.add_url_rule("/headers", "headers", lambda: duoflask.request.headers["<secret>"])
    app.add_url_rule("/form", "form", lambda: duoflask.request.form["<secret>"])
    response = client(app).get(path)
    assert response.status_code == 400
    assert ("&lt;secret&gt;" in response.text) is debug
    assert "<secret>" not in response.text
