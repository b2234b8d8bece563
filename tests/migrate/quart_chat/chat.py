"""A chat written for Quart, as its documentation writes one; the tests migrate and run it."""

import asyncio
from collections.abc import AsyncGenerator

from quart import (
    Blueprint,
    Quart,
    flash,
    g,
    get_flashed_messages,
    jsonify,
    make_response,
    redirect,
    render_template_string,
    request,
    session,
    url_for,
    websocket,
)

PAGE = "{{ session.get('user', 'nobody') }} {{ g.visits }} {{ get_flashed_messages() | join(',') }}"


class Broker:
    def __init__(self) -> None:
        self.connections: set[asyncio.Queue] = set()

    async def publish(self, message: str) -> None:
        for connection in self.connections:
            await connection.put(message)

    async def subscribe(self) -> AsyncGenerator[str, None]:
        connection = asyncio.Queue()
        self.connections.add(connection)
        try:
            while True:
                yield await connection.get()
        finally:
            self.connections.remove(connection)


room = Blueprint("room", __name__, url_prefix="/room")


@room.before_websocket
async def only_members():
    if "user" not in session:
        return jsonify(error="log in first"), 401


@room.websocket("/chat")
async def chat():
    broker = app.extensions["broker"]

    async def receive() -> None:
        while True:
            message = await websocket.receive()
            await broker.publish(f"{session['user']}: {message}")

    try:
        task = asyncio.ensure_future(receive())
        async for message in broker.subscribe():
            await websocket.send(message)
    finally:
        task.cancel()
        await task


@room.websocket("/echo")
async def echo():
    await websocket.accept(subprotocol=(websocket.requested_subprotocols or [None])[0])
    while True:
        data = await websocket.receive_json()
        await websocket.send_json({"from": session["user"], "data": data, "path": websocket.path})


app = Quart(__name__)
app.secret_key = "not secret"
app.register_blueprint(room)
app.extensions["log"] = []


@app.while_serving
async def life():
    app.extensions["broker"] = Broker()
    app.extensions["log"].append("start")
    yield
    app.extensions["log"].append("stop")


@app.before_request
async def count():
    g.visits = session["visits"] = session.get("visits", 0) + 1


@app.get("/")
async def index():
    return await render_template_string(PAGE, get_flashed_messages=get_flashed_messages)


@app.post("/login")
async def login():
    session["user"] = (await request.form)["user"]
    await flash("welcome")
    return redirect(url_for("index"))


async def send_mail(to):
    await asyncio.sleep(0)
    app.extensions["log"].append(f"mail to {to}")


@app.post("/mail")
async def mail():
    data = await request.get_json()
    app.add_background_task(send_mail, data["to"])
    response = await make_response({"queued": True}, 202)
    response.headers["X-Size"] = str(len(await response.get_data()))
    return response


@app.get("/state")
async def state():
    return {"log": app.extensions["log"], "listeners": len(app.extensions["broker"].connections)}
