"""What a child tells its parent."""

from __future__ import annotations

import json
import socket
import types
from pathlib import Path

import pytest

from duoflask.reloader import Child


def child_and_parent() -> tuple[Child, socket.socket]:
    parent, own = socket.socketpair()
    parent.settimeout(20)
    return Child({"sockets": [], "control": own.detach(), "number": 0}), parent


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
