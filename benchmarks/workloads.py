"""The workloads that every contestant serves, and what a correct answer to each is.

This module knows no framework. An app module in `benchmarks/apps` builds, for a workload's name, an
application that answers the workload's requests; `Workload.check` says what is wrong with an answer, before
anything is timed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "AFTER_HEADERS",
    "BOUNDARY",
    "FILE_BYTES",
    "FILE_PATH",
    "GREETING",
    "PAGE",
    "PAYLOAD",
    "ROWS",
    "RULE_COUNT",
    "STREAM_CHUNKS",
    "TARGET_INDEX",
    "TEMPLATE",
    "WORKLOADS",
    "Answer",
    "Workload",
    "async_stream",
    "rule_paths",
    "stream",
    "write_file",
]

GREETING = "Hello, World!"
PAYLOAD = {"message": GREETING}

# The measured rule stands in the middle of 300: a router that walks a list is neither flattered nor punished.
RULE_COUNT = 300
TARGET_INDEX = 150
# Different paths, as users have them. BlackSheep keeps the last 1200 paths that it matched: "params-cached" is answered
# from there, "params" is not.
PATH_COUNT = 4096
CACHED_PATH_COUNT = 512

BOUNDARY = "----benchmark7MA4YWxkTrZu0gW"
# The page of the workload "template", for every engine in its own words; each value is escaped.
ROWS = [{"id": index, "name": f"Row <{index}>"} for index in range(20)]
TEMPLATE = (
    "<!doctype html><title>{{ title }}</title><table>"
    "{% for row in rows %}<tr><td>{{ row.id }}</td><td>{{ row.name }}</td></tr>{% endfor %}</table>"
)
PAGE = (
    "<!doctype html><title>Rows</title><table>"
    + "".join(f"<tr><td>{index}</td><td>Row &lt;{index}&gt;</td></tr>" for index in range(20))
    + "</table>"
)
# What the workload "file" sends, from `FILE_PATH`, which `write_file` makes.
FILE_BYTES = bytes(range(256)) * 40
FILE_PATH = Path(tempfile.gettempdir()) / "duoflask-benchmark" / "photo.bin"

# What the workload "stream" sends, piece by piece.
STREAM_CHUNKS = tuple(b"line %d of the stream\n" % index for index in range(100))

# Each after hook of the workload "hooks" sets one of these.
AFTER_HEADERS = (("X-After-One", "1"), ("X-After-Two", "2"), ("X-After-Three", "3"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a contestant sent: status code, headers with lower-case names, whole body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Workload:
    """Requests of one shape: the paths are cycled, `bodies[i]` answers `paths[i]`.

    `name` says what an app module builds for it, up to the first hyphen.
    """

    name: str
    paths: tuple[str, ...]
    bodies: tuple[bytes | None, ...]  # None where each framework has words of its own
    media_type: str = "text/"
    headers: tuple[tuple[str, str], ...] = field(default=())
    method: str = "GET"
    status: int = 200
    query: str = ""
    request_headers: tuple[tuple[str, str], ...] = ()
    request_body: bytes = b""
    # The module of `benchmarks/apps` that builds it is `<prefix><framework>`.
    prefix: str = ""
    # The cookie that the first answer sets is sent with every request that follows; `bodies[1]` answers those.
    keeps_cookie: bool = False

    def check(self, index: int, answer: Answer) -> str | None:
        """Return what is wrong with the answer to `paths[index]`, or None."""
        if answer.status != self.status:
            return f"status; expected {self.status}; got {answer.status} with {answer.body[:200]!r}"
        media_type = answer.header("content-type") or ""
        if not media_type.startswith(self.media_type):
            return f"content-type; expected {self.media_type}...; got {media_type!r}"
        expected = self.bodies[index]
        if expected is None:
            pass
        elif self.media_type == "application/json":
            if json.loads(answer.body) != json.loads(expected):
                return f"JSON body; expected {expected!r}; got {answer.body!r}"
        elif answer.body != expected:
            return f"body; expected {expected!r}; got {answer.body[:200]!r}"
        for name, value in self.headers:
            # frameworks differ in the attributes that they add to a cookie
            if not (answer.header(name) or "").strip().startswith(value):
                return f"header {name}; expected {value!r}; got {answer.header(name)!r}"
        return None


def stream() -> Iterator[bytes]:
    """The body of the workload "stream", as a view makes one."""
    for chunk in STREAM_CHUNKS:  # noqa: UP028 - a view's generator has a frame of its own
        yield chunk


async def async_stream() -> AsyncIterator[bytes]:
    """The same, made on a loop."""
    for chunk in STREAM_CHUNKS:
        yield chunk


def write_file() -> None:
    """Make the file of the workload "file"."""
    FILE_PATH.parent.mkdir(exist_ok=True)
    FILE_PATH.write_bytes(FILE_BYTES)


def rule_paths(syntax: str) -> list[str]:
    """Return the 300 rules in a framework's syntax.

    Args:
        syntax: A rule with two converters, `{section}` standing for its first segment, for example
            `/{section}/<int:id>/posts/<slug>`.

    Returns:
        Rules of which every third is static; the one at `TARGET_INDEX` is the one that the requests match.
    """
    rules = []
    for index in range(RULE_COUNT):
        section = f"section{index}"
        if index % 3 == 1:
            rules.append(f"/{section}/about")
        else:
            rules.append(syntax.replace("{section}", section))
    return rules


def _params(name: str, path_count: int) -> Workload:
    paths = []
    bodies = []
    for index in range(path_count):
        number, slug = 1000 + index * 7, f"post-{index}"
        paths.append(f"/section{TARGET_INDEX}/{number}/posts/{slug}")
        bodies.append(f"{number + 1} {slug}".encode())
    return Workload(name, tuple(paths), tuple(bodies))


def _multipart() -> bytes:
    """The body of a form with a text field and a file of 1 MiB."""
    parts = (
        ('name="title"', b"holiday"),
        ('name="file"; filename="photo.bin"\r\nContent-Type: application/octet-stream', bytes(range(256)) * 4096),
    )
    lines = [
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"
        for head, content in parts
    ]
    return b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()


WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload("plaintext", ("/plaintext",), (GREETING.encode(),)),
        Workload("json", ("/json",), (json.dumps(PAYLOAD).encode(),), "application/json"),
        _params("params", PATH_COUNT),
        _params("params-cached", CACHED_PATH_COUNT),
        Workload(
            "hooks",
            ("/hooks",),
            (GREETING.encode(),),
            headers=tuple((name.lower(), value) for name, value in AFTER_HEADERS),
        ),
        Workload(
            "fields",
            ("/fields",),
            (b"World 3 abc-123 dark",),
            headers=(("x-request-id", "abc-123"), ("set-cookie", "seen=1")),
            query="name=World&page=3",
            request_headers=(("x-request-id", "abc-123"), ("cookie", "theme=dark; lang=en")),
            prefix="io_",
        ),
        Workload(
            "form",
            ("/form",),
            (b"10 value number 9",),
            method="POST",
            request_headers=(("content-type", "application/x-www-form-urlencoded"),),
            request_body="&".join([f"field{index}=value+number+{index}" for index in range(10)]).encode(),
            prefix="io_",
        ),
        Workload(
            "body",
            ("/body",),
            (b"20 thing 19",),
            method="POST",
            request_headers=(("content-type", "application/json"),),
            request_body=json.dumps({"items": [{"id": index, "name": f"thing {index}"} for index in range(20)]})
            .encode()
            .ljust(1024),
            prefix="io_",
        ),
        Workload(
            "upload",
            ("/upload",),
            (b"1048576 holiday",),
            method="POST",
            request_headers=(("content-type", f"multipart/form-data; boundary={BOUNDARY}"),),
            request_body=_multipart(),
            prefix="io_",
        ),
        Workload("file", ("/file",), (FILE_BYTES,), "application/octet-stream", prefix="io_"),
        Workload(
            "missing",
            tuple(f"/section{index}/nothing/here" for index in range(RULE_COUNT)),
            (None,) * RULE_COUNT,
            media_type="",
            status=404,
            prefix="page_",
        ),
        Workload("template", ("/template",), (PAGE.encode(),), "text/html", prefix="page_"),
        Workload("stream", ("/stream",), (b"".join(STREAM_CHUNKS),), prefix="stream_"),
        Workload("session", ("/session", "/session"), (b"1", b"2"), prefix="io_", keeps_cookie=True),
    )
}
