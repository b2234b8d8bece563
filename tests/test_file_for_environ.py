from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from werkzeug import utils as oracle

from duoflask.file_for_environ import send_file, send_from_directory
from duoflask.http.errors import NotFound, RequestedRangeNotSatisfiable
from duoflask.response import BaseResponse, Response
from duoflask.testing import create_environ


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b.html").write_bytes(b"<p>")
    return tmp_path


def facts(response: Any) -> Any:
    response.direct_passthrough = False
    fields = {name: value for name, value in response.headers if name not in ("Date", "Expires")}
    data = response.get_data()
    response.close()
    if response.status_code == 304:  # Werkzeug takes from the answer only when it is sent what does not belong there
        return 304, {name: fields[name] for name in ("ETag", "Last-Modified", "Cache-Control")}
    return response.status_code, fields, data


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, {}),
        ({"as_attachment": True, "download_name": "\u00e4.txt"}, {}),
        ({"max_age": 60}, {}),
        ({"max_age": lambda path: 5}, {}),
        ({"etag": "tag"}, {"If-None-Match": '"tag"'}),
        ({}, {"Range": "bytes=2-4"}),
        ({"conditional": False}, {"Range": "bytes=2-4"}),
        ({"last_modified": 1000}, {"If-Modified-Since": "Thu, 01 Jan 1970 01:00:00 GMT"}),
        ({"mimetype": "text/css"}, {}),
    ],
)
def test_answers_are_werkzeugs(folder: Path, options: Any, fields: Any) -> None:
    environ = create_environ("/", headers=fields)
    assert facts(send_file(folder / "a.txt", environ, **options)) == facts(
        oracle.send_file(folder / "a.txt", environ, **options)
    )
    assert facts(send_from_directory(folder, "a.txt", environ, **options)) == facts(
        oracle.send_from_directory(folder, "a.txt", environ, **options)
    )


def test_a_file_that_is_open(folder: Path) -> None:
    environ = create_environ("/", headers={"Range": "bytes=1-"})
    response = send_file(io.BytesIO(b"abc"), environ, download_name="x.txt")
    assert (response.status_code, response.get_data()) == (206, b"bc")
    with pytest.raises(ValueError, match="binary mode"):
        send_file(io.StringIO("x"), environ, "text/plain")


def test_the_class_is_the_callers(folder: Path) -> None:
    environ = create_environ("/")
    assert type(send_file(folder / "a.txt", environ)) is BaseResponse
    assert type(send_file(folder / "a.txt", environ, response_class=Response)) is Response


def test_x_sendfile_leaves_the_body_to_the_server_in_front(folder: Path) -> None:
    response = send_file(folder / "a.txt", create_environ("/"), use_x_sendfile=True)
    assert response.headers["X-Sendfile"] == str(folder / "a.txt")
    assert response.get_data() == b""


def test_relative_paths_are_those_of_the_working_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    environ = create_environ("/")
    assert send_file("a.txt", environ).get_data() == b"0123456789"
    assert send_from_directory("inner", "b.html", environ).get_data() == b"<p>"
    assert send_from_directory("inner", "b.html", environ, _root_path=folder).get_data() == b"<p>"


@pytest.mark.parametrize("path", ["../a.txt", "nothing", "inner", "a.txt\0", "/etc/passwd", ""])
def test_what_is_not_below_is_not_found(folder: Path, path: str) -> None:
    with pytest.raises(NotFound):
        send_from_directory(folder / "inner", path, create_environ("/"))


def test_a_range_outside_is_416_and_the_file_is_closed(folder: Path) -> None:
    with (folder / "a.txt").open("rb") as file, pytest.raises(RequestedRangeNotSatisfiable):
        send_from_directory(folder, "a.txt", create_environ("/", headers={"Range": "bytes=99-"}))
    assert file.closed
