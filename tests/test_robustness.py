"""What must not take a worker down or leak: each was found by reading as a critic, and stood wrong once."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import anyio
import pytest

from duoflask import (
    DuoFlask,
    Response,
    appcontext_pushed,
    copy_current_request_context,
    g,
    request,
    request_started,
    request_tearing_down,
)
from duoflask.bridge import portal
from duoflask.testing import create_environ


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_portal_outlives_an_exit_in_a_task_of_the_users(error: type[BaseException], caplog: Any) -> None:
    app = DuoFlask(__name__)

    @app.get("/bad")
    async def bad() -> str:
        async def exiting() -> None:
            raise error

        task = asyncio.get_running_loop().create_task(exiting())
        await asyncio.wait([task])
        assert isinstance(task.exception(), error)
        return "survived"

    @app.get("/good")
    async def good() -> str:
        await asyncio.sleep(0)
        return "good"

    with caplog.at_level(logging.ERROR, "duoflask.portal"), app.test_client() as client:
        assert client.get("/bad").text == "survived"
        assert client.get("/good").text == "good"
    assert "a task on the portal loop ended" in caplog.text


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_server_that_refuses_the_head_of_a_stream_still_ends_the_request(colour: str) -> None:
    app = DuoFlask(__name__)
    ended: list[BaseException | None] = []
    closed: list[str] = []

    def pieces() -> Any:
        yield "a"

    async def async_pieces() -> Any:
        yield "a"

    @app.get("/")
    def view() -> Response:
        response = Response(pieces() if colour == "def" else async_pieces())
        response.call_on_close(lambda: closed.append("closed"))
        return response

    @app.teardown_request
    async def teardown(error: BaseException | None) -> None:
        ended.append(error)

    def refuse(*_: Any) -> Any:
        raise ValueError("invalid header")

    with pytest.raises(ValueError, match="invalid header"):
        app(create_environ("/"), refuse)
    assert [type(error) for error in ended] == [ValueError]
    assert closed == ["closed"]
    done = threading.Event()
    portal().post(done.set)
    assert done.wait(20)
    assert not portal()._tasks


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_thread_with_a_copied_context_runs_async_functions_on_the_requests_loop(client: Any, colour: str) -> None:
    app = DuoFlask(__name__)
    loops: list[Any] = []

    async def note() -> None:
        loops.append(asyncio.get_running_loop())

    @app.before_request
    async def first() -> None:
        await note()

    def work() -> None:
        app.ensure_sync(note)()

    def threaded() -> str:
        thread = threading.Thread(target=copy_current_request_context(work))
        thread.start()
        thread.join(20)
        return "done"

    @app.get("/")
    async def view() -> str:
        if colour == "def":
            return await app.sync_to_async(threaded)()
        thread = threading.Thread(target=copy_current_request_context(work))
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.001)
        return "done"

    assert client(app).get("/").text == "done"
    assert len(loops) == 2
    assert loops[0] is loops[1]


def test_failed_startup_keeps_no_request_alive() -> None:
    app = DuoFlask(__name__)

    @app.before_serving
    def fail() -> None:
        raise RuntimeError("no database")

    @app.get("/")
    def view() -> str:
        return "never"

    lengths = []

    @app.errorhandler(503)
    def unavailable(error: Any) -> tuple[str, int]:
        seen, count = error, 0
        while seen is not None:
            traceback = seen.__traceback__
            while traceback is not None:
                count, traceback = count + 1, traceback.tb_next
            seen = seen.__cause__ or seen.__context__
        lengths.append(count)
        return "later", 503

    def ask() -> str:
        answer: list[str] = []
        environ = create_environ("/")
        body = app(environ, lambda status, headers, exc_info=None: answer.append(status))
        assert b"".join(body) == b"later"
        return answer[0]

    assert {ask()[:3] for _ in range(30)} == {"503"}
    assert len(set(lengths[2:])) == 1


@pytest.mark.parametrize("lengths", ["abc", "-1", "1001"])
def test_refused_body_keeps_its_status_though_an_after_hook_counts_on_a_before_hook(
    lengths: str,
) -> None:
    app = DuoFlask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1000
    seen: list[str] = []

    @app.before_request
    def before() -> None:
        seen.append("before")
        g.start = 1

    @app.after_request
    def after(response: Response) -> Response:
        response.headers["X-Start"] = str(g.start)
        return response

    @app.post("/")
    def view() -> str:
        return "never"

    environ = create_environ("/", method="POST", data=b"x")
    environ["CONTENT_LENGTH"] = lengths
    started: list[str] = []
    b"".join(app(environ, lambda status, headers, exc_info=None: started.append(status)))
    assert started[0][:3] == ("413" if lengths == "1001" else "400")
    assert seen == []


@pytest.mark.parametrize("number", [0, -1, "4", None])
def test_impossible_number_of_threads_is_an_error_where_it_is_set(number: Any) -> None:
    app = DuoFlask(__name__)
    with pytest.raises(ValueError, match="WORKER_THREADS"):
        app.config["WORKER_THREADS"] = number


def test_hook_registered_while_a_plan_is_made_counts_at_the_next_request(client: Any) -> None:
    app = DuoFlask(__name__)

    @app.get("/")
    def view() -> str:
        return "view"

    class Registering(list[Any]):
        """A hook list that, when a plan reads it, is changed by somebody else just then."""

        def __iter__(self) -> Any:
            found = list(super().__iter__())
            if not app.before_request_funcs.get(None):
                app.before_request_funcs[None].append(lambda: "hook")
            return iter(found)

    dict.__setitem__(app.url_value_preprocessors, None, Registering())
    tester = client(app)
    tester.get("/")
    assert tester.get("/").text == "hook"


def test_cancelled_async_view_may_be_served_again() -> None:
    app = DuoFlask(__name__)

    @app.get("/")
    async def view() -> str:
        await anyio.sleep(0)
        return "view"

    async def main() -> str:
        async with app.async_test_client() as client:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await client.get("/")
            return (await client.get("/")).text

    assert asyncio.run(main()) == "view"


def test_receiver_of_the_pushed_context_leaves_body_and_startup_on_their_side(client: Any) -> None:
    app = DuoFlask(__name__)
    pushed: list[Any] = []

    @app.before_serving
    async def start() -> None:
        pushed.append("start")

    @app.post("/")
    async def view() -> str:
        return request.get_data(as_text=True)

    def receive(sender: Any) -> None:
        pushed.append(threading.current_thread())

    with appcontext_pushed.connected_to(receive, sender=app):
        assert client(app).post("/", data="body").text == "body"
    assert pushed.count("start") == 1


def test_muted_signal_reaches_nobody(client: Any) -> None:
    app = DuoFlask(__name__)
    seen: list[Any] = []

    @app.get("/")
    def view() -> str:
        return "view"

    def receive(sender: Any, **_: Any) -> None:
        seen.append(sender)

    tester = client(app)
    with request_started.connected_to(receive, sender=app), request_tearing_down.connected_to(receive, sender=app):
        with request_started.muted(), request_tearing_down.muted():
            tester.get("/")
        assert seen == []
        tester.get("/")
    assert seen == [app, app]


def test_async_function_whose_loop_has_ended_is_an_error_and_no_hang() -> None:
    app = DuoFlask(__name__)

    async def work() -> None:
        raise AssertionError("nobody runs it")

    kept: list[Any] = []

    @app.get("/")
    def view() -> str:
        kept.append(copy_current_request_context(lambda: app.ensure_sync(work)()))
        return "view"

    with app.test_client(protocol="asgi") as client:
        client.get("/")
    with pytest.raises(RuntimeError, match="has ended"):
        kept[0]()


def test_redirect_keeps_raw_bytes_of_the_query(client: Any) -> None:
    app = DuoFlask(__name__)

    @app.get("/branch/")
    def view() -> str:
        return "view"

    environ = create_environ("/branch", query_string="b=\xc3\xa9")
    environ["QUERY_STRING"] = "b=\xc3\xa9"  # the bytes of U+00E9 in UTF-8, as a server passes them on
    found: list[Any] = []
    app(environ, lambda status, headers, exc_info=None: found.extend(headers))
    assert dict(found)["Location"].endswith("/branch/?b=%C3%A9")


def test_client_that_leaves_while_the_app_starts_up_does_not_start_it_twice() -> None:
    app = DuoFlask(__name__)
    events: list[str] = []

    async def main() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        @app.before_serving
        async def start() -> None:
            events.append("begin")
            begun.set()
            await go_on.wait()
            events.append("end")

        @app.get("/")
        async def view() -> str:
            return "view"

        async def serve(messages: list[dict[str, Any]]) -> None:
            never = asyncio.Event()

            async def receive() -> dict[str, Any]:
                if messages:
                    return messages.pop(0)
                await never.wait()
                raise AssertionError("nobody sets it")

            async def send(message: dict[str, Any]) -> None:
                events.append(message["type"])

            await app({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}, receive, send)

        first = asyncio.ensure_future(serve([{"type": "http.disconnect"}]))
        await begun.wait()
        await asyncio.sleep(0)
        go_on.set()
        await first
        await serve([])

    asyncio.run(main())
    assert events.count("begin") == events.count("end") == 1
    assert events.count("http.response.start") >= 1


def test_methods_that_a_peer_invents_are_not_kept(client: Any) -> None:
    app = DuoFlask(__name__)
    app.url_map.add(app.url_rule_class("/any", endpoint="any"))
    app.view_functions["any"] = lambda: "any"
    tester = client(app)
    for number in range(20):
        assert tester.open("/any", method=f"WORD{number}").text == "any"
    assert len(app._known) == 0


def test_threads_of_the_first_requests_wait_until_the_settings_are_worked_out() -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(DuoFlask):
        def _work_out(self) -> None:
            entered.set()
            assert go_on.wait(20)
            super()._work_out()

        def dispatch_request(self) -> Any:
            return "overridden"

    app = Slow(__name__)

    @app.get("/")
    def view() -> str:
        return "view"

    answers: list[bytes] = []

    def ask() -> None:
        answers.append(b"".join(app(create_environ("/"), lambda status, headers, exc_info=None: None)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    threads[0].start()
    assert entered.wait(20)
    for thread in threads[1:]:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert answers == [b"overridden"] * 4
