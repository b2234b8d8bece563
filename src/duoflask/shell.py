"""The interactive shell of an app: `duoflask shell`. At its prompt `await` works, on the loop of the app's async code.

Knows the app as what has a shell context.
"""

from __future__ import annotations

import ast
import code
import os
import sys
from types import CodeType, FunctionType
from typing import Any

import click

from .command_groups import settled, with_appcontext
from .globals import current_app

__all__ = ["AsyncConsole", "shell_command"]


class AsyncConsole(code.InteractiveConsole):
    """A Python prompt that takes `await` outside of functions."""

    def __init__(self, names: dict[str, Any]) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def runcode(self, code: CodeType) -> None:
        """Run what was typed, and wait for it if it awaits."""
        try:
            settled(FunctionType(code, self.locals)())
        except SystemExit:
            raise
        except BaseException:
            self.showtraceback()


@click.command("shell", short_help="Run a Python prompt in the application's context.")
@with_appcontext
def shell_command() -> None:
    """Run a Python prompt in the application's context, with the names of its shell context.

    The file that PYTHONSTARTUP names is run first, as Python does.
    """
    app = current_app._get_current_object()
    names: dict[str, Any] = {}
    startup = os.environ.get("PYTHONSTARTUP")
    if startup and os.path.isfile(startup):
        with open(startup, encoding="utf-8") as file:
            exec(compile(file.read(), startup, "exec"), names)
    names.update(app.make_shell_context())
    _complete(names)
    console = AsyncConsole(names)
    console.interact(
        f"Python {sys.version} on {sys.platform}\nApp: {app.import_name}\nInstance: {app.instance_path}", exitmsg=""
    )


def _complete(names: dict[str, Any]) -> None:
    """Have the tab key complete these names, where Python was built with readline."""
    hook = getattr(sys, "__interactivehook__", None)
    if hook is None:
        return
    hook()
    readline, completer = sys.modules.get("readline"), sys.modules.get("rlcompleter")
    if readline is not None and completer is not None:
        readline.set_completer(completer.Completer(names).complete)
