from __future__ import annotations

import flask.signals
import pytest
from blinker import NamedSignal

import duoflask.signals

NAMES = [name for name in duoflask.signals.__all__ if name not in ("Namespace", "signals")]


def test_all_of_flasks_signals_exist() -> None:
    theirs = {name for name, value in vars(flask.signals).items() if isinstance(value, NamedSignal)}
    assert theirs == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_signal_has_flasks_name_and_our_namespace(name: str) -> None:
    ours = getattr(duoflask.signals, name)
    assert ours.name == getattr(flask.signals, name).name
    assert ours is duoflask.signals.signals[ours.name]
    assert ours is not getattr(flask.signals, name)


def test_receiver_gets_sender_and_arguments() -> None:
    seen: list[object] = []
    with duoflask.signals.request_finished.connected_to(lambda sender, **kwargs: seen.append((sender, kwargs))):
        duoflask.signals.request_finished.send("app", response=1)
    assert seen == [("app", {"response": 1})]
