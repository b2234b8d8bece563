"""Files below a prefix, everything else to the application; against Werkzeug's."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from werkzeug.middleware.shared_data import SharedDataMiddleware as Reference

import duoflask
from duoflask.middleware import SharedDataMiddleware
from duoflask.testing import Client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = tmp_path / "files"
    (files / "sub").mkdir(parents=True)
    (files / "a.txt").write_text("text of a")
    (files / "ä.txt").write_text("text of ä")
    (files / "sub" / "b.css").write_text("b {}")
    (files / "noext").write_bytes(b"\0\1")
    (tmp_path / "secret.txt").write_text("secret")
    return files


@pytest.fixture
def served(protocol: str) -> Iterator[Any]:
    made: list[Client] = []

    def client(exports: Any, **options: Any) -> Client:
        app = duoflask.Flask("app")
        app.add_url_rule("/", "index", lambda: "app has /")
        app.add_url_rule("/<path:path>", "rest", lambda path: f"app has {path}", methods=["GET", "POST"])
        made.append(Client(SharedDataMiddleware(app, exports, **options), protocol=protocol))  # type: ignore[arg-type]
        return made[-1]

    yield client
    for opened in made:
        opened.close()


PATHS = ["/f/a.txt", "/f/ä.txt", "/f/sub/b.css", "/f/missing", "/f", "/f/", "/f/sub", "/fa.txt", "/x", "/"]
PATHS += ["/f/../secret.txt", "/f/%2e%2e/secret.txt", "/f/..%2fsecret.txt", "/f//etc/passwd", "/f/a.txt%00"]
PATHS += ["/f/sub/../a.txt", "/f/..\\secret.txt", "/f/\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16")]


@pytest.mark.parametrize("path", PATHS)
def test_files_are_served_and_the_rest_is_the_applications_as_in_werkzeug(served: Any, folder: Path, path: str) -> None:
    client = served({"/f": str(folder)})
    response = client.get(path)
    text = response.text
    assert "secret" not in text or text.startswith("app has")
    expected = Client(Reference(client.application.app, {"/f": str(folder)})).get(path)
    assert (response.status_code, text) == (expected.status_code, expected.text)


def test_files_have_validators_ranges_and_a_time_to_live(served: Any, folder: Path) -> None:
    client = served({"/f": folder}, cache_timeout=60)
    first = client.get("/f/a.txt")
    assert (first.text, first.content_type) == ("text of a", "text/plain; charset=utf-8")
    assert first.headers["Cache-Control"] == "public, max-age=60"
    assert client.get("/f/a.txt", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    part = client.get("/f/a.txt", headers={"Range": "bytes=5-"})
    assert (part.status_code, part.text) == (206, "of a")
    head = client.head("/f/a.txt")
    assert (head.headers["Content-Length"], head.text) == ("9", "")
    assert client.post("/f/a.txt").text == "app has f/a.txt"


def test_without_cache_nothing_is_conditional(served: Any, folder: Path) -> None:
    client = served({"/f": str(folder)}, cache=False)
    first = client.get("/f/a.txt")
    assert "ETag" not in first.headers
    assert "max-age" not in first.headers.get("Cache-Control", "")
    assert client.get("/f/a.txt", headers={"Range": "bytes=5-"}).status_code == 200


def test_single_files_packages_and_the_root_are_exported(served: Any, folder: Path, tmp_path: Path) -> None:
    package = tmp_path / "pack_of_files"
    (package / "static").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "static" / "p.txt").write_text("of a package")
    sys.path.insert(0, str(tmp_path))
    try:
        exports = [("/icon", str(folder / "noext")), ("/p", ("pack_of_files", "static")), ("/", str(folder))]
        client = served(exports, fallback_mimetype="application/x-own")
    finally:
        sys.path.remove(str(tmp_path))
    icon = client.get("/icon")
    assert (icon.get_data(), icon.content_type) == (b"\0\1", "application/x-own")
    assert client.get("/icon/x").text == "app has icon/x"
    assert client.get("/p/p.txt").text == "of a package"
    assert client.get("/a.txt").text == "text of a"
    assert client.get("/").text == "app has /"


def test_names_may_be_refused(served: Any, folder: Path) -> None:
    client = served({"/f": str(folder)}, disallow="*.txt")
    assert client.get("/f/a.txt").text == "app has f/a.txt"
    assert client.get("/f/sub/b.css").text == "b {}"


@pytest.mark.parametrize(
    "path", ["a.txt/", "a.txt//", "a.txt/.", "x/../a.txt/", "./a.txt/.", "/a.txt/", "deep/a.txt", "deep/./a.txt/."]
)
@pytest.mark.parametrize("pattern", ["*.txt", "a*"])
def test_a_name_is_refused_however_its_path_is_written(served: Any, folder: Path, path: str, pattern: str) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "a.txt").write_text("deep")
    options = {"exports": {"/f": str(folder)}, "disallow": pattern}
    client = served(**options)
    assert client.get(f"/f/{path}").text.startswith("app has")
    assert Client(Reference(client.application.app, **options)).get(f"/f/{path}").text.startswith("app has")


def test_the_first_export_that_has_the_file_wins(served: Any, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("of the other")
    (other / "c.txt").write_text("c")
    client = served([("/f", str(folder)), ("/f", str(other))])
    assert client.get("/f/a.txt").text == "text of a"
    assert client.get("/f/c.txt").text == "c"


def test_a_link_out_of_the_folder_is_a_404(served: Any, folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent / "secret.txt")
    assert served({"/f": str(folder)}).get("/f/link").status_code == 404


@pytest.mark.parametrize(("target", "error"), [(1, TypeError), (("no_such_package", "x"), ValueError)])
def test_a_mistake_is_told_when_it_is_made(target: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="expected a p"):
        SharedDataMiddleware(None, {"/f": target})


def test_it_runs_on_trio(folder: Path) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/f/a.txt", "query_string": b"", "headers": []}
    anyio.run(SharedDataMiddleware(None, {"/f": str(folder)}), scope, receive, send, backend="trio")
    assert b"".join(message.get("body", b"") for message in sent) == b"text of a"
