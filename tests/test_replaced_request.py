"""A request class that replaces a part of the stock one is asked in every place, under both protocols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from duoflask import DuoFlask, Request, request
from duoflask.debughelpers import DebugFilesKeyError
from duoflask.http.forms import FormDataParser
from duoflask.http.headers import Headers

URLENCODED = "application/x-www-form-urlencoded"


def answer_of(
    client: Callable[..., Any], request_class: type[Request], view: Callable[[], Any], media_type: str, body: bytes
) -> str:
    app = DuoFlask(__name__)
    app.request_class = request_class
    app.add_url_rule("/", "view", lambda: repr(view()), methods=["POST"])
    answer = client(app).post("/", data=body, content_type=media_type)
    assert answer.status_code == 200
    return str(answer.text)


def test_the_loading_of_the_form_may_look_at_the_files(client: Callable[..., Any]) -> None:
    class Own(Request):
        def _load_form_data(self) -> None:
            super()._load_form_data()
            assert not self.files

    assert answer_of(client, Own, lambda: dict(request.form), URLENCODED, b"a=1") == "{'a': '1'}"


@pytest.mark.parametrize(
    ("media_type", "body", "view"),
    [
        ("application/json", b"{}", lambda: request.get_json(silent=True)),
        ("application/json", b"{}", lambda: request.is_json or None),
        (URLENCODED, b"a=1", lambda: dict(request.form) or None),
    ],
)
def test_the_mimetype(client: Callable[..., Any], media_type: str, body: bytes, view: Callable[[], Any]) -> None:
    class Own(Request):
        mimetype = property(lambda self: "text/plain")  # type: ignore[assignment]

    assert answer_of(client, Own, view, media_type, body) == "None"


@pytest.mark.parametrize("touched", [False, True])
def test_the_headers(client: Callable[..., Any], touched: bool) -> None:
    class Own(Request):
        @property
        def headers(self) -> Any:  # type: ignore[override]
            return Headers({"Content-Type": "application/json", "Content-Length": "2", "Cookie": "sid=fixed"})

    def view() -> Any:
        if touched:
            assert request.headers
        return request.scope is None or (request.is_json, request.cookies["sid"], request.get_json())

    answer = answer_of(client, Own, view, "text/plain", b"{}")
    assert answer in ("True", "(True, 'fixed', {})")  # WSGI has its environ


def test_what_is_replaced_after_the_class_was_made(client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(Request):
        pass

    monkeypatch.setattr(Own, "want_form_data_parsed", property(lambda self: False))
    assert answer_of(client, Own, lambda: dict(request.form), URLENCODED, b"a=1") == "{}"


def test_the_stream_behind_a_form_is_at_its_end(client: Callable[..., Any]) -> None:
    def view() -> Any:
        assert request.form["a"] == "1"
        request.max_content_length = 1
        return request.stream.read(), request.get_data()

    assert answer_of(client, Request, view, URLENCODED, b"a=1") == "(b'', b'')"


def test_a_missing_file_is_explained_with_an_own_parser(client: Callable[..., Any]) -> None:
    class Own(Request):
        class form_data_parser_class(FormDataParser):  # type: ignore[assignment]  # noqa: N801 - the attribute's name
            pass

    def view() -> Any:
        assert request.form["f"] == "1"
        with pytest.raises(DebugFilesKeyError):
            request.files["f"]
        return "explained"

    app = DuoFlask(__name__)
    app.debug = True
    app.request_class = Own
    app.add_url_rule("/", "view", view, methods=["POST"])
    assert client(app).post("/", data=b"f=1", content_type=URLENCODED).text == "explained"
