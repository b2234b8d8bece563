"""What a test gets: the response, with the request that it answers and the redirects before it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import quote

from ..http.headers import EnvironHeaders
from ..response import BaseResponse
from ..typing import WSGIEnvironment

__all__ = ["SentRequest", "TestResponse", "wrapper_for"]


class SentRequest:
    """The request that was sent to an app without a request class of its own."""

    def __init__(self, environ: WSGIEnvironment, populate_request: bool = False) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.scheme: str = environ["wsgi.url_scheme"]
        self.host: str = environ.get("HTTP_HOST", "localhost")
        self.root_path = _text(environ.get("SCRIPT_NAME", ""))
        self.path = _text(environ.get("PATH_INFO", "")) or "/"
        self.query_string: bytes = environ.get("QUERY_STRING", "").encode("latin-1")
        self.headers = EnvironHeaders(environ)

    @property
    def full_path(self) -> str:
        """The path with the query."""
        return f"{self.path}?{self.query_string.decode(errors='replace')}"

    @property
    def url(self) -> str:
        """The whole URL."""
        query = f"?{self.query_string.decode(errors='replace')}" if self.query_string else ""
        return f"{self.scheme}://{self.host}{quote(self.root_path + self.path)}{query}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url!r} [{self.method}]>"


class TestResponse(BaseResponse):
    """A response as the test client got it.

    A body that is still being made is read on demand; `close()`, or leaving a `with` block, gives it up as
    a client that goes away does.
    """

    __test__: ClassVar[bool] = False  # for pytest: the name looks like a test
    default_mimetype = None
    automatically_set_content_length = False

    request: Any
    """The request that was sent."""
    history: tuple[TestResponse, ...] = ()
    """The redirects that led here."""

    def __init__(
        self,
        response: Iterable[bytes],
        status: str,
        headers: Any,
        request: Any,
        history: tuple[TestResponse, ...] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(response, status, headers, **kwargs)
        self.request = request
        self.history = history

    @property
    def text(self) -> str:
        """The whole body as text."""
        text: str = self.get_data(as_text=True)
        return text


@lru_cache(16)
def wrapper_for(response_class: type | None) -> type[TestResponse]:
    """Return the class of responses for a client: a `TestResponse` that is a `response_class` too."""
    if response_class is None or response_class is BaseResponse:
        return TestResponse
    if issubclass(response_class, TestResponse):
        return response_class
    return type("TestResponse", (TestResponse, response_class), {"__test__": False})


def _text(value: str) -> str:
    return value.encode("latin-1").decode(errors="replace")
