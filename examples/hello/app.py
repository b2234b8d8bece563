"""One of each that the foundation offers, as `def` and as `async def`; README.md says how to serve it."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from duoflask import DuoFlask, Response, g, jsonify, request

app = DuoFlask(__name__)

# What this process has done so far, for the route /counts.
counts: Counter[str] = Counter()
counts_lock = threading.Lock()
started: list[str] = []
first_request: list[str] = []

# Set in a `def` hook, read in views, hooks and body chunks of both colours. After hooks need the default:
# they also run for a request that is refused before the first function, such as one with too long a body.
visitor: ContextVar[str] = ContextVar("visitor", default="nobody")


def count(what: str) -> None:
    with counts_lock:
        counts[what] += 1


class OutOfCoffee(Exception):
    """An error of the application's own, with a handler below."""


@app.before_serving
def open_in_a_thread() -> None:
    started.append("before_serving (def)")


@app.before_serving
async def open_on_the_loop() -> None:
    await checkpoint()
    started.append("before_serving (async def)")


@app.after_serving
def close_in_a_thread() -> None:
    sys.stderr.write("hello: after_serving (def)\n")


@app.after_serving
async def close_on_the_loop() -> None:
    await checkpoint()
    sys.stderr.write("hello: after_serving (async def)\n")


@app.before_first_request
def first_in_a_thread() -> None:
    first_request.append("before_first_request (def)")


@app.before_first_request
async def first_on_the_loop() -> None:
    await checkpoint()
    first_request.append("before_first_request (async def)")


@app.url_value_preprocessor
def preprocess(endpoint: str | None, values: dict[str, Any] | None) -> None:
    g.trail = ["url_value_preprocessor (def)"]


@app.url_value_preprocessor
async def preprocess_async(endpoint: str | None, values: dict[str, Any] | None) -> None:
    await checkpoint()
    g.trail.append("url_value_preprocessor (async def)")


@app.before_request
def look() -> None:
    count("requests")
    if "X-Visitor" in request.headers:
        visitor.set(request.headers["X-Visitor"])
    g.trail.append("before_request (def)")


@app.before_request
async def look_async() -> None:
    await checkpoint()
    g.trail.append(f"before_request (async def) for {visitor.get()}")


@app.after_request
def mark(response: Response) -> Response:
    response.headers["X-After-Def"] = visitor.get()
    return response


@app.after_request
async def mark_async(response: Response) -> Response:
    await checkpoint()
    response.headers["X-After-Async-Def"] = visitor.get()
    return response


@app.teardown_request
def tear_down(exc: BaseException | None) -> None:
    count("teardown_request (def)")


@app.teardown_request
async def tear_down_async(exc: BaseException | None) -> None:
    await checkpoint()
    count("teardown_request (async def)")


@app.teardown_appcontext
def tear_down_context(exc: BaseException | None) -> None:
    count("teardown_appcontext (def)")


@app.teardown_appcontext
async def tear_down_context_async(exc: BaseException | None) -> None:
    await checkpoint()
    count("teardown_appcontext (async def)")


@app.route("/")
def index() -> str:
    return "Hello, World!"


@app.route("/async")
async def index_async() -> str:
    await anyio.sleep(0.01)
    return "Hello, async World!"


@app.route("/users/<int:id>")
def user(id: int) -> dict[str, Any]:
    return {"id": id, "name": f"user {id}", "query": request.args.get("q")}


@app.get("/rooms/")
async def rooms() -> str:
    return "rooms"


@app.get("/form")
def show_form() -> str:
    return '<form method="post"><input name="name"><button>Greet</button></form>'


@app.post("/form")
async def greet() -> Response:
    name = request.form.get("name") or "stranger"
    return Response(f"Hello, {name}!", mimetype="text/plain")


@app.post("/sum")
def add() -> dict[str, Any]:
    return {"sum": sum(request.get_json()["numbers"])}


@app.post("/sum/async")
async def add_async() -> Response:
    await checkpoint()
    return jsonify(sum=sum(request.json["numbers"]))


@app.post("/echo", max_content_length=1000)
def echo() -> Response:
    return Response(request.get_data(), mimetype="application/octet-stream")


@app.route("/trail")
async def trail() -> list[str]:
    return [*g.trail, f"view (async def) for {visitor.get()}"]


@app.route("/counts")
def show_counts() -> dict[str, Any]:
    return {**counts, "started": started, "first request": first_request}


@app.route("/stream")
def stream() -> Iterator[str]:
    for number in range(5):
        yield f"{number} for {visitor.get()} at {request.path}\n"


@app.route("/stream/async")
async def stream_async() -> AsyncIterator[str]:
    for number in range(5):
        await checkpoint()
        yield f"{number} for {visitor.get()} at {request.path}\n"


@app.route("/slow/<int:milliseconds>")
def slow(milliseconds: int) -> str:
    time.sleep(milliseconds / 1000)
    return f"waited {milliseconds} ms"


@app.route("/slow/async/<int:milliseconds>")
async def slow_async(milliseconds: int) -> str:
    await anyio.sleep(milliseconds / 1000)
    return f"waited {milliseconds} ms"


@app.route("/coffee")
def coffee() -> str:
    raise OutOfCoffee("the pot is empty")


@app.route("/crash")
async def crash() -> str:
    raise RuntimeError("nobody handles this one")


@app.errorhandler(404)
def not_found(error: Exception) -> tuple[str, int]:
    return f"nothing at {request.path}", 404


@app.errorhandler(OutOfCoffee)
async def out_of_coffee(error: OutOfCoffee) -> tuple[dict[str, str], int]:
    await checkpoint()
    return {"error": str(error)}, 503
