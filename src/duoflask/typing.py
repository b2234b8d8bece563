"""Type aliases of both protocols and of what users return and register.

Owns names only: no behaviour, no import of the package.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from .app import DuoFlask
else:  # PEP 3333; the protocols of `wsgiref` are for type checkers
    WSGIEnvironment = dict[str, Any]
    StartResponse = Callable[..., Callable[[bytes], object]]
    WSGIApplication = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

__all__ = [
    "ASGIApplication",
    "AfterRequestCallable",
    "App",
    "AppOrBlueprintKey",
    "BeforeFirstRequestCallable",
    "BeforeRequestCallable",
    "ErrorHandlerCallable",
    "HeaderValue",
    "HeadersValue",
    "Message",
    "Receive",
    "ResponseClass",
    "ResponseReturnValue",
    "ResponseValue",
    "RouteCallable",
    "Scope",
    "Send",
    "ShellContextProcessorCallable",
    "StartResponse",
    "TeardownCallable",
    "TemplateContextProcessorCallable",
    "TemplateFilterCallable",
    "TemplateGlobalCallable",
    "TemplateTestCallable",
    "URLDefaultCallable",
    "URLValuePreprocessorCallable",
    "WSGIApplication",
    "WSGIEnvironment",
]

# The app, for the annotations of floors below it.
App: TypeAlias = "DuoFlask"

# ASGI 3.0, https://asgi.readthedocs.io/en/latest/specs/main.html
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_T = TypeVar("_T")
_MaybeAwaitable: TypeAlias = _T | Awaitable[_T]

HeaderValue: TypeAlias = str | list[str] | tuple[str, ...]
HeadersValue: TypeAlias = Mapping[str, HeaderValue] | Sequence[tuple[str, HeaderValue]]
ResponseClass: TypeAlias = Any
ResponseValue: TypeAlias = (
    Any | str | bytes | list[Any] | Mapping[str, Any] | Iterable[str] | Iterable[bytes] | AsyncIterable[str | bytes]
)
ResponseReturnValue: TypeAlias = (
    ResponseValue
    | tuple[ResponseValue, HeadersValue]
    | tuple[ResponseValue, int]
    | tuple[ResponseValue, int, HeadersValue]
    | WSGIApplication
    | ASGIApplication
)

RouteCallable: TypeAlias = Callable[..., Any]
BeforeFirstRequestCallable: TypeAlias = Callable[[], _MaybeAwaitable[None]]
BeforeRequestCallable: TypeAlias = Callable[[], _MaybeAwaitable[ResponseReturnValue | None]]
AfterRequestCallable: TypeAlias = Callable[[Any], _MaybeAwaitable[Any]]
TeardownCallable: TypeAlias = Callable[[BaseException | None], _MaybeAwaitable[None]]
ErrorHandlerCallable: TypeAlias = Callable[[Any], _MaybeAwaitable[ResponseReturnValue]]
URLDefaultCallable: TypeAlias = Callable[[str, dict[str, Any]], None]
URLValuePreprocessorCallable: TypeAlias = Callable[[str | None, dict[str, Any] | None], _MaybeAwaitable[None]]
AppOrBlueprintKey: TypeAlias = str | None
ShellContextProcessorCallable: TypeAlias = Callable[[], dict[str, Any]]
TemplateContextProcessorCallable: TypeAlias = Callable[[], _MaybeAwaitable[dict[str, Any]]]
TemplateFilterCallable: TypeAlias = Callable[..., Any]
TemplateGlobalCallable: TypeAlias = Callable[..., Any]
TemplateTestCallable: TypeAlias = Callable[..., _MaybeAwaitable[bool]]
