"""Runs an app's commands in tests, without a process of their own."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner, Result

from ..app_loading import ScriptInfo

__all__ = ["FlaskCliRunner"]


class FlaskCliRunner(CliRunner):
    """A `click.testing.CliRunner` that knows an app.

    Args:
        app: The app.
        kwargs: For `CliRunner`.
    """

    def __init__(self, app: Any, **kwargs: Any) -> None:
        self.app = app
        super().__init__(**kwargs)

    def invoke(self, cli: Any = None, args: Any = None, **kwargs: Any) -> Result:  # type: ignore[override]
        """Run a command and return its output, exit code and exception.

        Args:
            cli: The command; by default the app's own group.
            args: Its arguments, a list or one string.
            kwargs: For `CliRunner.invoke`; `obj` is what knows the app.
        """
        kwargs.setdefault("obj", ScriptInfo(create_app=lambda: self.app))
        return super().invoke(self.app.cli if cli is None else cli, args, **kwargs)
