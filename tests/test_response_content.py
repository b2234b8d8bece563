from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator, Callable
from typing import Any

import flask
import pytest

import duoflask

from .growth import require_linear

ours, theirs = duoflask.Response, flask.Response


def both(walk: Any) -> tuple[Any, Any]:
    return walk(ours), walk(theirs)


# -- the stream


def test_stream_writes_as_with_flask() -> None:
    def walk(kind: Any) -> Any:
        response = kind("start ")
        seen = [response.stream is response.stream, response.stream.write(b"a"), response.stream.tell()]
        response.stream.writelines([b"b", b"c"])
        seen += [response.get_data(), response.is_sequence, response.is_streamed]
        response.stream.write(b"d")
        seen += [response.stream.tell(), response.stream.isatty(), response.stream.encoding, response.stream.mode]
        response.stream.flush()
        seen += [response.calculate_content_length(), b"".join(response.iter_encoded()), repr(response)]
        return [*seen, dict(response.get_wsgi_headers({"REQUEST_METHOD": "GET"}))["Content-Length"]]

    mine, flasks = both(walk)
    assert mine == flasks


def test_closed_stream_refuses_everything() -> None:
    for kind in (ours, theirs):
        stream = kind().stream
        stream.close()
        for act in (lambda: stream.write(b"x"), stream.flush, stream.isatty):  # noqa: B023
            with pytest.raises(ValueError):
                act()
        assert stream.closed


def test_stream_follows_an_iterator_and_takes_text() -> None:
    response = ours(iter(["a", "b"]))
    response.stream.write("\u00e4")
    assert response.get_data() == b"ab\xc3\xa4"
    assert response.content_length == 4
    with pytest.raises(TypeError, match="expected str or bytes"):
        response.stream.write(5)  # type: ignore[arg-type]


def test_length_of_what_was_written_is_sent(client: Any) -> None:
    app = duoflask.DuoFlask("app")

    def written() -> Any:
        response = duoflask.Response("a")
        for _ in range(10):
            response.stream.write(b"bc")
        return response

    async def written_async() -> Any:
        return written()

    app.add_url_rule("/def", "def", written)
    app.add_url_rule("/async", "async", written_async)
    app.add_url_rule("/changed", "changed", changed := _changed)
    assert changed is _changed
    tester = client(app)
    for path in ("/def", "/async"):
        response = tester.get(path)
        assert (response.data, response.headers.getlist("Content-Length")) == (b"a" + b"bc" * 10, ["21"])
        assert tester.head(path).content_length == 21
    assert tester.get("/changed").data == b"new"


def test_what_is_written_can_be_read_whatever_the_rest_wants() -> None:
    for kind in (ours, theirs):
        response = kind(b"a", direct_passthrough=True)
        response.implicit_sequence_conversion = False
        response.stream.write(b"b")
        assert response.get_data() == b"ab"


def _changed() -> Any:
    response = duoflask.Response("a")
    response.stream.write(b"b")
    assert response.response == [b"a", b"b"]
    response.set_data("new")
    return response


@pytest.mark.measures
def test_writing_is_linear() -> None:
    def make(count: int) -> Callable[[], None]:
        response = ours()

        def write() -> None:
            for _ in range(count):
                response.stream.write(b"x" * 200)
            assert response.stream.tell() == count * 200
            response.get_data()

        return write

    require_linear(make, 10_000)


# -- reading


def test_body_is_not_read_unless_it_may_be() -> None:
    def walk(kind: Any) -> Any:
        class Own(kind):  # type: ignore[misc]
            implicit_sequence_conversion = False

        response = Own(iter("ab"))
        try:
            response.get_data()
        except RuntimeError:
            seen = ["refused"]
        response.make_sequence()
        return [*seen, response.get_data(), Own("x").get_data(), Own(["a", "b"]).get_data()]

    mine, flasks = both(walk)
    assert mine == flasks


def test_what_is_passed_through_is_read_only_when_asked_for() -> None:
    def walk(kind: Any) -> Any:
        response = kind(iter([b"a", b"b"]), direct_passthrough=True)
        with pytest.raises(RuntimeError, match="passth|passed through"):
            response.get_data()
        response.make_sequence()
        return response.is_sequence, b"".join(response.iter_encoded())

    mine, flasks = both(walk)
    assert mine == flasks


def test_shape_of_a_body_is_told_as_by_flask() -> None:
    class Sized:
        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Any:
            return iter(["a"])

    for make in (lambda: "x", lambda: iter("x"), lambda: ["x"], Sized, lambda: None):

        def walk(kind: Any) -> Any:
            response = kind(make())  # noqa: B023
            return response.is_streamed, response.is_sequence, repr(response)

        mine, flasks = both(walk)
        assert mine == flasks


def test_iterable_is_closed_when_the_response_is() -> None:
    closed: list[int] = []

    class Body:
        def __iter__(self) -> Any:
            return iter([b"a"])

        def close(self) -> None:
            closed.append(1)

    response = ours(Body())
    response.make_sequence()
    assert closed == []
    response.close()
    response.close()
    assert closed == [1]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_body_is_closed_when_it_has_been_read(backend: str) -> None:
    import anyio

    closed: list[int] = []

    class Body:
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"

        async def aclose(self) -> None:
            closed.append(1)

    async def main() -> None:
        response = ours(Body())
        await response.make_sequence_async()
        await response.aclose()
        assert response.get_data() == b"a"

    anyio.run(main, backend=backend)
    assert closed == [1]


# -- freezing


@pytest.mark.parametrize("body", ["text", b"bytes", ["a", "b"], "", None])
def test_frozen_response_is_that_of_flask(body: Any) -> None:
    def walk(kind: Any) -> Any:
        response = kind(body)
        response.freeze()
        return response.get_data(), response.content_length, response.get_etag(), response.is_sequence

    mine, flasks = both(walk)
    assert mine == flasks


def test_frozen_response_can_be_pickled() -> None:
    response = ours(iter(["a", "b"]), 201, {"X-A": "1"}, direct_passthrough=True)
    response.set_etag("own")
    response.freeze()
    again = pickle.loads(pickle.dumps(response))
    again.direct_passthrough = False
    assert (again.get_data(), again.status, again.headers["X-A"]) == (b"ab", "201 CREATED", "1")
    assert again.get_etag() == ("own", False)
    assert again.content_length == 2


def test_etag_of_the_body_is_that_of_flask() -> None:
    def walk(kind: Any) -> Any:
        response = kind("text")
        response.add_etag()
        seen = [response.get_etag()]
        response.set_data("other")
        response.add_etag()
        seen.append(response.get_etag())
        response.add_etag(overwrite=True, weak=True)
        return [*seen, response.get_etag(), kind(iter("ab")).get_etag()]

    mine, flasks = both(walk)
    assert mine == flasks


def test_json_of_a_response_is_read_by_the_apps_provider(client: Any) -> None:
    app = duoflask.DuoFlask("app")
    app.json.loads = lambda text, **kwargs: "provider's"  # type: ignore[method-assign]
    app.add_url_rule("/", "view", lambda: str(duoflask.jsonify(a=1).json))
    assert client(app).get("/").text == "provider's"
    assert ours('{"a": 1}', mimetype="application/json").json == {"a": 1}


def test_json_that_is_too_deep_is_a_value_error() -> None:
    response = ours("[" * 100_000, mimetype="application/json")
    with pytest.raises(ValueError):
        response.get_json()
    assert response.get_json(silent=True) is None


def test_response_shows_the_pieces_that_it_was_given() -> None:
    response = ours()
    response.stream.write("Hello ")
    response.stream.write(b"World!")
    assert response.response == ["Hello ", b"World!"]
    assert response.get_data() == b"Hello World!"
    assert response.response == ["Hello ", b"World!"]
    response.response = ("foo", "bar")
    assert response.response == ["foo", "bar"]
    response.stream.write("baz")
    assert response.response == ["foo", "bar", "baz"]
    assert response.headers["Content-Length"] == "9"
    response.set_data("other")
    assert response.response == [b"other"]
    assert ours(["a", "b"]).response == ["a", "b"]


def test_frozen_iterator_shows_its_pieces() -> None:
    response = ours(iter(["foo", b"bar"]))
    response.freeze()
    assert response.response == [b"foo", b"bar"]
    assert response.headers["Content-Length"] == "6"


def test_pieces_of_a_large_body_are_not_kept_twice() -> None:
    response = ours(iter([b"x" * 65_536, b"y"]))
    response.make_sequence()
    assert len(response.response) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda pieces: pieces.append(b"<!--t-->"),
        lambda pieces: pieces.extend(["x", b"y"]),
        lambda pieces: pieces.insert(0, "x"),
        lambda pieces: pieces.__setitem__(0, b"Z"),
        lambda pieces: pieces.__setitem__(slice(None), ["x", "y"]),
        lambda pieces: pieces.pop(),
        lambda pieces: pieces.clear(),
        lambda pieces: pieces.reverse(),
        lambda pieces: pieces.__iadd__([b"!"]),
        lambda pieces: pieces.__delitem__(0),
    ],
)
@pytest.mark.parametrize("body", ["hi", b"hi", ["a", b"b"], ("a", "b"), ["a"]])
def test_a_change_of_the_pieces_is_one_of_the_body(body: Any, change: Callable[[Any], Any]) -> None:
    own, other = (kind([*body] if isinstance(body, (list, tuple)) else body) for kind in (ours, theirs))
    change(own.response)
    change(other.response)
    assert own.get_data() == other.get_data()
    assert [*own.iter_encoded()] and own.headers["Content-Length"] == str(len(other.get_data()))


@pytest.mark.parametrize("body", [None, [], ()])
def test_a_response_without_a_body_has_no_pieces(body: Any) -> None:
    assert ours(body).response == [] == list(theirs(body).response)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda pieces: pickle.loads(pickle.dumps(pieces))])
def test_a_copy_of_the_pieces_is_a_list_of_its_own(copied: Callable[[Any], Any]) -> None:
    response = ours(["a", "b"])
    pieces = copied(response.response)
    assert type(pieces) is list
    pieces.append("c")
    assert response.get_data() == b"ab"


def test_an_after_request_function_that_changes_the_pieces(client: Callable[..., Any]) -> None:
    app = duoflask.DuoFlask(__name__)

    @app.get("/")
    def view() -> str:
        return "hi"

    @app.after_request
    def add(response: Any) -> Any:
        response.response.append(b"<!--t-->")
        return response

    answer = client(app).get("/")
    assert (answer.data, answer.headers["Content-Length"]) == (b"hi<!--t-->", "10")
