from __future__ import annotations

import subprocess
import sys
from typing import Any

import flask.signals
import pytest
from blinker import ANY, NamedSignal, Namespace

import duoflask.signals

NAMES = [name for name in duoflask.signals.__all__ if name not in ("Namespace", "signals")]
FLASKS = sorted(name for name, value in vars(flask.signals).items() if isinstance(value, NamedSignal))


def test_all_of_flasks_signals_exist() -> None:
    assert set(FLASKS) <= set(NAMES)


@pytest.mark.parametrize("name", FLASKS)
def test_signal_has_flasks_name(name: str) -> None:
    ours = getattr(duoflask.signals, name)
    assert ours.name == getattr(flask.signals, name).name
    assert ours is not getattr(flask.signals, name)


@pytest.mark.parametrize("name", NAMES)
def test_signal_stands_in_our_namespace(name: str) -> None:
    ours = getattr(duoflask.signals, name)
    assert duoflask.signals.signals[ours.name] is ours
    assert duoflask.signals.signals.signal(ours.name) is ours
    assert isinstance(ours, NamedSignal)


def test_receiver_gets_sender_and_arguments() -> None:
    seen: list[object] = []
    with duoflask.signals.request_finished.connected_to(lambda sender, **kwargs: seen.append((sender, kwargs))):
        duoflask.signals.request_finished.send("app", response=1)
    assert seen == [("app", {"response": 1})]


def test_namespace_is_blinkers() -> None:
    assert duoflask.signals.Namespace is Namespace
    assert type(duoflask.signals.signals) is Namespace
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = duoflask.signals.nothing  # type: ignore[attr-defined]


def new() -> Any:
    """A signal that nobody has looked at."""
    return duoflask.signals._Signal("a-name")


def test_unused_signal_has_a_name_and_no_receivers() -> None:
    signal = new()
    assert signal.name == "a-name"
    assert not signal.receivers
    assert type(signal) is duoflask.signals._Signal
    assert isinstance(signal, NamedSignal)


@pytest.mark.parametrize("name", [name for name in dir(NamedSignal("x")) if name[0] != "_"])
def test_every_name_of_a_signal_is_there(name: str) -> None:
    assert type(getattr(new(), name)) is type(getattr(NamedSignal("a-name"), name))


def test_signal_that_is_used_is_blinkers_own() -> None:
    signal = new()
    assert repr(signal).endswith("'a-name'>")
    assert type(signal) is NamedSignal
    assert vars(signal).keys() == vars(NamedSignal("a-name")).keys()


def test_receiver_of_an_unused_signal_is_kept() -> None:
    signal = new()
    seen = []

    def receiver(sender: object) -> None:
        seen.append(sender)

    signal.connect(receiver, sender=ANY)
    assert signal.receivers
    signal.send("x")
    signal.disconnect(receiver)
    signal.send("y")
    assert seen == ["x"]
    assert not signal.receivers


def test_unused_signal_can_be_muted() -> None:
    signal = new()
    signal.is_muted = True
    assert signal.is_muted
    assert type(signal) is NamedSignal


def test_signals_do_not_import_blinker_before_somebody_uses_them() -> None:
    code = """
import sys, duoflask
assert "blinker" not in sys.modules
duoflask.request_started.connect(print)
assert "blinker" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
