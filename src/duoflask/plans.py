"""What an endpoint's request will run, worked out once: its plan.

Owns the choice and the order of functions for a chain of blueprints, paired with the side that each starts on. Knows no
request. Floor 6: `dispatch` runs what stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from .bridge import starts_on_loop
from .ctx import _cv_app
from .exceptions import HTTPException, NotFound
from .timeouts import dispatch_within, is_limited
from .typing import App

if TYPE_CHECKING:
    from .routing import Rule

__all__ = [
    "OVERRIDE_POINTS",
    "Plan",
    "Step",
    "WebsocketPlan",
    "blueprint_chain",
    "context_processors",
    "find_error_handler",
    "overridden",
    "side_of",
]

# A function and the side it starts on: True for the loop, False for a thread, None for wherever the request is.
Step = tuple[Callable[..., Any], bool | None]

# Methods of Flask's that a subclass, or an extension on the instance, may replace to change the order of a request.
OVERRIDE_POINTS: Final = frozenset(
    {
        "dispatch_request",
        "do_teardown_appcontext",
        "do_teardown_request",
        "finalize_request",
        "full_dispatch_request",
        "handle_exception",
        "handle_http_exception",
        "handle_user_exception",
        "make_default_options_response",
        "make_response",
        "preprocess_request",
        "process_response",
        "raise_routing_exception",
        "trap_http_exception",
    }
)


# How many decorators a view is looked for below: an object may claim to wrap another without end.
_MAX_WRAPPED: Final = 20
_SAY_IN_MISSING: Final = frozenset(
    {"handle_http_exception", "handle_user_exception", "raise_routing_exception", "trap_http_exception"}
)


def blueprint_chain(endpoint: Any) -> tuple[str, ...]:
    """The names of the blueprints that an endpoint stands in, the innermost first."""
    if not isinstance(endpoint, str) or "." not in endpoint:
        return ()
    parts = endpoint.split(".")[:-1]
    return tuple(".".join(parts[:length]) for length in range(len(parts), 0, -1))


def side_of(function: Callable[..., Any], inline: Any) -> bool | None:
    """The side that a registered function starts on."""
    try:
        if function in inline:
            return None
    except TypeError:  # an unhashable callable cannot have been marked
        pass
    return starts_on_loop(function)


def overridden(app: App, base: type) -> frozenset[str]:
    """The override points that this app replaces, by its class or on the instance."""
    kind = type(app)
    return frozenset(
        name
        for name in OVERRIDE_POINTS
        if name in app.__dict__ or (kind is not base and getattr(kind, name) is not getattr(base, name))
    )


class Plan:
    """The functions of an endpoint's request, in the order they run, each with the side it starts on.

    Args:
        app: The application.
        endpoint: The endpoint; None for requests that no rule matches.
        handled_by: The blueprints, innermost first, whose error handlers answer where there is no endpoint.
    """

    __slots__ = (
        "after",
        "after_response",
        "before",
        "blueprints",
        "direct_view",
        "dispatch_request",
        "endpoint",
        "finalize_request",
        "full_dispatch_request",
        "handles_missing",
        "has_before",
        "has_teardown",
        "json_types",
        "plain_types",
        "preprocessors",
        "processors",
        "quick_response",
        "response_class",
        "steps",
        "teardown_app",
        "teardown_request",
        "view",
        "view_on_loop",
    )

    def __init__(self, app: App, endpoint: Any, handled_by: tuple[str, ...] = ()) -> None:
        inner_first: tuple[str | None, ...] = (*blueprint_chain(endpoint), None)
        outer_first = tuple(reversed(inner_first))
        inline = app._inline
        self.endpoint = endpoint
        self.blueprints = handled_by or blueprint_chain(endpoint)
        self.steps = steps = app._steps
        self.full_dispatch_request: Any = steps.full_dispatch_request
        self.dispatch_request = steps.dispatch_request
        self.view = app.view_functions.get(endpoint)
        self.view_on_loop = None if self.view is None else side_of(self.view, inline)
        self.preprocessors = _steps(app.url_value_preprocessors, outer_first, inline)
        self.processors = context_processors(app, self.blueprints)
        self.before = _steps(app.before_request_funcs, outer_first, inline)
        self.after = _steps(app.after_request_funcs, inner_first, inline, backwards=True)
        self.after_response = tuple(step[0] for step in _steps(app.after_response_funcs, inner_first, inline))
        if self.after_response:  # then there is always something to do after the view
            self.after += ((_unchanged, None),)
        self.teardown_request = _steps(app.teardown_request_funcs, inner_first, inline, backwards=True)
        self.teardown_app = tuple(
            (function, side_of(function, inline)) for function in reversed(app.teardown_appcontext_funcs)
        )
        self.has_before = bool(self.preprocessors or self.before or "preprocess_request" in app._replaced)
        replaced = app._replaced
        stock = "make_response" not in replaced
        self.quick_response = app._quick_response if stock else None
        self.response_class = app.response_class if stock else None
        usual = "_writes_bodies" in type(app.json).__dict__ and not {"response", "dumps"} & app.json.__dict__.keys()
        self.json_types = frozenset({dict, list} if usual and self.quick_response is not None else ())
        # What a view returns mostly, and never awaits. PERF: 400 ns for an async generator, which has no `__await__`.
        self.plain_types = frozenset(
            {str, dict, list, bytes, tuple, GeneratorType, AsyncGeneratorType, app.response_class}
        )
        if "full_dispatch_request" not in replaced:
            self.full_dispatch_request = None
        if is_limited(app, endpoint):
            self.full_dispatch_request = dispatch_within
        self.direct_view = None if "dispatch_request" in replaced else self.view
        if "dispatch_request" in replaced:
            self.view_on_loop = starts_on_loop(app.dispatch_request)
        self.has_teardown = bool(
            self.teardown_request or self.teardown_app or replaced & {"do_teardown_request", "do_teardown_appcontext"}
        )
        self.finalize_request = steps.finalize_request if replaced & {"finalize_request", "process_response"} else None
        # Whether somebody has a say in what a path without a rule gets; else the router's NotFound is the answer.
        self.handles_missing = endpoint is not None or bool(replaced & _SAY_IN_MISSING)
        if not self.handles_missing:
            missing = NotFound()
            handler = find_error_handler(app, missing, self.blueprints)
            self.handles_missing = handler is not None or app.trap_http_exception(missing)

    def missing_view(self, rule: Rule | None) -> LookupError:
        """The error for a rule whose endpoint has no view."""
        return LookupError(
            f"no view function for the endpoint {self.endpoint!r} of the rule {str(rule)!r}; expected one in "
            f"app.view_functions. Write '@app.endpoint({self.endpoint!r})' above it, or pass view_func to add_url_rule."
        )


class WebsocketPlan(Plan):
    """The functions of an endpoint's WebSockets; its handshake is a request, with a request's functions."""

    __slots__ = ("after_websocket", "before_websocket", "cancels", "teardown_websocket")

    def __init__(self, app: App, endpoint: Any, handled_by: tuple[str, ...] = ()) -> None:
        super().__init__(app, endpoint, handled_by)
        inner_first: tuple[str | None, ...] = (*blueprint_chain(endpoint), None)
        inline = app._inline
        self.before_websocket = _steps(app.before_websocket_funcs, tuple(reversed(inner_first)), inline)
        self.after_websocket = _steps(app.after_websocket_funcs, inner_first, inline, backwards=True)
        self.teardown_websocket = _steps(app.teardown_websocket_funcs, inner_first, inline, backwards=True)
        self.view_on_loop = self.view is not None and starts_on_loop(self.view)  # whoever promises that it is quick
        self.cancels = bool(app.config["CANCEL_ON_DISCONNECT"])


def _unchanged(response: Any) -> Any:
    return response


def _steps(
    registry: dict[str | None, list[Any]],
    names: Iterable[str | None],
    inline: Any,
    backwards: bool = False,
) -> tuple[Step, ...]:
    steps: list[Step] = []
    for name in names:
        functions = registry.get(name, ())
        ordered = reversed(functions) if backwards else functions
        steps.extend((function, side_of(function, inline)) for function in ordered)
    return tuple(steps)


def context_processors(app: App, blueprints: tuple[str, ...]) -> tuple[Step, ...]:
    """The context processors for a chain of blueprints, which has the innermost first: the app's run first."""
    return _steps(app.template_context_processors, (None, *reversed(blueprints)), app._inline)


def find_error_handler(app: App, error: Exception, blueprints: Iterable[str]) -> Callable[[Any], Any] | None:
    """The handler for an error.

    By code before by class, by blueprint before the app, by the nearest class (Flask's order). A TypeError of the call
    of the view itself gets a note that names the rule.
    """
    code: int | None = None
    if isinstance(error, HTTPException):
        code = getattr(error, "code", None)
    elif type(error) is TypeError:
        _note_call(error)
    names: tuple[str | None, ...] = (*blueprints, None)
    spec = app.error_handler_spec
    for key in (code, None) if code is not None else (None,):
        for name in names:
            handlers = spec[name][key] if name in spec and key in spec[name] else None
            if not handlers:
                continue
            for kind in type(error).__mro__:
                handler = handlers.get(kind)
                if handler is not None:
                    return handler  # type: ignore[no-any-return]
    return None


def _note_call(error: TypeError) -> None:
    """Add to the error of a view's call what the rule calls it with, unless the view has been entered."""
    ctx = _cv_app.get(None)
    rule = None if ctx is None else ctx.rule
    message = error.args[0] if error.args else None
    if ctx is None or rule is None or not isinstance(message, str) or hasattr(error, "__notes__"):
        return
    name, called, _ = message.partition("() ")
    function = _part_of(ctx.app.view_functions.get(rule.endpoint or ""), name) if called else None
    code = getattr(function, "__code__", None)
    traceback = error.__traceback__
    while traceback is not None and code is not None:
        if traceback.tb_frame.f_code is code:
            return
        traceback = traceback.tb_next
    if code is not None:
        values = ctx.view_args if ctx._request is None else ctx._request.view_args
        names = ", ".join(map(str, values or ()))
        error.add_note(
            f"The rule {str(rule)!r} (endpoint {rule.endpoint!r}) calls {name}() with the arguments ({names}). Give "
            "the view parameters of just these names, or change the rule."
        )


def _part_of(view: Any, name: str) -> Any:
    """The function of a view that an error names: itself, what it wraps, or a method of its class; else None."""
    kind = getattr(view, "view_class", None)
    view = getattr(view, "func", view)  # of a partial
    method = getattr(kind, name.rpartition(".")[2], None)
    for function in (view, method, None if view is None else type(view).__call__):
        for _ in range(_MAX_WRAPPED):
            function = getattr(function, "__wrapped__", function)
        if getattr(function, "__qualname__", None) == name:
            return function
    return None
