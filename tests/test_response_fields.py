from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import flask
import pytest
from hypothesis import given, strategies as st
from werkzeug import http as oracle
from werkzeug.datastructures import WWWAuthenticate as OracleChallenge

import duoflask
from duoflask.http.auth import WWWAuthenticate
from duoflask.http.cross_origin import COEP, COOP

ours, theirs = duoflask.Response, flask.Response

NOW = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)

TEXT = (
    "location",
    "content_location",
    "content_encoding",
    "content_md5",
    "accept_ranges",
    "access_control_allow_origin",
)
DATES = ("date", "expires", "last_modified")
NUMBERS = ("content_length", "access_control_max_age")
SETS = ("vary", "allow", "content_language")
OPTIONAL_SETS = ("access_control_allow_headers", "access_control_allow_methods", "access_control_expose_headers")

NAMES = {
    "content_md5": "Content-MD5",
    **{
        name: name.title().replace("_", "-")
        for name in (*TEXT, *DATES, *NUMBERS, *SETS, *OPTIONAL_SETS)
        if name != "content_md5"
    },
}
PLAIN = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)


def fields(response: Any) -> list[tuple[str, str]]:
    return sorted((name.lower(), value) for name, value in response.headers if name.lower() != "content-length")


def both(act: Any) -> tuple[Any, Any]:
    answers = []
    for kind in (ours, theirs):
        response = kind()
        try:
            answer = act(response)
        except Exception as exc:
            answer = type(exc)
        answers.append((answer, fields(response)))
    return answers[0], answers[1]


def set_and_get(name: str, value: Any) -> Any:
    def act(response: Any) -> Any:
        setattr(response, name, value)
        got = getattr(response, name)
        return list(got) if name in (*SETS, *OPTIONAL_SETS) and got is not None else got

    return act


@pytest.mark.parametrize("name", TEXT)
@given(value=PLAIN)
def test_text_goes_out_and_comes_back_as_with_werkzeug(name: str, value: str) -> None:
    mine, flasks = both(set_and_get(name, value))
    assert mine == flasks


@pytest.mark.parametrize("name", DATES)
@given(value=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)) | st.integers(0, 2**32))
def test_date_goes_out_and_comes_back_as_with_werkzeug(name: str, value: Any) -> None:
    mine, flasks = both(set_and_get(name, value))
    assert mine == flasks


@pytest.mark.parametrize("name", NUMBERS)
@given(value=st.integers(0, 2**70))
def test_number_goes_out_and_comes_back_as_with_werkzeug(name: str, value: int) -> None:
    mine, flasks = both(set_and_get(name, value))
    assert mine[0] == flasks[0]


@given(st.integers(0, 10**6) | st.timedeltas(timedelta(0), timedelta(days=900)) | st.just(-1))
def test_age_goes_out_and_comes_back_as_with_werkzeug(value: Any) -> None:
    mine, flasks = both(set_and_get("age", value))
    assert mine == flasks


@pytest.mark.parametrize("name", [*SETS, *OPTIONAL_SETS])
@given(
    items=st.lists(st.sampled_from(["Accept", "accept", "Cookie", "a b", "*", 'x"y']), max_size=4, unique_by=str.lower)
)
def test_list_goes_out_and_comes_back_as_with_werkzeug(name: str, items: list[str]) -> None:
    if not items and name in OPTIONAL_SETS:
        return  # Werkzeug sends an empty field
    mine, flasks = both(set_and_get(name, items))
    assert mine == flasks


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("raw", ["", "x", "5", "-5", "+5", "1_0", "a, b", '"a", "b', "Tue, 02 Jan 2024 03:04:05 GMT"])
def test_what_a_field_holds_is_read_as_by_werkzeug(name: str, raw: str) -> None:
    if name in NUMBERS and raw in ("-5", "+5", "1_0"):  # RFC 9110 has digits only
        response = ours(headers={NAMES[name]: raw})
        assert getattr(response, name) is None
        return

    def act(response: Any) -> Any:
        response.headers[NAMES[name]] = raw
        got = getattr(response, name)
        return list(got) if name in (*SETS, *OPTIONAL_SETS) and got is not None else got

    mine, flasks = both(act)
    assert mine == flasks


@pytest.mark.parametrize("name", NAMES)
def test_missing_field_and_its_deletion_are_as_with_werkzeug(name: str) -> None:
    def act(response: Any) -> Any:
        response.headers.pop(NAMES[name], None)
        got = getattr(response, name)
        return list(got) if name in SETS else got

    mine, flasks = both(act)
    assert mine == flasks
    response = ours(headers={NAMES[name]: "1"})
    delattr(response, name)
    assert NAMES[name] not in response.headers
    response.headers[NAMES[name]] = "1"
    setattr(response, name, None)  # Werkzeug sends "None"
    assert NAMES[name] not in response.headers


# -- lists


def test_several_lines_of_a_list_are_one_list() -> None:
    response = ours(headers=[("Vary", "Accept"), ("Vary", "Origin, accept")])
    assert list(response.vary) == ["Accept", "Origin"]
    response.vary.add("Cookie")
    assert response.headers.getlist("Vary") == ["Accept, Origin, Cookie"]
    lost = theirs(headers=[("Vary", "Accept"), ("Vary", "Origin")])
    lost.vary.add("Cookie")
    assert lost.headers.getlist("Vary") == ["Accept, Cookie"]


def test_several_lines_stay_if_nobody_changes_them(client: Any) -> None:
    app = duoflask.DuoFlask("app")

    @app.get("/")
    def view() -> Any:
        response = duoflask.Response("x", headers=[("Vary", "Accept"), ("Vary", "Origin")])
        assert "accept" in response.vary
        return response

    assert client(app).get("/").headers.getlist("Vary") == ["Accept", "Origin"]


def test_vary_of_a_session_is_added_to_several_lines(client: Any) -> None:
    app = duoflask.DuoFlask("app")
    app.secret_key = "k"

    @app.get("/")
    async def view() -> Any:
        duoflask.session.get("x")
        return duoflask.Response("x", headers=[("Vary", "Accept"), ("Vary", "Origin")])

    response = client(app).get("/")
    assert set(response.vary.as_set()) == {"accept", "origin", "cookie"}


def test_set_writes_its_changes_back() -> None:
    def walk(response: Any) -> Any:
        seen = []
        for act in (
            lambda: response.vary.add("A"),
            lambda: response.vary.update(["b", "C"]),
            lambda: response.vary.remove("a"),
            lambda: response.allow.add("GET"),
            lambda: response.vary.clear(),
            lambda: setattr(response, "vary", "x, y"),
            lambda: setattr(response, "vary", None),
            lambda: setattr(response, "allow", []),
        ):
            act()
            seen.append(fields(response))
        return seen

    mine, flasks = both(walk)
    assert mine == flasks


def test_cross_origin_lists_write_their_changes_back_and_take_text() -> None:
    response = ours()
    assert response.access_control_allow_headers is None
    response.access_control_allow_headers = "X-A, X-B"  # Werkzeug makes a list of letters
    response.access_control_allow_headers.add("X-C")
    assert response.headers["Access-Control-Allow-Headers"] == "X-A, X-B, X-C"


def test_credentials_of_other_origins() -> None:
    for value in (True, False, None):
        mine, flasks = both(set_and_get("access_control_allow_credentials", value))
        assert mine == flasks


def test_cross_origin_policies() -> None:
    response = ours()
    assert response.cross_origin_opener_policy is COOP.UNSAFE_NONE
    assert response.cross_origin_embedder_policy is COEP.UNSAFE_NONE
    response.cross_origin_opener_policy = COOP.SAME_ORIGIN
    response.cross_origin_embedder_policy = COEP.REQUIRE_CORP
    flasks = theirs()
    flasks.cross_origin_opener_policy = oracle.COOP.SAME_ORIGIN
    flasks.cross_origin_embedder_policy = oracle.COEP.REQUIRE_CORP
    assert fields(response) == fields(flasks)
    assert response.cross_origin_opener_policy is COOP.SAME_ORIGIN
    response.headers["Cross-Origin-Opener-Policy"] = "nonsense"
    assert response.cross_origin_opener_policy is COOP.UNSAFE_NONE
    with pytest.raises(ValueError):
        response.cross_origin_embedder_policy = "nonsense"


# -- structures


def test_retry_after_is_a_date_or_seconds() -> None:
    response = ours()
    assert response.retry_after is None
    response.retry_after = 120
    assert response.headers["Retry-After"] == "120"
    moment = response.retry_after
    assert moment is not None
    assert timedelta(seconds=110) < moment - datetime.now(UTC) <= timedelta(seconds=120)
    response.retry_after = NOW
    assert response.retry_after == NOW
    response.retry_after = "1_0"
    assert response.retry_after is None
    response.headers["Retry-After"] = "9" * 5000
    assert response.retry_after is not None
    response.retry_after = None
    assert "Retry-After" not in response.headers


def test_cache_control_writes_back() -> None:
    def walk(response: Any) -> Any:
        seen = []
        response.cache_control.max_age = 60
        response.cache_control.public = True
        seen.append(fields(response))
        seen.append(response.cache_control.max_age)
        response.cache_control.no_store = True
        response.cache_control.public = False
        seen.append(fields(response))
        response.cache_control.max_age = None
        response.cache_control.no_store = False
        return [*seen, fields(response), bool(response.cache_control)]

    mine, flasks = both(walk)
    assert mine == flasks
    several = ours(headers=[("Cache-Control", "no-store"), ("Cache-Control", "private")])
    several.cache_control.max_age = 0
    assert several.headers.getlist("Cache-Control") == ["no-store, private, max-age=0"]


def test_content_range_writes_back() -> None:
    def walk(response: Any) -> Any:
        seen = [str(response.content_range), bool(response.content_range)]
        response.content_range.set(0, 5, 10)
        seen.append(fields(response))
        response.content_range.start = 2
        seen.append(str(response.content_range))
        response.content_range.unset()
        seen.append(fields(response))
        response.content_range = "bytes 1-2/3"
        seen.append((response.content_range.start, response.content_range.stop))
        response.content_range = None
        return [*seen, fields(response)]

    mine, flasks = both(walk)
    assert mine == flasks


@pytest.mark.parametrize("name", ["content_security_policy", "content_security_policy_report_only"])
def test_policy_writes_back(name: str) -> None:
    def walk(response: Any) -> Any:
        policy = getattr(response, name)
        seen: list[Any] = [str(policy)]
        policy.default_src = "'self'"
        getattr(response, name).font_src = "'self' x"
        seen.append([value for _, value in fields(response)])
        setattr(response, name, "img-src y")
        seen.append(getattr(response, name).img_src)
        setattr(response, name, getattr(response, name))
        seen.append([value for _, value in fields(response)])
        setattr(response, name, None)
        return seen

    mine, flasks = both(walk)
    assert mine == flasks


def test_second_policy_and_second_challenge_stay() -> None:
    response = ours(headers=[("Content-Security-Policy", "img-src a"), ("Content-Security-Policy", "img-src b")])
    response.content_security_policy.font_src = "c"
    assert response.headers.getlist("Content-Security-Policy") == ["img-src a; font-src c", "img-src b"]
    response.www_authenticate = [WWWAuthenticate("basic", {"realm": "a"}), WWWAuthenticate("bearer")]
    response.www_authenticate.realm = "b"
    assert response.headers.getlist("WWW-Authenticate") == ['Basic realm="b"', "Bearer"]
    response.content_security_policy.clear()
    assert response.headers.getlist("Content-Security-Policy") == ["img-src b"]


def test_challenge_writes_back() -> None:
    def walk(response: Any) -> Any:
        kind = WWWAuthenticate if isinstance(response, ours) else OracleChallenge
        seen = [str(response.www_authenticate.type), fields(response)]
        response.www_authenticate = challenge = kind("basic", {"realm": "r r"})
        seen.append(fields(response))
        challenge.realm = "s s"
        seen.append(fields(response))
        response.www_authenticate.realm = "t t"
        seen.append(fields(response))
        response.www_authenticate = [kind("basic", {"realm": "r r"}), kind("bearer", token="x")]
        seen.append(fields(response))
        del response.www_authenticate
        seen.append(fields(response))
        response.www_authenticate = None
        return [*seen, fields(response)]

    mine, flasks = both(walk)
    assert mine == flasks


def test_parameters_of_the_media_type_write_back() -> None:
    def walk(response: Any) -> Any:
        response.mimetype_params["charset"] = "latin-1"
        response.mimetype_params["x"] = "a b"
        return response.content_type, dict(response.mimetype_params), response.mimetype

    mine, flasks = both(walk)
    assert mine == flasks


def test_media_type_is_read_without_case() -> None:
    assert ours(content_type="Text/HTML; x=y").mimetype == "text/html"
    assert theirs(content_type="Text/HTML; x=y").mimetype == "Text/HTML"


@given(st.text(max_size=6), st.booleans())
def test_etag_is_set_as_by_werkzeug(tag: str, weak: bool) -> None:
    def walk(response: Any) -> Any:
        response.set_etag(tag, weak)
        return response.get_etag(), response.headers["ETag"]

    mine, flasks = both(walk)
    if all(" " <= char <= "\xff" and char != "\x7f" and not "\x80" <= char < "\xa0" for char in tag):
        assert mine == flasks


# -- addresses

ODD = [
    "http://[",
    "http://[::1",
    "//a:b:c",
    "http://a:99999/",
    "\\\\x",
    "javascript:x",
    "http://\u00e4.de/\u20ac?\u00e4#\u00e4",
    "/\u20ac",
]


@pytest.mark.parametrize("location", ODD)
@pytest.mark.parametrize("make", ["redirect", "location", "headers"])
def test_odd_address_is_sent_or_refused_inside_the_application(client: Any, location: str, make: str) -> None:
    app = duoflask.DuoFlask("app")
    app.testing = False

    @app.get("/")
    def view() -> Any:
        if make == "redirect":
            return duoflask.redirect(location)
        response = duoflask.Response("x", 302)
        if make == "location":
            response.location = location
        else:
            response.headers["Location"] = location
        return response

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Any:
        return f"{type(error).__name__}", 400

    response = client(app).get("/")
    if response.status_code == 302:
        assert response.headers["Location"].isascii()
        assert response.headers["Location"]
    else:
        assert (make, response.status_code, response.text) == ("headers", 400, "ValueError")


@pytest.mark.parametrize("char", ["\r", "\n", "\0", "\x1b", "\x7f", "\r\nX-A: b"])
@pytest.mark.parametrize("make", ["location", "headers", "content_location"])
def test_control_character_in_an_address_is_refused(make: str, char: str) -> None:
    response = ours("x", 302)
    with pytest.raises(ValueError):
        if make == "headers":
            response.headers["Location"] = f"/a{char}b"
        else:
            setattr(response, make, f"/a{char}b")
    assert "Location" not in response.headers


@pytest.mark.parametrize("char", ["\r", "\n", "\0", "\x1b", "\r\nX-A: b"])
def test_redirect_to_control_characters_splits_nothing(client: Any, char: str) -> None:
    app = duoflask.DuoFlask("app")
    app.testing = False
    app.logger.disabled = True
    app.add_url_rule("/", "view", lambda: duoflask.redirect(f"/a{char}b"))
    response = client(app).get("/")
    assert response.status_code in (302, 500)
    assert "X-A" not in response.headers


def test_address_beyond_ascii_is_encoded_where_it_is_sent(client: Any) -> None:
    app = duoflask.DuoFlask("app")
    app.add_url_rule("/", "view", lambda: ("x", 302, {"Location": "/\u00e4"}))
    assert client(app).get("/").headers["Location"] == "/%C3%A4"


# -- classes with a head of their own


def test_class_may_have_its_location_made_absolute(client: Any) -> None:
    class Own(ours):
        autocorrect_location_header = True

    app = duoflask.DuoFlask("app")
    app.response_class = Own
    app.add_url_rule("/a/b", "view", lambda: duoflask.redirect("c"))
    app.add_url_rule("/x", "async", absolute := _async_view)
    assert absolute is _async_view
    tester = client(app)
    assert tester.get("/a/b?q").headers["Location"] == "http://localhost/a/c"
    assert tester.get("/x").headers["Location"] == "http://localhost/y"


async def _async_view() -> Any:
    return "", 301, {"Location": "y"}


def test_get_wsgi_headers_of_a_class_is_called_under_both_protocols(client: Any) -> None:
    class Own(ours):
        def get_wsgi_headers(self, environ: Any) -> Any:
            headers = super().get_wsgi_headers(environ)
            headers["X-Path"] = environ["PATH_INFO"]
            return headers

    app = duoflask.DuoFlask("app")
    app.response_class = Own
    app.add_url_rule("/text", "text", lambda: "x")
    app.add_url_rule("/json", "json", lambda: {"a": 1})
    app.add_url_rule("/stream", "stream", lambda: iter("ab"))
    app.add_url_rule("/error", "error", lambda: duoflask.abort(403))
    tester = client(app)
    for path in ("/text", "/json", "/stream", "/error"):
        assert tester.get(path).headers["X-Path"] == path


# -- cookies


def test_size_from_which_cookies_warn_is_the_configured(client: Any) -> None:
    app = duoflask.DuoFlask("app")
    app.config["MAX_COOKIE_SIZE"] = 10

    @app.get("/")
    def view() -> Any:
        response = duoflask.Response("x")
        assert response.max_cookie_size == 10
        with pytest.warns(UserWarning, match="cookie"):
            response.set_cookie("a", "b" * 20)
        response.max_cookie_size = 0
        response.set_cookie("a", "b" * 20)
        return response

    assert client(app).get("/").status_code == 200
    assert ours().max_cookie_size == theirs().max_cookie_size == 4093
