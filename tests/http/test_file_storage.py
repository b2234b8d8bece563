from __future__ import annotations

import io
from pathlib import Path

import pytest
from werkzeug import datastructures as oracle

from duoflask.http.file_storage import FileMultiDict, FileStorage
from duoflask.http.headers import Headers


def pair(content=b"content", **kwargs):
    theirs = dict(kwargs)
    if "headers" in kwargs:
        theirs["headers"] = oracle.Headers(kwargs["headers"])
        kwargs["headers"] = Headers(kwargs["headers"])
    return FileStorage(io.BytesIO(content), **kwargs), oracle.FileStorage(io.BytesIO(content), **theirs)


CASES = [
    {},
    {"filename": "a.txt", "name": "field"},
    {"filename": ""},
    {"filename": b"a.txt"},
    {"filename": Path("dir/a.txt")},
    {"filename": "../a.txt", "content_type": "Text/HTML; charset=UTF-8"},
    {"content_type": "image/png", "content_length": 7},
    {"headers": {"Content-Type": "a/b; c=d", "Content-Length": "+5"}},
    {"headers": {"Content-Length": "1_0"}},
    {"headers": {"Content-Length": "12"}},
]


@pytest.mark.parametrize("kwargs", CASES)
def test_attributes_are_werkzeugs(kwargs):
    ours, theirs = pair(**kwargs)
    for name in ("filename", "name", "content_type", "content_length", "mimetype", "mimetype_params"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert bool(ours) is bool(theirs)
    assert repr(ours) == repr(theirs)
    assert ours.read(3) == theirs.read(3)
    assert ours.tell() == 3
    assert list(ours) == list(theirs)


def test_members_are_werkzeugs():
    names = {name for name in dir(oracle.FileStorage()) if not name.startswith("_")}
    assert names <= set(dir(FileStorage()))


def test_name_of_an_open_file_is_its_file_name(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")
    with path.open("rb") as file:
        assert FileStorage(file).filename == oracle.FileStorage(file).filename == str(path)
    with path.open("rb") as file, open(file.fileno(), "rb", closefd=False) as same:
        assert FileStorage(same).filename is None

    class Standard(io.BytesIO):
        name = "<stdin>"

    assert FileStorage(Standard()).filename is None


def test_content_type_may_change():
    storage = FileStorage(content_type="a/b")
    assert storage.mimetype == "a/b"
    storage.headers["Content-Type"] = "c/d; e=f"
    assert (storage.mimetype, storage.mimetype_params) == ("c/d", {"e": "f"})


@pytest.mark.parametrize("how", [str, Path, "file"])
def test_save(tmp_path, how):
    path = tmp_path / "saved"
    storage = FileStorage(io.BytesIO(b"x" * 50_000))
    if how == "file":
        with path.open("wb") as file:
            storage.save(file, 1000)
            assert not file.closed
    else:
        storage.save(how(path))
    assert path.read_bytes() == b"x" * 50_000


def test_what_it_lacks_its_stream_has():
    storage = FileStorage(io.BytesIO(b"a\nb"))
    assert storage.getvalue() == b"a\nb"
    assert storage.readline() == b"a\n"
    with pytest.raises(AttributeError):
        storage.nothing  # noqa: B018
    del storage.stream
    with pytest.raises(AttributeError):
        storage.read  # noqa: B018


def test_close_never_fails():
    class Broken(io.BytesIO):
        def close(self):
            raise OSError

    FileStorage(Broken()).close()
    storage = FileStorage(io.BytesIO())
    storage.close()
    storage.close()
    assert storage.closed


def test_files_to_send(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"x")
    for kind in (FileMultiDict, oracle.FileMultiDict):
        files = kind()
        files.add_file("path", str(path))
        files.add_file("pathlike", path, filename="b.png")
        files.add_file("stream", io.BytesIO(b"y"), "c.unknown-ending")
        files.add_file("typed", io.BytesIO(b"z"), "d.txt", "a/b")
        files.add_file("bare", io.BytesIO(b"z"))
        found = [(name, file.filename, file.content_type, file.read()) for name, file in files.items()]
        assert found == [
            ("path", str(path), "text/plain", b"x"),
            ("pathlike", "b.png", "image/png", b"x"),
            ("stream", "c.unknown-ending", "application/octet-stream", b"y"),
            ("typed", "d.txt", "a/b", b"z"),
            ("bare", None, None, b"z"),
        ]
        for file in files.values():
            file.close()


def test_storage_is_sent_as_it_is():
    storage = FileStorage(io.BytesIO(), "a.txt")
    files = FileMultiDict()
    files.add_file("f", storage)
    assert files["f"] is storage
