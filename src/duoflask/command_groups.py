"""Commands that run inside an application's context: `AppGroup`, and `with_appcontext` for a single one.

A command may be `def` or `async def`; the latter runs on the loop of the application's async code.

Owns nothing but that. Knows the application as what the `obj` of a click context loads (a `ScriptInfo` of
`app_loading`), so that a scaffold can have such a group.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper, wraps
from typing import Any, Protocol, TypeVar, cast

import click

from .bridge import async_to_sync
from .globals import current_app

__all__ = ["AppGroup", "settled", "with_appcontext"]

_F = TypeVar("_F", bound=Callable[..., Any])


class _AppLoader(Protocol):
    def load_app(self) -> Any: ...


def _loader(ctx: click.Context) -> _AppLoader:
    """What knows the application: the nearest `obj` that can load one."""
    place: click.Context | None = ctx
    while place is not None:
        if hasattr(place.obj, "load_app"):
            return cast("_AppLoader", place.obj)
        place = place.parent
    raise click.UsageError(
        f"the command {ctx.info_name!r} needs an application, but was started by a group that knows none. "
        "Start it with 'duoflask --app module:name', or pass obj=ScriptInfo(create_app=...) to its group."
    )


def settled(result: Any) -> Any:
    """What a function returned, or what it awaits to: waited for on the portal's loop."""
    if not hasattr(result, "__await__"):
        return result

    async def wait() -> Any:
        return await result

    return async_to_sync(wait)()


def with_appcontext(f: _F) -> _F:
    """Run a command's function, `def` or `async def`, inside the application's context."""

    @click.pass_context
    def decorator(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        if not current_app:
            ctx.with_resource(_loader(ctx).load_app().app_context())
        return settled(ctx.invoke(f, *args, **kwargs))

    return cast("_F", update_wrapper(decorator, f))


def _settling(f: Callable[..., Any]) -> Callable[..., Any]:
    """Have a command's function waited for if it is `async def`."""

    @wraps(f)
    def command(*args: Any, **kwargs: Any) -> Any:
        return settled(f(*args, **kwargs))

    return command


class AppGroup(click.Group):
    """A group whose commands run inside the application's context, unless `with_appcontext=False`."""

    def command(self, *args: Any, **kwargs: Any) -> Any:
        wrap = kwargs.pop("with_appcontext", True)
        register = super().command

        def decorator(f: Callable[..., Any]) -> click.Command:
            made = register(*args, **kwargs)(with_appcontext(f) if wrap else _settling(f))
            return cast("click.Command", made)

        return decorator

    def group(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("cls", AppGroup)
        return super().group(*args, **kwargs)
