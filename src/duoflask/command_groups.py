"""Commands that run inside an application's context: `AppGroup`, and `with_appcontext` for a single one.

Owns nothing but that. Knows the application as what the `obj` of a click context loads (a `ScriptInfo` of
`app_loading`), so that a scaffold can have such a group.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Protocol, TypeVar, cast

import click

from .globals import current_app

__all__ = ["AppGroup", "with_appcontext"]

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


def with_appcontext(f: _F) -> _F:
    """Run a command's function inside the application's context."""

    @click.pass_context
    def decorator(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        if not current_app:
            ctx.with_resource(_loader(ctx).load_app().app_context())
        return ctx.invoke(f, *args, **kwargs)

    return cast("_F", update_wrapper(decorator, f))


class AppGroup(click.Group):
    """A group whose commands run inside the application's context, unless `with_appcontext=False`."""

    def command(self, *args: Any, **kwargs: Any) -> Any:
        wrap = kwargs.pop("with_appcontext", True)
        register = super().command

        def decorator(f: Callable[..., Any]) -> click.Command:
            made = register(*args, **kwargs)(with_appcontext(f) if wrap else f)
            return cast("click.Command", made)

        return decorator

    def group(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("cls", AppGroup)
        return super().group(*args, **kwargs)
