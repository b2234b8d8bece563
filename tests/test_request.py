from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import flask
import pytest
from hypothesis import given, strategies as st
from werkzeug import wrappers as oracle

from duoflask import DuoFlask
from duoflask.http.buffered import BufferedBody
from duoflask.http.errors import (
    BadRequest,
    ClientDisconnected,
    HTTPException,
    RequestEntityTooLarge,
    SecurityError,
    UnsupportedMediaType,
)
from duoflask.http.header_views import EnvironHeaders, ScopeHeaders
from duoflask.http.multidict import ImmutableMultiDict
from duoflask.limits import Limits
from duoflask.request import Request

HEADERS = {
    "Host": "example.com:5000",
    "User-Agent": "curl/8",
    "Cookie": "a=1; b=2; a=3",
    "X-Forwarded-For": "10.0.0.1, 10.0.0.2",
    "Referer": "http://example.com/",
    "Origin": "http://example.com",
}


def make_environ(
    method="GET", path="/", query="", headers=HEADERS, body=b"", root="", scheme="http", length=True, **extra
):
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "4711",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    if body and length:
        environ.setdefault("CONTENT_LENGTH", str(len(body)))
    return environ | extra


def make_scope(method="GET", path="/", query="", headers=HEADERS, body=b"", root="", scheme="http", length=True):
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    if body and length and b"content-length" not in dict(raw):
        raw.append((b"content-length", str(len(body)).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": root + path,
        "raw_path": None,
        "root_path": root,
        "query_string": query.encode("latin-1"),
        "headers": raw,
        "server": ("127.0.0.1", 8000),
        "client": ("192.0.2.1", 4711),
    }


def over_wsgi(cls=Request, **data):
    return cls(make_environ(**data))


def over_asgi(cls=Request, **data):
    request = cls(make_scope(**data))
    request._body = BufferedBody.of([data.get("body", b"")])
    return request


@pytest.fixture(params=[over_wsgi, over_asgi], ids=["wsgi", "asgi"])
def make(request):
    return request.param


CASES = [
    {},
    {"path": "/ä/b c/%41", "query": "a=1&b=%20x&a=2&c=%ff", "root": "/mount/ü"},
    {"path": "//double", "root": "/m/"},
    {"path": ""},
    {"method": "post", "scheme": "https", "headers": {"Host": "example.com:443"}},
    {"headers": {}},
    {"headers": {"Host": "xn--bcher-kva.de"}},
    {"headers": {"Host": "[::1]:80", "Content-Type": 'Text/HTML; charset=UTF-8; x="y z"'}},
    {
        "headers": {
            "Content-Type": "application/vnd.x+json",
            "Content-Encoding": "gzip",
            "Content-Length": "0",
        }
    },
    {"headers": {"Content-Length": "abc"}},
    {"headers": {"Content-Length": "-5"}},
    {"headers": {"Content-Length": "5", "Transfer-Encoding": "gzip, Chunked"}},
]
_NAMES = """
    method path root_path script_root full_path query_string scheme host host_url url base_url root_url
    url_root is_secure server remote_addr content_type content_length content_encoding content_md5 mimetype
    mimetype_params is_json referrer origin access_control_request_method
"""
ATTRIBUTES = _NAMES.split()


@pytest.mark.parametrize("data", CASES)
@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attribute_is_werkzeugs(make, data, name):
    assert getattr(make(**data), name) == getattr(oracle.Request(make_environ(**data)), name)


@pytest.mark.parametrize("data", CASES)
def test_collections_are_werkzeugs(make, data):
    ours, theirs = make(**data), oracle.Request(make_environ(**data))
    assert sorted(ours.headers) == sorted(theirs.headers)
    assert list(ours.args.lists()) == list(theirs.args.lists())
    assert list(ours.cookies.lists()) == list(theirs.cookies.lists())
    assert list(ours.access_route) == list(theirs.access_route)
    assert ours.user_agent.string == str(ours.user_agent) == ours.user_agent.to_header() == theirs.user_agent.string
    assert repr(ours) == repr(theirs)


def test_attributes_are_kept(make):
    request = make(query="a=1")
    for name in (
        "args",
        "headers",
        "cookies",
        "url",
        "form",
        "files",
        "values",
        "stream",
        "environ",
        "access_route",
    ):
        assert getattr(request, name) is getattr(request, name)


def test_collections_are_read_only(make):
    request = make(query="a=1")
    for one in (request.args, request.form, request.files, request.cookies, request.headers, request.values):
        with pytest.raises(TypeError):
            one["x"] = "y"
    with pytest.raises(TypeError):
        request.access_route.append("x")
    assert isinstance(request.args, ImmutableMultiDict)


def test_storage_classes_can_be_replaced(make):
    class Own(Request):
        parameter_storage_class = dict_storage_class = dict
        list_storage_class = list

    request = make(Own, query="a=1&a=2")
    assert type(request.args) is type(request.cookies) is type(request.form) is dict
    assert request.values.getlist("a") == ["2"]
    assert type(request.access_route) is list


def test_environ_carries_the_request():
    environ = make_environ()
    request = Request(environ)
    assert environ["werkzeug.request"] is request
    assert request.environ is environ
    assert request.scope is None
    for options in ({"populate_request": False}, {"shallow": True}):
        environ = make_environ()
        Request(environ, **options)
        assert "werkzeug.request" not in environ


def test_scope_makes_an_environ():
    data = {
        "path": "/ä",
        "query": "a=1",
        "root": "/r",
        "body": b"x",
        "headers": HEADERS | {"Content-Type": "a/b"},
    }
    request = over_asgi(**data)
    request.scope["raw_path"] = b"/r/%C3%A4"
    expected = make_environ(**data)
    made = dict(request.environ)
    assert made.pop("asgi.scope") is request.scope
    assert made.pop("wsgi.input_terminated")
    assert made.pop("REQUEST_URI") == made.pop("RAW_URI") == "/r/%C3%A4?a=1"
    assert made.pop("wsgi.input").read() == expected.pop("wsgi.input").read()
    assert made == expected
    assert "werkzeug.request" not in request.scope
    assert request.input_stream is request.environ["wsgi.input"]


def test_environ_of_a_scope_keeps_bytes_that_are_not_utf8_and_joins_lines():
    scope = make_scope(root="/r") | {"path": "/r/\ufffd", "raw_path": b"/r/%FF"}
    scope["headers"] = [(b"x-a", b"1"), (b"x-a", b"2"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"x_a", b"evil")]
    environ = Request(scope).environ
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/r", "/\xff")
    assert (environ["HTTP_X_A"], environ["HTTP_COOKIE"]) == ("1, 2", "a=1; b=2")


def test_header_views_belong_to_their_protocol():
    assert isinstance(over_wsgi().headers, EnvironHeaders)
    assert isinstance(over_asgi().headers, ScopeHeaders)


def test_both_protocols_count_root_path_alike():
    scope = make_scope(path="/x", root="/r")
    scope["path"] = "/x"  # a server from before ASGI 2.4
    assert Request(scope).path == "/x"
    assert over_asgi(path="/x", root="/r").path == over_wsgi(path="/x", root="/r").path == "/x"


def test_path_that_is_not_utf8_is_replaced():
    environ = make_environ()
    environ["PATH_INFO"] = "/\xff"
    assert Request(environ).path == "/\ufffd"


def test_process_flags_and_user(make):
    request = make()
    assert (request.is_multithread, request.is_multiprocess, request.is_run_once) == (True, True, False)
    assert request.remote_user is None
    assert Request(make_environ(REMOTE_USER="me")).remote_user == "me"


@pytest.mark.parametrize("host", ["[:e:1]:80", "a/b", "a@b", "a b", "é", "http://x"])
def test_bad_host_is_a_400_when_it_is_looked_at(make, host):
    request = make(headers={"Host": host})
    assert request.path == "/"
    for name in ("host", "url", "base_url", "root_url", "host_url"):
        with pytest.raises(SecurityError):
            getattr(request, name)
    assert "invalid URL" in repr(request)


def test_trusted_hosts(make):
    request = make()
    request.trusted_hosts = ["EXAMPLE.com"]
    assert request.host == "example.com:5000"
    request = make()
    request.trusted_hosts = ["other.com"]
    with pytest.raises(SecurityError):
        request.url  # noqa: B018


# the body

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


@given(st.text(alphabet="ab=&+%20é\u20ac", max_size=30))
@pytest.mark.parametrize("make", [over_wsgi, over_asgi])
def test_form_is_flasks(make, text):
    data = {"method": "POST", "headers": FORM, "body": text.encode(), "query": "a=q"}
    ours, theirs = make(**data), flask.Request(make_environ(**data))
    assert list(ours.form.lists()) == list(theirs.form.lists())
    assert list(ours.values.lists()) == list(theirs.values.lists())
    assert ours.data == theirs.data == b""
    assert not ours.files


def test_get_has_no_form_in_values(make):
    request = make(headers=FORM, body=b"a=form", query="a=query")
    assert request.values.getlist("a") == ["query"]
    assert request.form["a"] == "form"


def test_data_can_be_read_before_and_with_the_form(make):
    request = make(method="POST", headers=FORM, body=b"a=1")
    assert request.get_data() == b"a=1"
    assert request.form["a"] == "1"
    assert request.get_data(as_text=True) == "a=1"
    request = make(method="POST", headers=FORM, body=b"a=1")
    assert request.get_data(parse_form_data=True) == b""
    assert request.form["a"] == "1"
    request = make(method="POST", headers=FORM, body=b"a=1")
    assert request.get_data(cache=False) == b"a=1"
    assert request.get_data() == b""


def test_data_is_kept(make):
    request = make(method="POST", body=b"\xffabc")
    assert request.data == request.data == request.get_data() == b"\xffabc"
    assert request.get_data(as_text=True) == "\ufffdabc"
    assert not request.form


def test_stream_reads_the_body_once(make):
    request = make(method="POST", body=b"one\ntwo")
    assert request.stream.readline() == b"one\n"
    assert list(request.stream) == [b"two"]
    assert request.stream.read() == b""


def test_shallow_request_refuses_its_body():
    for source in (make_environ(headers=FORM, body=b"a"), make_scope(headers=FORM, body=b"a")):
        request = Request(source, shallow=True)
        for name in ("stream", "form", "data", "files"):
            with pytest.raises(RuntimeError, match="shallow"):
                getattr(request, name)


def limited(make, limits, **data):
    request = make(**data)
    request._limits = limits
    return request


READS = [
    lambda r: r.stream.read(),
    lambda r: r.get_data(),
    lambda r: r.form,
    lambda r: r.get_json(force=True),
]


@pytest.mark.parametrize("read", READS)
def test_body_over_the_limit_is_a_413_each_time(make, read):
    data = {"method": "POST", "headers": FORM, "body": b"1234"}
    request = limited(make, Limits(max_content_length=3), **data)
    for _ in range(2):
        with pytest.raises(RequestEntityTooLarge, match="MAX_CONTENT_LENGTH"):
            read(request)
    read(limited(make, Limits(max_content_length=4), **data))


@pytest.mark.parametrize("read", READS)
def test_chunked_body_over_the_limit_is_a_413_each_time(read):
    environ = make_environ(method="POST", headers=FORM, body=b"1234", length=False, **{"wsgi.input_terminated": True})
    request = Request(environ)
    request.max_content_length = 3
    for _ in range(2):
        with pytest.raises(RequestEntityTooLarge, match="MAX_CONTENT_LENGTH"):
            read(request)


def test_chunked_body_of_exactly_the_limit_is_fine():
    for limit in (None, 4):
        request = Request(make_environ(body=b"1234", length=False, **{"wsgi.input_terminated": True}))
        request.max_content_length = limit
        assert request.get_data() == b"1234"


def test_body_of_unknown_length_on_a_stream_without_end_is_not_read():
    for headers in ({}, {"Transfer-Encoding": "chunked"}):
        assert Request(make_environ(headers=headers, body=b"1234", length=False)).get_data() == b""


@pytest.mark.parametrize("read", READS)
def test_truncated_body_is_a_400_each_time(read):
    request = Request(make_environ(headers=FORM | {"Content-Length": "10"}, body=b"abc"))
    for _ in range(2):
        with pytest.raises(ClientDisconnected, match="expected 10 bytes; got 3"):
            read(request)


@pytest.mark.parametrize("read", READS)
def test_error_kept_by_the_gateway_is_raised_each_time(read):
    request = Request(make_scope(headers=FORM))
    request._body = BufferedBody()
    request._body.fail(ClientDisconnected("gone"))
    for _ in range(2):
        with pytest.raises(ClientDisconnected, match="gone"):
            read(request)


@pytest.mark.parametrize("value", ["-1", "+1", "1_0", "5, 5", "\xb2", ""])
def test_invalid_content_length_is_a_400_when_the_body_is_read(make, value):
    request = make(headers={"Content-Length": value}, body=b"12345")
    assert request.content_length in (0, None)
    if value:
        for _ in range(2):
            with pytest.raises(BadRequest, match="invalid Content-Length"):
                request.get_data()


def test_form_limits(make):
    data = {"method": "POST", "headers": FORM, "body": b"a=1&b=2"}
    for limits, key in (
        (Limits(max_form_parts=1), "MAX_FORM_PARTS"),
        (Limits(max_form_memory_size=6), "MAX_FORM_MEMORY_SIZE"),
    ):
        request = limited(make, limits, **data)
        for name in ("form", "form", "files", "values", "data"):
            with pytest.raises(RequestEntityTooLarge, match=key):
                getattr(request, name)
    request = limited(make, Limits(max_form_parts=1, max_form_memory_size=1), **data)
    request.max_form_parts = 2
    request.max_form_memory_size = 7
    assert len(request.form) == 2
    assert (request.max_form_parts, request.max_form_memory_size) == (2, 7)


def test_default_limits(make):
    request = make()
    assert (request.max_content_length, request.max_form_memory_size, request.max_form_parts) == (
        None,
        500_000,
        1000,
    )


def test_content_limit_can_only_be_lowered(make):
    request = limited(make, Limits(max_content_length=10))
    request.max_content_length = 5
    assert request.max_content_length == 5
    request.max_content_length = None
    assert request.max_content_length == 10
    with pytest.raises(ValueError, match=r"route\(\)"):
        request.max_content_length = 11


def test_without_a_body_there_is_none():
    assert Request(make_scope()).get_data() == b""
    assert Request(make_environ()).get_data() == b""


# JSON


@pytest.mark.parametrize("body", [b'{"a": [1, "\xc3\xa9"]}', b"null", b"5", '{"a":1}'.encode("utf-16")])
def test_json_is_parsed_and_kept(make, body):
    request = make(method="POST", headers=JSON, body=body)
    assert request.json == json.loads(body)
    assert request.get_json() is request.get_json(silent=True)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, FORM])
def test_json_of_another_type_is_a_415(make, headers):
    request = make(method="POST", headers=headers, body=b"{}")
    with pytest.raises(UnsupportedMediaType):
        request.json  # noqa: B018
    assert request.get_json(silent=True) is None
    assert request.get_json(force=True) == {}


BAD_JSON = [b"{", b"", b"\xff", b'{"a": 1} x', b"[" * 100_000, b"9" * 5000, b'{"a":' * 100_000]


@pytest.mark.parametrize("body", BAD_JSON)
def test_bad_json_is_a_400_with_its_reason_in_debug_mode_only(make, body):
    request = make(method="POST", headers=JSON, body=body)
    with pytest.raises(BadRequest) as info:
        request.json  # noqa: B018
    assert info.value.description == BadRequest.description
    assert request.get_json(silent=True) is None
    request = make(method="POST", headers=JSON, body=body)
    request._app = SimpleNamespace(debug=True, json=json, _limits_of=lambda rule: Limits())
    with pytest.raises(BadRequest, match="Failed to decode JSON object: "):
        request.json  # noqa: B018


def test_json_a_thousand_levels_deep_is_no_server_error(make):
    request = make(method="POST", headers=JSON, body=b"[" * 1000 + b"]" * 1000)
    try:
        request.get_json()
    except BadRequest:
        pass


def test_json_failure_can_be_overridden(make):
    class Own(Request):
        def on_json_loading_failed(self, e):
            return {"failed": e is not None}

    request = make(Own, headers=JSON, body=b"{")
    assert request.json == {"failed": True}
    assert request.get_json(silent=True) is None
    assert request.json == {"failed": True}
    assert make(Own, body=b"{").get_json() == {"failed": False}


def test_json_module_can_be_replaced(make):
    class Upper:
        @staticmethod
        def loads(data):
            return data.upper()

    request = make(headers=JSON, body=b"abc")
    request.json_module = Upper
    assert request.json == b"ABC"


# the route


def test_route_attributes(make):
    class Rule:
        endpoint = "a.b.view"

    request = make()
    assert (request.endpoint, request.blueprint, request.blueprints) == (None, None, [])
    assert (request.url_rule, request.view_args, request.routing_exception) == (None, None, None)
    request.url_rule = Rule()
    assert (request.endpoint, request.blueprint, request.blueprints) == ("a.b.view", "a.b", ["a.b", "a"])
    Rule.endpoint = "view"
    assert (request.blueprint, request.blueprints) == (None, [])


def test_close_frees_the_body():
    with over_asgi(body=b"abc") as request:
        body = request._body
    assert body.closed


HOSTILE = st.text(alphabet=st.characters(max_codepoint=255), max_size=30)
NAMES = [
    "Host",
    "Cookie",
    "Content-Type",
    "Content-Length",
    "X-Forwarded-For",
    "Transfer-Encoding",
    "User-Agent",
]


@given(st.dictionaries(st.sampled_from(NAMES), HOSTILE), HOSTILE, HOSTILE)
@pytest.mark.parametrize("make", [over_wsgi, over_asgi])
def test_nothing_a_peer_sends_is_a_server_error(make, headers, path, query):
    request = make(headers=headers, path="/" + path, query=query, body=b"\xff=\xff")
    names = [
        *ATTRIBUTES,
        "args",
        "cookies",
        "form",
        "files",
        "values",
        "json",
        "data",
        "access_route",
        "environ",
    ]
    for name in [*names, "stream", "user_agent", "__repr__"]:
        try:
            value = getattr(request, name)
            if callable(value):
                value()
        except HTTPException:
            pass


def test_request_without_a_context_has_the_limits_of_the_active_app() -> None:
    app = DuoFlask("app")
    app.config.update(MAX_CONTENT_LENGTH=100, MAX_FORM_MEMORY_SIZE=50, MAX_FORM_PARTS=3)
    request = Request({})
    assert (request.max_content_length, request.max_form_memory_size, request.max_form_parts) == (None, 500_000, 1000)
    with app.app_context():
        assert (request.max_content_length, request.max_form_memory_size, request.max_form_parts) == (100, 50, 3)
    request.max_content_length = 90
    with app.app_context():
        assert request.max_content_length == 90
    assert request.max_form_parts == 1000
