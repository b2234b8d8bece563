"""A program that failed before it served, run again so that a browser is shown what it raises.

The reloader's parent starts this with the command line of the program. If nothing is raised this time, the program
serves as it would have.
"""

from __future__ import annotations

import os
import runpy
import sys

from ..development import serve_failure

__all__ = ["main"]


def main() -> None:
    """Run `-m module ...`, `-c code ...` or `script ...`, the arguments of this process."""
    kind, target = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    try:
        if kind == "-m":
            sys.argv = sys.argv[2:]
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        elif kind == "-c":
            sys.argv = ["-c", *sys.argv[3:]]
            exec(compile(target, "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.argv = sys.argv[1:]
            if sys.path and sys.path[0] == "":  # not with -P
                sys.path[0] = os.path.dirname(os.path.abspath(kind))
            runpy.run_path(kind, run_name="__main__")
    except Exception as exc:
        serve_failure(exc, "The program cannot be started")
