"""One module per framework, each with `build_wsgi(workload)` or `build_asgi(workload)`, or both.

A function takes a workload's name (see `benchmarks.workloads`) and returns the application. Each uses what
its framework's documentation shows, and of two documented ways the faster. `build_def_asgi` and
`build_async_wsgi` serve plain text with a view of the protocol's other colour. A framework whose module would be long
has several: `Workload.prefix` says which builds what.
"""

from __future__ import annotations

import importlib
from typing import Any

from benchmarks.workloads import Workload

__all__ = ["ASGI_PEERS", "WSGI_PEERS", "build", "takes_part"]

# Who takes part under a protocol: the bare callable, duoflask, and its peers.
WSGI_PEERS = ("raw", "duoflask", "falcon", "bottle", "werkzeug", "flask", "django", "pyramid")
ASGI_PEERS = (
    "raw",
    "duoflask",
    "blacksheep",
    "falcon",
    "starlette",
    "fastapi",
    "quart",
    "litestar",
    "sanic",
    "emmett55",
    "django",
)


def _module_of(framework: str, workload: Workload) -> Any:
    """Import the module that builds a framework's application for a workload; None if there is none."""
    for name in dict.fromkeys((f"{workload.prefix}{framework}", framework)):
        path = f"benchmarks.apps.{name}"
        try:
            return importlib.import_module(path)
        except ModuleNotFoundError as exc:
            if exc.name != path:
                raise
    return None


def takes_part(framework: str, builder: str, workload: Workload) -> bool:
    """Whether a framework answers a workload under the protocol, and with the colour, that the builder's name says."""
    return hasattr(_module_of(framework, workload), builder)


def build(framework: str, builder: str, workload: Workload) -> Any:
    """Build a framework's application; None if it does not take part in the workload."""
    function = getattr(_module_of(framework, workload), builder, None)
    return None if function is None else function(workload.name.partition("-")[0])
