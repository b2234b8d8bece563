"""The reloader: a parent that keeps the listening sockets, and a child that serves until its code changes.

Knows no application and no HTTP: what serves is a function, or a whole program, of the caller's.

Theory of operation. The parent binds the sockets and never accepts; it starts its own command line again as a child,
which inherits them as descriptors, so that a connection made between two children waits in the backlog instead of being
refused. The child says over a control channel which folders and files its code and templates are in; the parent watches
them, and after a change ends the child with whatever it has started, and starts the next one. A program that fails
before it serves is run once more under `rescue`, which shows what it raised until the next change.
"""

from __future__ import annotations

from .child import Child, current_child, is_running_from_reloader
from .supervisor import RELOADER_TYPES, supervise

__all__ = ["RELOADER_TYPES", "Child", "current_child", "is_running_from_reloader", "supervise"]
