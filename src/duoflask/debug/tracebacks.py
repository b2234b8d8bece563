"""What extensions take from Werkzeug's debugger: a traceback as text or HTML, and a wrapper around an application.

Neither runs code that a browser sends. Knows no app.
"""

from __future__ import annotations

import traceback
from typing import Any

from markupsafe import escape

from .pages import ErrorPages

__all__ = ["DebugTraceback", "DebuggedApplication"]


class DebuggedApplication(ErrorPages):
    """`ErrorPages` under the name and with the arguments that Werkzeug has; it has no console.

    Args:
        app: The application.
        evalex: Accepted for Werkzeug's sake, as all that follow; there is no console.
        request_key: See evalex.
        console_path: See evalex.
        console_init_func: See evalex.
        show_hidden_frames: See evalex.
        pin_security: See evalex.
        pin_logging: See evalex.
    """

    def __init__(
        self,
        app: Any,
        evalex: bool = False,
        request_key: str = "werkzeug.request",
        console_path: str = "/console",
        console_init_func: Any = None,
        show_hidden_frames: bool = False,
        pin_security: bool = True,
        pin_logging: bool = True,
    ) -> None:
        super().__init__(app)
        self.evalex = False


class DebugTraceback:
    """An exception, its causes and their frames, as text or as HTML.

    Args:
        exc: The exception.
        te: What stands for it, instead of one that is made of `exc`.
        skip: How many of the outermost frames are left out.
        hide: Leave out the frames whose functions have a local `__traceback_hide__` that is true.
    """

    def __init__(
        self,
        exc: BaseException,
        te: traceback.TracebackException | None = None,
        *,
        skip: int = 0,
        hide: bool = True,
    ) -> None:
        self._te = te or _summary(exc, skip, hide)

    @property
    def all_tracebacks(self) -> list[tuple[str | None, traceback.TracebackException]]:
        """The exception and what led to it, the latest first, each with what it is to the one before."""
        found: list[tuple[str | None, traceback.TracebackException]] = []
        current: traceback.TracebackException | None = self._te
        joint = None
        while current is not None:
            found.append((joint, current))
            if current.__cause__ is not None:
                joint, current = "the direct cause", current.__cause__
            else:
                joint = "what was being handled"
                current = None if current.__suppress_context__ else current.__context__
        return found

    @property
    def all_frames(self) -> list[traceback.FrameSummary]:
        """The frames of all of them."""
        return [frame for _, te in self.all_tracebacks for frame in te.stack]

    def render_traceback_text(self) -> str:
        """Return what the interpreter would write."""
        return "".join(self._te.format())

    def render_traceback_html(self, include_title: bool = True) -> str:
        """Return a piece of HTML.

        Args:
            include_title: Begin with a heading.
        """
        title = f"<h1>{escape(self._last_line())}</h1>\n" if include_title else ""
        return f'<div class="traceback">{title}<pre>{escape(self.render_traceback_text())}</pre></div>'

    def render_debugger_html(self, evalex: bool, secret: str, evalex_trusted: bool) -> str:
        """Return a page of HTML; without a console, whatever the arguments say."""
        return (
            "<!doctype html>\n<html lang=en>\n"
            f"<title>{escape(self._last_line())}</title>\n{self.render_traceback_html()}\n</html>\n"
        )

    def _last_line(self) -> str:
        return next(iter(self._te.format_exception_only()), "").strip()


def _summary(exc: BaseException, skip: int, hide: bool) -> traceback.TracebackException:
    summary = traceback.TracebackException.from_exception(exc, capture_locals=False)
    frames = list(traceback.walk_tb(exc.__traceback__))
    kept = [
        entry
        for number, (entry, (frame, _)) in enumerate(zip(summary.stack, frames))
        if number >= skip and not (hide and frame.f_locals.get("__traceback_hide__"))
    ]
    summary.stack = traceback.StackSummary.from_list(kept)
    return summary
