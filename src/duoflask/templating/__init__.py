"""Rendering of templates: text at once or piece by piece, for sync callers and for those that await.

Owns what happens between a template's name and its text: the context, the signals, the choice of the environment. The
functions without `_async` are sync as in Flask and may be called in views of both colours. What they meet that only a
loop can wait for, they wait for in a `def` view; in an `async def` view it is an error that names the way out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias

from ..ctx import _cv_app
from ..globals import current_app
from ..signals import before_render_template, template_rendered
from ..template_context import settled
from ..typing import App
from .environment import Environment
from .loading import DispatchingJinjaLoader, explain_template_loading_attempts

if TYPE_CHECKING:
    from blinker import NamedSignal
    from jinja2 import Template

__all__ = [
    "DispatchingJinjaLoader",
    "Environment",
    "explain_template_loading_attempts",
    "get_template_attribute",
    "render_template",
    "render_template_async",
    "render_template_string",
    "render_template_string_async",
    "stream_template",
    "stream_template_async",
    "stream_template_string",
    "stream_template_string_async",
]

# One name, a template, or several of them, of which the first that exists is taken.
_Names: TypeAlias = "str | Template | list[str | Template]"


def _app() -> App:
    ctx = _cv_app.get(None)
    return current_app._get_current_object() if ctx is None else ctx.app


def _of_string(environment: Any, source: str) -> Any:
    """The template of a string; an environment of another class compiles it each time."""
    if isinstance(environment, Environment) and type(source) is str:
        return environment.compiled(source)
    return environment.from_string(source)


def render_template(template_name_or_list: _Names, **context: Any) -> str:
    """Render a template.

    Args:
        template_name_or_list: Its name, or several, of which the first that exists is taken.
        context: The template's variables.

    Raises:
        TemplateNotFound: There is no such template.
        RuntimeError: On a running event loop, the template needs an `async def` function.
    """
    app = _app()
    return _render(app, app.jinja_env.get_or_select_template(template_name_or_list), context)


def render_template_string(source: str, **context: Any) -> str:
    """Render a template that is given as text; HTML is escaped in its variables.

    Args:
        source: The template's text. Never build it of what a client sent: pass that as a variable.
        context: The template's variables.
    """
    app = _app()
    return _render(app, _of_string(app.jinja_env, source), context)


def stream_template(template_name_or_list: _Names, **context: Any) -> Iterator[str]:
    """Render a template piece by piece; the iterator may be returned as a response's body.

    Args:
        template_name_or_list: Its name, or several, of which the first that exists is taken.
        context: The template's variables.
    """
    app = _app()
    return _stream(app, app.jinja_env.get_or_select_template(template_name_or_list), context)


def stream_template_string(source: str, **context: Any) -> Iterator[str]:
    """Render a template that is given as text piece by piece."""
    app = _app()
    return _stream(app, _of_string(app.jinja_env, source), context)


def get_template_attribute(template_name: str, attribute: str) -> Any:
    """A macro or variable that a template exports, to be used from Python.

    Args:
        template_name: The template's name.
        attribute: The name of the macro or variable.
    """
    return getattr(_app().jinja_env.get_template(template_name).module, attribute)


def _fill(app: App, context: dict[str, Any]) -> None:
    answer: Any = app.update_template_context(context)  # type: ignore[func-returns-value]
    if answer is not None:  # an override that is `async def`
        settled(answer, lambda: "the app's update_template_context()")


def _render(app: App, template: Any, context: dict[str, Any]) -> str:
    _fill(app, context)
    if before_render_template.receivers:
        _tell(before_render_template, app, template, context)
    if template.environment.is_async:  # the application's own choice, in its jinja_options
        text: str = settled(template.render_async(context), lambda: f"the template {template.name!r}")
    else:
        text = template.render(context)
    if template_rendered.receivers:
        _tell(template_rendered, app, template, context)
    return text


def _stream(app: App, template: Any, context: dict[str, Any]) -> Iterator[str]:
    _fill(app, context)
    if before_render_template.receivers:
        _tell(before_render_template, app, template, context)

    def generate() -> Iterator[str]:
        if template.environment.is_async:
            yield settled(template.render_async(context), lambda: f"the template {template.name!r}")
        else:
            yield from template.generate(context)
        if template_rendered.receivers:
            _tell(template_rendered, app, template, context)

    return generate()


def _tell(signal: NamedSignal, app: App, template: Any, context: dict[str, Any]) -> None:
    """Send a signal to its receivers; `async def` ones are waited for."""

    def waiting(receiver: Callable[..., Any]) -> Callable[..., Any]:
        name = getattr(receiver, "__qualname__", repr(receiver))
        what = f"the receiver {name!r} of the signal {signal.name!r}"
        return lambda *args, **kwargs: settled(receiver(*args, **kwargs), lambda: what)

    signal.send(app, _async_wrapper=waiting, template=template, context=context)


# -- for those who await


async def render_template_async(template_name_or_list: _Names, **context: Any) -> str:
    """Render a template, awaiting what in it is asynchronous.

    Context processors, filters, tests, functions and receivers of the signals may be `def` or `async def`. Of those
    that are `def`, context processors and receivers run in a thread; the others run on the loop and must not block.

    Args:
        template_name_or_list: Its name, or several, of which the first that exists is taken.
        context: The template's variables.
    """
    app = _app()
    return await _render_async(app, _twin(app).get_or_select_template(template_name_or_list), context)


async def render_template_string_async(source: str, **context: Any) -> str:
    """Render a template that is given as text, awaiting what in it is asynchronous."""
    app = _app()
    return await _render_async(app, _of_string(_twin(app), source), context)


async def stream_template_async(template_name_or_list: _Names, **context: Any) -> AsyncIterator[str]:
    """Render a template piece by piece, awaiting what in it is asynchronous.

    `return await stream_template_async(...)` in a view: the async iterator is the response's body.
    """
    app = _app()
    return await _stream_async(app, _twin(app).get_or_select_template(template_name_or_list), context)


async def stream_template_string_async(source: str, **context: Any) -> AsyncIterator[str]:
    """Render a template that is given as text piece by piece, awaiting what in it is asynchronous."""
    app = _app()
    return await _stream_async(app, _of_string(_twin(app), source), context)


def _twin(app: App) -> Any:
    environment: Any = app.jinja_env
    twin = getattr(environment, "async_twin", environment)
    if not twin.is_async:
        raise RuntimeError(
            f"app.jinja_env is a {type(environment).__name__}, which cannot render asynchronously; derive it from "
            "duoflask.templating.Environment, or pass enable_async=True in app.jinja_options"
        )
    return twin


async def _render_async(app: App, template: Any, context: dict[str, Any]) -> str:
    await app._update_template_context_async(context)
    if before_render_template.receivers:
        await _tell_async(before_render_template, app, template, context)
    text: str = await template.render_async(context)
    if template_rendered.receivers:
        await _tell_async(template_rendered, app, template, context)
    return text


async def _stream_async(app: App, template: Any, context: dict[str, Any]) -> AsyncIterator[str]:
    await app._update_template_context_async(context)
    if before_render_template.receivers:
        await _tell_async(before_render_template, app, template, context)

    async def generate() -> AsyncIterator[str]:
        async with aclosing(template.generate_async(context)) as pieces:  # it ends with this one
            async for piece in pieces:
                yield piece
        if template_rendered.receivers:
            await _tell_async(template_rendered, app, template, context)

    return generate()


async def _tell_async(signal: NamedSignal, app: App, template: Any, context: dict[str, Any]) -> None:
    """Send a signal to its receivers, `def` ones in a thread."""
    wrap: Any = app.sync_to_async
    await signal.send_async(app, _sync_wrapper=wrap, template=template, context=context)
