"""Flask's methods by which a subclass changes the order of a request.

Owns the face of the dispatcher's steps: each method runs the step of the same name for the active request and returns
what it returns, so that an override's `super()` works from a `def` method. An app that overrides none never calls them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, cast

from . import dispatch as steps
from .answers import response_of
from .bridge import call, run_nested
from .closing import do_teardown_appcontext, do_teardown_request
from .ctx import AppContext, _cv_app
from .debughelpers import FormDataRoutingRedirect
from .exceptions import HTTPException
from .lazy import LazyModule
from .linking import inject_defaults, make_adapter
from .routing import BuildError, MapAdapter, RequestRedirect
from .typing import App
from .urls import make_redirect

if TYPE_CHECKING:
    from . import logging as app_logging
    from .request import Request
    from .response import Response
else:
    app_logging = LazyModule(f"{__package__}.logging")

__all__ = ["OverridePoints"]

_MISSING: Any = object()


def _shown(ctx: AppContext) -> str:
    """A request as a log line may show it."""
    return f"{app_logging.escape_for_log(ctx.request.path)} [{app_logging.escape_for_log(ctx.request.method)}]"


async def _dispatch_request(ctx: AppContext) -> Any:
    """Call the view on its side, as the dispatcher does in a place of its own."""
    return await call(ctx, steps.dispatch_request, ctx.plan.view_on_loop, ctx)


class OverridePoints:
    """The steps of a request as methods of the app.

    A `def` override's `super()` returns what the step answers; an `async def` override awaits it.
    """

    def _run_step(self, step: Callable[..., Any], *args: Any) -> Any:
        """Run one of the dispatcher's steps to its end for a `def` caller; an `async def` one awaits it."""
        app = cast("App", self)
        ctx = _cv_app.get(None)
        if ctx is None:
            raise RuntimeError(
                f"{step.__name__.lstrip('_')} was called while no context is active; write 'with "
                "app.test_request_context():' around it"
            )
        if ctx.plan is None:
            ctx.plan = app._plan(None)
        if ctx.on_loop:
            return step(ctx, *args)
        return run_nested(ctx, step(ctx, *args), app._workers)

    def full_dispatch_request(self) -> Response:
        """Run the hooks and the view, and make the response."""
        return self._run_step(steps.full_dispatch_request)  # type: ignore[no-any-return]

    def preprocess_request(self) -> Any:
        """Run the url value preprocessors and the before hooks; return the first answer of a hook, or None."""
        return self._run_step(steps.preprocess_request)

    def dispatch_request(self) -> Any:
        """Call the view and return what it returns."""
        return self._run_step(_dispatch_request)

    def handle_user_exception(self, e: Exception) -> Any:
        """Return what the handler of an exception answers; raise the exception if there is none."""
        return self._run_step(steps.handle_user_exception, e)

    def handle_http_exception(self, e: HTTPException) -> Any:
        """Return what the handler of an HTTP exception answers, or the exception."""
        return self._run_step(steps.handle_http_exception, e)

    def handle_exception(self, e: Exception) -> Response:
        """Make the response to an exception that nobody handled, or raise it (`PROPAGATE_EXCEPTIONS`)."""
        return self._run_step(steps.handle_exception, e)  # type: ignore[no-any-return]

    def finalize_request(self, rv: Any, from_error_handler: bool = False) -> Response:
        """Make the response of an answer and run the after hooks over it."""
        return self._run_step(steps.finalize_request, rv, from_error_handler)  # type: ignore[no-any-return]

    def process_response(self, response: Response) -> Response:
        """Run the after hooks over a response and save the session."""
        return self._run_step(steps.process_response, response)  # type: ignore[no-any-return]

    def do_teardown_request(self, exc: BaseException | None = None) -> Any:
        """Run the functions of `teardown_request` for the active request."""
        return self._run_step(do_teardown_request, exc)

    def do_teardown_appcontext(self, exc: BaseException | None = None) -> Any:
        """Run the functions of `teardown_appcontext` for the active context."""
        return self._run_step(do_teardown_appcontext, exc)

    # -- steps that are plain functions: the dispatcher calls these methods themselves

    def raise_routing_exception(self, request: Request) -> NoReturn:
        """Raise why no rule matched a request.

        Raises:
            HTTPException: NotFound, MethodNotAllowed, RequestRedirect, ...
            FormDataRoutingRedirect: In debug mode, where a redirect would lose the form that the request carries.
        """
        failure = request.routing_exception
        app = cast("App", self)
        redirects = isinstance(failure, RequestRedirect) and failure.code not in {307, 308}
        if app.debug and redirects and request.method not in {"GET", "HEAD", "OPTIONS"}:
            assert isinstance(failure, RequestRedirect)
            raise FormDataRoutingRedirect(request.method, request.url, failure.new_url) from failure
        raise failure or RuntimeError("the request has no routing exception; expected one to raise")

    def make_default_options_response(self) -> Response:
        """Make the answer to OPTIONS: the methods of the request's path in Allow."""
        app = cast("App", self)
        ctx = _cv_app.get()
        adapter = ctx.url_adapter
        methods = adapter.allowed_methods() if adapter is not None else []
        response = app.response_class()
        response.headers["Allow"] = ", ".join(sorted(methods))
        return response

    def should_ignore_error(self, error: BaseException | None) -> bool:
        """Whether teardown functions are told None instead of this error."""
        return False

    def trap_http_exception(self, e: Exception) -> bool:
        """Whether an HTTP exception is treated as an unhandled one: a developer wants to see where it came from."""
        app = cast("App", self)
        config = app.config
        if config["TRAP_HTTP_EXCEPTIONS"]:
            return True
        trap_bad_request = config["TRAP_BAD_REQUEST_ERRORS"]
        if trap_bad_request is None and app.debug and isinstance(e, KeyError) and isinstance(e, HTTPException):
            return True
        return bool(trap_bad_request) and getattr(e, "code", None) == 400

    def log_exception(
        self,
        exc_info: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> None:
        """Log an unhandled exception with the request that it ended."""
        app = cast("App", self)
        ctx = _cv_app.get(None)
        where = "outside a request"
        if ctx is not None and ctx.has_request:
            where = f"on {_shown(ctx)}"
        app.logger.error("Exception %s", where, exc_info=exc_info)

    # -- answers and URLs

    def make_response(self, rv: Any) -> Response:
        """Make the response of what a view returned: text, bytes, dict, list, tuple, response, iterator or WSGI app.

        Raises:
            TypeError: None, or something else that no view may return.
        """
        app: Any = self  # PERF: cast() is a call, of 60 ns
        quick = app._quick_response
        if quick is not None:
            if type(rv) is str:
                return quick(rv.encode())  # type: ignore[no-any-return]
            if type(rv) is bytes:
                return quick(rv)  # type: ignore[no-any-return]
        return response_of(app, rv)

    def redirect(self, location: str, code: int = 302) -> Response:
        """Make a redirect response."""
        return make_redirect(location, code, cast("App", self).response_class)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Make what matches and builds URLs: for a request, or for SERVER_NAME outside one; None without either."""
        return make_adapter(cast("App", self), request)

    def inject_url_defaults(self, endpoint: str, values: dict[str, Any]) -> None:
        """Let the `url_defaults` functions add to the values of a URL, in place."""
        inject_defaults(cast("App", self), endpoint, values)

    def handle_url_build_error(self, error: BuildError, endpoint: str, values: dict[str, Any]) -> str:
        """Ask the `url_build_error_handlers` for a URL that could not be built.

        Raises:
            BuildError: None of them has one.
        """
        for handler in cast("App", self).url_build_error_handlers:
            try:
                url = handler(error, endpoint, values)
            except BuildError as exc:
                error = exc
            else:
                if url is not None:
                    return url
        raise error
