"""Redirects: where they lead, what their page offers, and that no target breaks them."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest
import werkzeug.urls
import werkzeug.utils
from hypothesis import given, strategies as st

import duoflask
from duoflask.response import Response
from duoflask.urls import append_slash_redirect, redirect

from .growth import require_linear


@pytest.mark.parametrize(
    "location",
    ["/", "/a?b=c#d", "http://localhost/x", "//example.com/", "/ä?q=ü", "http://bücher.example/", "relative", ""],
)
def test_location_is_werkzeugs(location: str) -> None:
    ours, theirs = redirect(location), werkzeug.utils.redirect(location)
    assert ours.headers["Location"] == werkzeug.urls.iri_to_uri(theirs.headers["Location"])
    assert ours.status_code == theirs.status_code == 302
    assert ours.content_type == theirs.content_type


STRANGE = [
    "http://[",
    "http://[::1",
    "http://host:99999999/",
    "http://host:port/",
    "http://ex\u0131\u202eample.\u2025/",
    "http://" + "a" * 70 + ".é/",
    "http://xn--\u2603.example/",
    "/a\r\nSet-Cookie: b=c",
    "/a\x00\x1b\x7f",
    "\ud800/x",
    "http://\udcff/",
    "\u2028\u0085",
    "http://a@b@c/",
    "%",
    "http://é:é@é/é?é#é",
]


@pytest.mark.parametrize("location", STRANGE)
@pytest.mark.parametrize("colour", ["def", "async def"])
def test_no_target_breaks_the_answer(client: Any, location: str, colour: str) -> None:
    app = duoflask.Flask("app")
    app.testing = True

    def view() -> Any:
        return duoflask.redirect(location)

    async def view_async() -> Any:
        return view()

    app.add_url_rule("/", "index", view if colour == "def" else view_async)
    response = client(app).get("/")
    assert response.status_code == 302
    sent = response.headers["Location"]
    assert sent.isascii() and sent.isprintable() and " " not in sent
    assert "Set-Cookie" not in response.headers
    assert response.get_data()


@given(st.text())
def test_any_text_is_a_target(location: str) -> None:
    sent = redirect(location).headers["Location"]
    assert sent.isascii()
    assert sent.isprintable()


@pytest.mark.parametrize(
    "location",
    [
        "javascript:alert(1)",
        " JavaScript:alert(1)",
        "java\nscript:alert(1)",
        "java\tscript:alert(1)",
        "\x01javascript:alert(1)",
        "\u2000javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
    ],
)
def test_the_page_offers_no_script_to_click_on(location: str) -> None:
    page = redirect(location).get_data(as_text=True)
    assert re.search(r'href="[\x00-\x20]*(javascript|data|vbscript):', page, re.IGNORECASE) is None


@pytest.mark.parametrize("location", ["/x", "x:y/z"[1:], "http://a/", "HTTPS://a/", "//a/b"])
def test_the_page_links_to_where_it_leads(location: str) -> None:
    response = redirect(location)
    assert f'<a href="{response.headers["Location"]}">' in response.get_data(as_text=True)


def test_the_page_is_escaped() -> None:
    page = redirect('/"><script>alert(1)</script>&').get_data(as_text=True)
    assert "<script" not in page
    assert '"><' not in page.replace('">/&#34;', "")


@pytest.mark.parametrize("code", [200, 300, 304, 306, 404, "302"])
def test_another_code_is_an_error(code: Any) -> None:
    with pytest.raises(ValueError, match="invalid code of a redirect"):
        redirect("/", code)


def test_an_own_class_is_used() -> None:
    class Own(Response):
        pass

    assert type(redirect("/", 308, Own)) is Own


@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        ("/a/b", "", "b/"),
        ("/a/b", "x=1&y=%20", "b/?x=1&y=%20"),
        ("/", "", "./"),
        ("/a/", "x", "./?x"),
        ("/ä", "", "%C3%A4/"),
        ("/a b", "", "a%20b/"),
    ],
)
def test_append_slash_is_werkzeugs(path: str, query: str, location: str) -> None:
    raw = path.encode().decode("latin-1")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": raw, "QUERY_STRING": query}
    ours, theirs = append_slash_redirect(environ), werkzeug.utils.append_slash_redirect(environ)
    assert ours.headers["Location"] == location
    assert ours.status_code == theirs.status_code == 308
    if path.isascii():  # Werkzeug takes WSGI's latin-1 for the text itself
        assert werkzeug.urls.iri_to_uri(theirs.headers["Location"]) == location
    scope = {"type": "http", "path": path, "query_string": query.encode(), "headers": []}
    assert append_slash_redirect(scope).headers["Location"] == location


@pytest.mark.parametrize("path", ["/http:evil", "/javascript:alert(1)", "/a?b", "/a#b", "//evil"])
def test_append_slash_never_leaves_the_site(path: str) -> None:
    location = append_slash_redirect({"REQUEST_METHOD": "GET", "PATH_INFO": path}).headers["Location"]
    assert ":" not in location and "?" not in location and "#" not in location and not location.startswith("/")


@pytest.mark.measures
@pytest.mark.parametrize("unit", ["é", "%", "[", "@", ":", "http://", "\ufdfa", "xn--", "a.", "é.", "/é"])
def test_redirecting_takes_linear_time(unit: str) -> None:
    require_linear(lambda size: partial(redirect, "http://" + unit * (size // len(unit))), 50_000)
