"""What a child tells its parent."""

from __future__ import annotations

import json
import os
import signal
import socket
import types
from pathlib import Path

import pytest

from duoflask.reloader import Child, child as child_module


def child_and_parent(listening: socket.socket | None = None) -> tuple[Child, socket.socket]:
    parent, own = socket.socketpair()
    parent.settimeout(20)
    sockets = [] if listening is None else [listening.detach()]
    return Child({"sockets": sockets, "control": own.detach(), "number": 0}), parent


def test_modules_are_told_by_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "deep" / "shop.py"
    file.parent.mkdir()
    file.touch()
    module = types.ModuleType("shop")
    module.__file__ = str(file)
    monkeypatch.setitem(__import__("sys").modules, "shop", module)
    child, parent = child_and_parent()
    with parent, child._control:
        child._tell(serving=True)
        told = json.loads(parent.makefile().readline())
    assert str(file.resolve()) in told["files"] and str(file.parent.resolve()) in told["folders"]
    assert told["serving"] is True


def test_child_without_a_parent_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    child, parent = child_and_parent()
    parent.close()
    with child._control, pytest.raises(SystemExit):
        child.start()


@pytest.mark.parametrize("stops", [False, True])
def test_interrupted_child_is_signalled_only_while_its_server_goes_on(
    monkeypatch: pytest.MonkeyPatch, stops: bool
) -> None:
    """A second signal would drop what is in flight, and the shutdown functions with it."""
    monkeypatch.setattr(child_module, "INTERRUPT_SECONDS", 0)
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _, number: sent.append(number))
    child, parent = child_and_parent(socket.create_server(("127.0.0.1", 0)))
    lent = child.lend_sockets()
    if stops:
        lent[0].close()
    with parent, child._control, child.sockets[0]:
        parent.sendall(child_module.INTERRUPTED)
        parent.shutdown(socket.SHUT_WR)
        child._attend()
    for sock in lent:
        sock.close()
    assert child.stopping.is_set()
    assert sent == [signal.SIGTERM] * (1 if stops else 2)  # the last one because the parent has gone


def test_child_that_lends_no_sockets_is_signalled() -> None:
    child, parent = child_and_parent()
    with parent, child._control:
        assert child._accepts()
