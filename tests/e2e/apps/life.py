"""An app that notes when its functions run, for the tests of a server's start and end."""

from __future__ import annotations

import os
import time

import anyio

from duoflask import DuoFlask, request
from duoflask.background import after_response
from duoflask.hints import early_hints

app = DuoFlask(__name__)
app.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"] = 20


def note(text: str) -> None:
    with open(os.environ["LIFE_LOG"], "a", encoding="utf-8") as log:
        log.write(f"{text}\n")


@app.before_serving
async def before() -> None:
    note("before")
    if "FAIL" in os.environ:
        raise LookupError("no database")


@app.while_serving
async def while_async():
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        note("while up")
        yield
        note("while down")
        group.cancel_scope.cancel()


@app.while_serving
def while_def():
    app.state.name = "life"
    yield
    note("def down")


@app.after_serving
def after() -> None:
    note("after")


def later() -> None:
    time.sleep(0.2)
    note(f"task {request.args['n']}")


async def later_async() -> None:
    await anyio.sleep(0.2)
    note(f"task {request.args['n']}")


@app.get("/def")
def view_def() -> str:
    number = request.args["n"]
    note(f"begun {number}")
    app.add_background_task(later)
    after_response(lambda: note(f"sent {number}"))
    time.sleep(0.02)
    return f"{app.state.name} {number}"


@app.get("/async")
async def view_async() -> str:
    number = request.args["n"]
    note(f"begun {number}")
    app.add_background_task(later_async)
    after_response(lambda: note(f"sent {number}"))
    await anyio.sleep(0.02)
    return f"{app.state.name} {number}"


@app.get("/hints")
def hints() -> str:
    return str(early_hints(["/a.css"]))


@app.get("/hints-async")
async def hints_async() -> str:
    return str(await early_hints(["/a.css"]))
