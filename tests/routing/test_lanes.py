"""Lanes answer as a search of the tree does, whatever the shape of the map."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from duoflask.http.errors import HTTPException
from duoflask.routing import BaseConverter, Map, NoMatch, RedirectRequired, Rule, ValidationError, generated, lanes

PARTS = ["a", "b", "c", "d", "e", "<{}>", "<int:{}>", "<float:{}>", "x<{}>", "<{}>-<int:{}>", "<path:{}>", "<low:{}>"]
SEGMENTS = ["a", "b", "c", "d", "e", "f", "1", "1.5", "xy", "u-7", "", "\n", "B"]


class Low(BaseConverter):
    regex = "[a-z]+"

    def to_python(self, value: str) -> str:
        if value == "b":
            raise ValidationError
        return value.upper()


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    names = iter("ijklmnopqrs")
    text = ""
    for part in draw(st.lists(st.sampled_from(PARTS), max_size=4)):
        text += "/" + part.format(*[next(names) for _ in range(part.count("{}"))])
    options: dict[str, Any] = {
        "string": text + draw(st.sampled_from(["", "/"])) or "/",
        "methods": draw(st.sampled_from([None, ["GET"], ["POST"], ["GET", "POST"], ["BREW"]])),
        "strict_slashes": draw(st.sampled_from([True, True, False])),
    }
    special = draw(st.integers(0, 9))
    if special == 0:
        options["defaults"] = {"extra": 1}
    elif special == 1:
        options["alias"] = True
    elif special == 2 and options["methods"] in (None, ["GET"]):
        options["websocket"] = True
    return options


paths = st.lists(st.sampled_from(SEGMENTS), max_size=6).map(lambda segments: "/" + "/".join(segments))


def searched(url_map: Map, path: str, method: str) -> Any:
    """What `Map.find` says without lanes."""
    try:
        rule, arguments = url_map.ready_matcher().match("", path, method, False)
    except NoMatch as exc:
        if exc.have_match_for:
            return "MethodNotAllowed"
        return "WebsocketMismatch" if exc.websocket_mismatch else None
    except RedirectRequired as exc:
        return type(exc).__name__
    return rule.endpoint, arguments


def found(url_map: Map, path: str, method: str) -> Any:
    try:
        result = url_map.find(path, method)
    except (HTTPException, RedirectRequired) as exc:
        return type(exc).__name__
    return None if result is None else (result[0].endpoint, result[1])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_lanes_answer_as_the_search(data: st.DataObject) -> None:
    drawn = data.draw(st.lists(rules(), min_size=1, max_size=12))
    chain, nodes = data.draw(st.sampled_from([(0, 0), (1, 3), (3, 24), (9, 999)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "MAX_CHAIN", chain)
        patch.setattr(lanes, "MAX_NODES", nodes)
        patch.setattr(lanes, "MAX_EDGES", data.draw(st.sampled_from([0, 1, 8])))
        url_map = Map([Rule(**rule, endpoint=number) for number, rule in enumerate(drawn)], converters={"low": Low})
        url_map.update()
        for path in data.draw(st.lists(paths, min_size=10, max_size=10)):
            for method in ("GET", "POST", "BREW"):
                assert found(url_map, path, method) == searched(url_map, path, method)


@pytest.mark.parametrize("path", ["/a", "/a/<b>"])
def test_rule_for_all_methods_comes_before_a_later_one_for_a_rare_method(path: str) -> None:
    url_map = Map([Rule(path, endpoint="all"), Rule(path, endpoint="brew", methods=["BREW"])])
    url_map.update()
    for method in ("GET", "BREW"):
        answer = found(url_map, path.replace("<b>", "x"), method)
        assert answer is not None
        assert answer[0] == "all"


def test_text_of_a_lane_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    sources: list[str] = []
    compiled = generated._compile
    monkeypatch.setattr(generated, "_compile", lambda source: sources.append(source) or compiled(source))
    branches = [f"/{a}/{b}/{c}/<int:n>/{d}" for a in "abcd" for b in "ab" for c in "abc" for d in "abcdef"]
    branches += [f"/<{kind}:v>/{a}/<w>" for kind in ("int", "float", "path") for a in range(200)]
    url_map = Map([Rule(branch, endpoint=branch) for branch in branches])
    url_map.update()
    for branch in branches:
        path = branch.replace("<int:n>", "1").replace("<int:v>", "1").replace("<float:v>", "1.5")
        path = path.replace("<path:v>", "x").replace("<w>", "w")
        answer = found(url_map, path, "GET")
        assert answer is not None
        assert answer == searched(url_map, path, "GET")
    assert max(map(len, sources)) < 8_000


def test_functions_are_shared_by_subtrees_of_one_shape() -> None:
    url_map = Map([Rule(f"/r{number}/<int:a>/x/<b>", endpoint=number, methods=["GET"]) for number in range(50)])
    url_map.update()
    for number in range(50):
        assert url_map.find(f"/r{number}/7/x/y", "GET") is not None
    ways, _ = url_map._starts[""]
    assert len({stop[0] for stop in ways.values()}) == 1


def test_text_of_a_rule_does_not_become_code() -> None:
    texts = ['"', "'", "\\", "{x}", "#", "%s", '"""', "k0", "\u2028", "é"]
    url_map = Map([Rule(f"/{text}/<a>/{text}", endpoint=text) for text in texts])
    url_map.update()
    for text in texts:
        assert found(url_map, f"/{text}/1/{text}", "GET") == (text, {"a": "1"})
        assert found(url_map, f"/{text}/1/", "GET") is None
        assert url_map.bind("h").build(text, {"a": 1}).count("/") == 3


def test_converter_that_fails_raises_and_one_that_refuses_is_a_miss() -> None:
    class Picky(BaseConverter):
        def to_python(self, value: str) -> str:
            if value == "broken":
                raise IndexError("mine")
            raise ValidationError

    url_map = Map([Rule(f"/{number}/<picky:a>", endpoint="x") for number in range(5)], converters={"picky": Picky})
    url_map.update()
    assert url_map.find("/1/x", "GET") is None
    with pytest.raises(IndexError, match="mine"):
        url_map.find("/1/broken", "GET")


def test_rules_of_one_path_may_name_its_variables_differently() -> None:
    url_map = Map(
        [
            Rule("/a/<x>", endpoint="get", methods=["GET"]),
            Rule("/a/<y>", endpoint="post", methods=["POST"], defaults={"d": 1}),
            Rule("/a/<int:z>", endpoint="int"),
        ]
    )
    url_map.update()
    assert found(url_map, "/a/b", "GET") == ("get", {"x": "b"})
    assert found(url_map, "/a/b", "POST") == ("post", {"y": "b", "d": 1})
    assert found(url_map, "/a/7", "POST") == ("int", {"z": 7})


def test_threads_may_open_the_same_lane() -> None:
    url_map = Map([Rule(f"/r{number}/<int:a>", endpoint=number) for number in range(300)])
    url_map.update()
    start = threading.Barrier(8)
    answers: list[object] = []

    def run() -> None:
        start.wait()
        answers.append([found(url_map, f"/r{number}/{number}", "GET") for number in range(300)])

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[(number, {"a": number}) for number in range(300)]] * 8
