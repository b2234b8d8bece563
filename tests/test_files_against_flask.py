"""`send_file` against Flask's on the same files: any options and any conditions get the same answer, but on purpose.

Where both differ, `_differs` says why, and the test in `test_files.py` that pins what is answered here.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import flask
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from duoflask import DuoFlask
from duoflask.files import send_file, send_from_directory

# Flask leaves a file open where it raises; ours are no buffered readers.
pytestmark = [
    pytest.mark.timeout(0 if "DUOFLASK_FUZZ" in os.environ else 60),
    pytest.mark.filterwarnings("ignore:unclosed file <_io.BufferedReader:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <_io:pytest.PytestUnraisableExceptionWarning"),
]

WHEN = 1_700_000_000
MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"
BEFORE, AFTER = "Tue, 14 Nov 2023 22:13:19 GMT", "Tue, 14 Nov 2023 22:13:21 GMT"
NAMES = ["a.txt", "big.bin", "empty.css", "a.tar.gz", "noext", "\u00e4 b.html", "we'ird;n\"ame.js"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    (root / "static").mkdir()
    for name, body in zip(
        NAMES, (b"hello" * 5, os.urandom(200_000), b"", b"x" * 70_000, b"1", b"2", b"3"), strict=True
    ):
        path = root / "static" / name
        path.write_bytes(body)
        os.utime(path, (WHEN + 0.25, WHEN + 0.25))
    return root


class Both:
    """The same app made with Flask and with duoflask, the latter served under both protocols."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.call: Any = None
        self.ours = DuoFlask(__name__, root_path=str(site))
        self.theirs = flask.Flask(__name__, root_path=str(site))
        self.ours.add_url_rule("/", "view", lambda: self.call(send_file, send_from_directory), methods=["GET", "POST"])
        self.theirs.add_url_rule(
            "/", "view", lambda: self.call(flask.send_file, flask.send_from_directory), methods=["GET", "POST"]
        )
        self.clients = [self.ours.test_client(protocol="wsgi"), self.ours.test_client(protocol="asgi")]

    def answers(self, path: str, method: str, fields: dict[str, str]) -> list[tuple[Any, ...]]:
        found = []
        for client in (self.theirs.test_client(), *self.clients):
            answer = client.open(path, method=method, headers=fields)
            kept = {name.lower(): value for name, value in answer.headers if name.lower() in _COMPARED}
            if answer.status_code in (304, 412):
                kept = {name: value for name, value in kept.items() if not name.startswith("content-")}
            body = b"" if answer.status_code in (412, 416) else answer.data
            answer.close()
            if answer.status_code >= 400:
                kept = {}
            found.append((answer.status_code, kept, body))
        return found


_COMPARED = {
    *("content-type", "content-length", "content-range", "content-disposition", "content-encoding"),
    *("etag", "last-modified", "cache-control", "accept-ranges", "x-sendfile"),
}


@pytest.fixture(scope="module")
def both(site: Path) -> Any:
    made = Both(site)
    yield made
    for client in made.clients:
        client.close()


def _differs(options: dict[str, Any], method: str, fields: dict[str, str]) -> str | None:
    value = fields.get("Range")
    if "If-Unmodified-Since" in fields:
        return "Flask does not look at it"
    if fields.get("If-Match") == "*":
        return "RFC 9110 13.1.1: it stands for whatever there is"
    if options.get("etag") is False and ("If-Match" in fields or "If-None-Match" in fields):
        return "RFC 9110 13.1: a file without a tag matches no tag; Flask does not look at them then"
    if "If-Match" in fields and ("If-None-Match" in fields or "If-Modified-Since" in fields):
        return "Flask does not go on after an If-Match that holds (RFC 9110 13.2.2)"
    if value is None:
        return None
    if method == "HEAD":
        return "RFC 9110 14.2: ranges are for GET"
    if not value.startswith("bytes="):
        return "RFC 9110 14.2: other units are ignored"
    if re.fullmatch(r"bytes=-[0-9]+", value):
        return "RFC 9110 14.1.2: a suffix that is longer than the file means all of it"
    if value.count(",") > 0:
        return "Flask sends one range only"
    if "If-None-Match" in fields or "If-Modified-Since" in fields or "If-Match" in fields:
        return "RFC 9110 13.2.2: preconditions come before the range"
    if fields.get("If-Range") not in (None, '"other"', BEFORE, MODIFIED) or (
        "If-Range" in fields and options.get("last_modified") not in (None, WHEN)
    ):
        return "RFC 9110 13.1.5: a weak tag and a date that is only later are no match"
    return None


def _number() -> st.SearchStrategy[str]:
    return st.sampled_from(["", "0", "1", "24", "25", "199999", "200000", "70000", "999999999999", "x"])


RANGE = st.lists(st.builds("{}-{}".format, _number(), _number()), min_size=1, max_size=2).map(
    lambda items: "bytes=" + ",".join(items)
) | st.sampled_from(["bytes", "items=0-1", "bytes=0 - 1", "bytes=--1", "=0-1"])
TAGS = st.sampled_from(['"mine"', 'W/"mine"', '"other"', "*", '"other", "mine"', "", "mine"])
DATES = st.sampled_from([BEFORE, MODIFIED, AFTER, "nonsense", ""])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "Range": RANGE,
        "If-Range": TAGS | DATES,
        "If-None-Match": TAGS,
        "If-Match": TAGS,
        "If-Modified-Since": DATES,
        "If-Unmodified-Since": DATES,
    },
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "mimetype": st.sampled_from(["text/plain", "application/x-own", "image/svg+xml", "application/javascript"]),
        "as_attachment": st.booleans(),
        "download_name": st.sampled_from(NAMES) | st.text("ab.\u00e4\u20ac \"\\;=%'~(", min_size=1, max_size=8),
        "conditional": st.booleans(),
        "etag": st.booleans() | st.just("mine"),
        "last_modified": st.sampled_from([None, 0, 1.5, WHEN]),
        "max_age": st.sampled_from([None, 0, 1, 3600]),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    name=st.sampled_from(NAMES),
    options=OPTIONS,
    method=st.sampled_from(["GET", "GET", "GET", "HEAD", "POST"]),
    fields=FIELDS,
    from_directory=st.booleans(),
)
def test_any_file_is_answered_as_by_flask(
    both: Both, name: str, options: dict[str, Any], method: str, fields: dict[str, str], from_directory: bool
) -> None:
    def call(by_path: Any, by_directory: Any) -> Any:
        return by_directory("static", name, **options) if from_directory else by_path(f"static/{name}", **options)

    both.call = call
    theirs, wsgi, asgi = both.answers("/", method, fields)
    if "multipart" in wsgi[1].get("content-type", ""):
        assert wsgi[0] == asgi[0] == 206
    else:
        assert wsgi == asgi
    if _differs(options, method, fields) is None:
        assert wsgi == theirs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=st.text("./ab\u00e4%25c0-tx", max_size=10) | st.sampled_from(NAMES))
def test_any_static_path_is_answered_as_by_flask(both: Both, path: str) -> None:
    theirs, wsgi, asgi = both.answers(f"/static/{path}", "GET", {})
    assert wsgi == asgi
    if wsgi[0] == 400:  # the path is no UTF-8: no rule is asked
        assert theirs[0] in (308, 404)
    elif path.startswith("/"):  # the routers' business
        assert wsgi[0] in (308, 404)
    elif not any(part[-1:] in (".", " ") for part in path.split("/")):
        assert wsgi[0] == theirs[0]
        if wsgi[0] == 200:
            assert wsgi == theirs
