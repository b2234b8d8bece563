"""The examples of docs/background.md, under both protocols; the queues with brokers in this process."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import celery._state
import dramatiq
import pytest
from celery.contrib.testing.worker import start_worker
from dramatiq.brokers.stub import StubBroker

from .pages import Page

PAGE = Page("background")
example = PAGE.example


def test_start_up(client):
    served = client(example("while_serving")["app"])
    assert served.get("/items/1").text == "one"


def test_background_tasks(client):
    names = example("add_background_task")
    served = client(names["app"])
    assert served.post("/order/ada").text == "thank you"
    assert served.get("/slow").text == "42"
    assert served.get("/page").text == "a page"
    served.close()
    assert sorted(names["log"]) == ["/page: 200", "mail to ada for /order/ada"]


@pytest.fixture
def celery_names() -> Iterator[dict[str, Any]]:
    (block,) = [block for block in PAGE.fenced if "celery_init_app(app: Flask)" in block]
    names = PAGE.run(block.replace('redis://localhost"}', 'cache+memory://"}').replace("redis://", "memory://"))
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield names
    root.setLevel(level)  # a worker sets up logging
    root.handlers[:] = handlers
    names["celery_app"].close()
    celery._state.set_default_app(None)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_celery(client, celery_names):
    served = client(celery_names["app"])
    with start_worker(celery_names["celery_app"], perform_ping_check=False, pool="solo"):
        task = served.post("/add/1/2").json["id"]
        until = time.monotonic() + 20
        while not (answer := served.get(f"/result/{task}").json)["ready"]:
            assert time.monotonic() < until
    assert answer["value"] == f"{celery_names['__name__']}: 3"


@pytest.fixture
def stub_broker() -> Iterator[StubBroker]:
    broker = StubBroker()
    dramatiq.set_broker(broker)
    yield broker
    broker.close()
    dramatiq.set_broker(None)  # type: ignore[arg-type]


def test_dramatiq(client, stub_broker):
    names = example("dramatiq.actor")
    app, torn_down = names["app"], []
    app.teardown_appcontext(torn_down.append)
    served = client(app)
    assert served.post("/count/abc").status_code == 202
    torn_down.clear()
    worker = dramatiq.Worker(stub_broker, worker_timeout=100)
    worker.start()
    try:
        stub_broker.join("default", timeout=20_000)
        worker.join()
    finally:
        worker.stop()
    assert app.config["COUNTED"] == 3
    assert torn_down == [None]


def test_timeouts(client):
    app = example("time_left > 0.01")["app"]
    app.logger.disabled = True
    served = client(app)
    response = served.get("/quote")
    assert (response.status_code, response.text) == (504, "try again later")
    assert served.get("/report").text == "as far as we got"


def test_early_hints(client):
    served = client(example("early_hints([")["app"])
    assert served.get("/").status_code == 200
    assert served.get("/async").text == "False"
