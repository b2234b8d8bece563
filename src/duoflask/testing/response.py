"""What a test gets: the response, with the request that it answers and the redirects before it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar

from ..response import BaseResponse

__all__ = ["TestResponse", "wrapper_for"]


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
