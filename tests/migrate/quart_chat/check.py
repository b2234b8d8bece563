"""The tests of the chat, as a program: it passes with Quart, and migrated with duoflask."""

import asyncio

from chat import app
from quart.testing import WebsocketResponseError


async def main():
    await app.startup()
    client = app.test_client()
    assert (await (await client.get("/")).get_data(as_text=True)).split() == ["nobody", "1"]
    try:
        async with client.websocket("/room/chat") as socket:
            await socket.receive()
    except WebsocketResponseError as error:
        assert error.response.status_code == 401
    else:
        raise AssertionError("not refused")
    response = await client.post("/login", form={"user": "ada"}, follow_redirects=True)
    assert (await response.get_data(as_text=True)).split()[::2] == ["ada", "welcome"]
    async with client.session_transaction() as session:
        session["user"] = "eve"
    async with client.websocket("/room/chat") as socket:
        await socket.send("hello")
        assert await socket.receive() == "eve: hello"
    async with client.websocket("/room/echo", subprotocols=["a", "b"]) as socket:
        await socket.send_json([1])
        assert await socket.receive_json() == {"from": "eve", "data": [1], "path": "/room/echo"}
    response = await client.post("/mail", json={"to": "bob"})
    assert (response.status_code, response.headers["X-Size"]) == (202, str(len(await response.get_data())))
    while len(app.extensions["log"]) < 2:
        await asyncio.sleep(0)
    assert (await (await client.get("/state")).get_json())["log"] == ["start", "mail to bob"]
    await app.shutdown()
    assert app.extensions["log"] == ["start", "mail to bob", "stop"]


if __name__ == "__main__":
    asyncio.run(main())
