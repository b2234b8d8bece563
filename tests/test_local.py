"""`Local`, `LocalStack` and `LocalProxy`: Werkzeug's behaviour, and copies on write in child tasks."""

from __future__ import annotations

import asyncio
import copy
import operator
import threading
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
import werkzeug.local

import duoflask.local

LIBRARIES = [pytest.param(werkzeug.local, id="werkzeug"), pytest.param(duoflask.local, id="duoflask")]
both = pytest.mark.parametrize("local", LIBRARIES)


@both
def test_attributes_of_a_local(local):
    namespace = local.Local()
    namespace.a = 1
    namespace.b = 2
    del namespace.a
    assert dict(namespace) == {"b": 2}
    with pytest.raises(AttributeError, match="a"):
        _ = namespace.a
    with pytest.raises(AttributeError, match="a"):
        del namespace.a


@both
def test_released_local_is_empty(local):
    namespace = local.Local()
    namespace.a = 1
    local.release_local(namespace)
    assert not hasattr(namespace, "a")
    assert list(namespace) == []


@both
def test_items_of_a_stack(local):
    stack = local.LocalStack()
    assert stack.top is None
    assert stack.pop() is None
    assert stack.push(1) == [1]
    assert stack.push(2) == [1, 2]
    assert stack.top == 2
    assert [stack.pop(), stack.pop(), stack.pop()] == [2, 1, None]


@both
def test_released_stack_is_empty(local):
    stack = local.LocalStack()
    stack.push(1)
    local.release_local(stack)
    assert stack.top is None


@both
def test_context_variable_of_ones_own(local):
    variable: ContextVar[Any] = ContextVar("mine")
    namespace = local.Local(variable)
    namespace.a = 1
    assert variable.get() == {"a": 1}


@both
def test_manager_releases_all_its_locals(local):
    namespace, stack = local.Local(), local.LocalStack()
    namespace.a = 1
    stack.push(1)
    local.LocalManager([namespace, stack]).cleanup()
    assert not hasattr(namespace, "a")
    assert stack.top is None
    assert local.LocalManager([stack]).locals == [stack]
    assert local.LocalManager().locals == []


@both
def test_child_task_changes_nothing_of_its_parent(local):
    namespace, stack = local.Local(), local.LocalStack()

    async def child() -> None:
        assert namespace.a == 1
        assert stack.top == 1
        namespace.a = 2
        namespace.b = 2
        stack.push(2)
        stack.pop()
        stack.pop()

    async def parent() -> None:
        namespace.a = 1
        stack.push(1)
        await asyncio.get_running_loop().create_task(child())
        assert dict(namespace) == {"a": 1}
        assert stack.top == 1

    asyncio.run(parent())


@both
def test_deletion_in_a_copied_context_changes_nothing_of_the_original(local):
    namespace = local.Local()
    namespace.a = 1
    copy_context().run(delattr, namespace, "a")
    assert namespace.a == 1


def test_pushed_stack_that_the_caller_changes_changes_no_other_context():
    stack = duoflask.local.LocalStack()
    stack.push(1)
    copied = copy_context()
    stack.push(2)
    assert copied.run(lambda: stack.top) == 1


@both
def test_threads_have_their_own_values(local):
    namespace = local.Local()
    namespace.a = 1
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(hasattr(namespace, "a")))
    thread.start()
    thread.join()
    assert seen == [False]


class Thing:
    """What the proxies stand for."""

    name = "thing"

    def __enter__(self):
        return "entered"

    def __exit__(self, *exc):
        return True

    def __matmul__(self, other):
        return ("matmul", other)

    def __rmatmul__(self, other):
        return ("rmatmul", other)

    def __imatmul__(self, other):
        self.name = other
        return self

    def __bytes__(self):
        return b"thing"


def proxies_of(local: Any, value: Any) -> list[Any]:
    """A proxy of the value by each way to make one."""
    namespace, stack = local.Local(), local.LocalStack()
    variable: ContextVar[Any] = ContextVar("proxied")
    namespace.x = value
    stack.push(value)
    variable.set(value)
    holder = Thing()
    holder.inner = value
    return [
        namespace("x"),
        stack(),
        local.LocalProxy(namespace, "x"),
        local.LocalProxy(stack),
        local.LocalProxy(variable),
        local.LocalProxy(lambda: value),
        local.LocalProxy(lambda: holder, "inner"),
    ]


OPERATIONS: list[tuple[Any, Callable[[Any], Any]]] = [
    (3, lambda p: p + 1),
    (3, lambda p: 1 + p),
    (3, lambda p: p - 1),
    (3, lambda p: 1 - p),
    (3, lambda p: p * 2),
    (3, lambda p: 2**p),
    (3, lambda p: p**2),
    (3, lambda p: pow(p, 2, 5)),
    (7, lambda p: p // 2),
    (7, lambda p: 22 // p),
    (7, lambda p: p / 2),
    (7, lambda p: 2 / p),
    (7, lambda p: p % 4),
    (7, lambda p: 9 % p),
    (7, lambda p: divmod(p, 2)),
    (7, lambda p: divmod(20, p)),
    (7, lambda p: (p << 1, p >> 1, 1 << p, 512 >> p)),
    (7, lambda p: (p & 3, p | 8, p ^ 2, 3 & p, 8 | p, 2 ^ p)),
    (7, lambda p: (-p, +p, abs(p), ~p)),
    (7, lambda p: (int(p), float(p), complex(p), operator.index(p), [0] * p)),
    (
        7.5,
        lambda p: (
            round(p),
            __import__("math").floor(p),
            __import__("math").ceil(p),
            __import__("math").trunc(p),
        ),
    ),
    (7, lambda p: (p < 8, p <= 7, p == 7, p != 7, p > 6, p >= 8)),
    (7, lambda p: f"{p:03d}"),
    (7, lambda p: {p: 1}[7]),
    ("%s", lambda p: p % "x"),
    ([1, 2], lambda p: (len(p), list(p), p[0], 1 in p, list(reversed(p)), operator.length_hint(p))),
    ({"a": 1}, lambda p: ("a" in p, p["a"], dict(p), p.get("b"))),
    ([3, 1], lambda p: sorted(p)),
    (iter([1, 2]), lambda p: next(p)),
    (len, lambda p: p("abc")),
    (Thing, lambda p: isinstance(Thing(), p)),
    (Thing, lambda p: issubclass(Thing, p)),
    (Thing(), lambda p: isinstance(p, Thing)),
    (Thing(), lambda p: (p @ 1, 1 @ p)),
    (Thing(), lambda p: bytes(p)),
    (Thing(), lambda p: p.name),
    (Thing(), lambda p: "name" in dir(p)),
    ([], lambda p: bool(p)),
    ([1], lambda p: bool(p)),
    ("text", lambda p: (str(p), repr(p), hash(p) == hash("text"))),
    ({"a": [1]}, lambda p: (copy.copy(p), copy.deepcopy(p), type(copy.copy(p)))),
    ({"a": 1}, lambda p: type(p).__name__),
    ({"a": 1}, lambda p: p.__class__.__name__),
]


@pytest.mark.parametrize(("value", "operation"), OPERATIONS)
def test_operation_on_a_proxy_is_that_on_its_object(value, operation):
    fresh = not hasattr(value, "__next__")
    expected = operation(werkzeug.local.LocalProxy(lambda: value)) if fresh else 1
    for proxy in proxies_of(duoflask.local, value) if fresh else [duoflask.local.LocalProxy(lambda: value)]:
        assert operation(proxy) == expected


@both
@pytest.mark.parametrize(
    ("value", "change", "result"),
    [
        ([1], lambda p: operator.iadd(p, [2]), [1, 2]),
        ({1}, lambda p: operator.ior(p, {2}), {1, 2}),
        ({1, 2}, lambda p: operator.iand(p, {2}), {2}),
        ([1], lambda p: operator.imul(p, 2), [1, 1]),
    ],
)
def test_change_in_place_goes_to_the_object_and_leaves_the_proxy(local, value, change, result):
    value = copy.copy(value)
    proxy = local.LocalProxy(lambda: value)
    assert type(change(proxy)) is type(proxy)
    assert value == result


@both
def test_change_in_place_of_a_user_class(local):
    thing = Thing()
    proxy = local.LocalProxy(lambda: thing)
    proxy @= "changed"
    assert thing.name == "changed"


@both
def test_attributes_and_items_are_set_and_deleted_on_the_object(local):
    thing, items = Thing(), {"a": 1}
    proxy = local.LocalProxy(lambda: thing)
    proxy.name = "set"
    assert thing.name == "set"
    del proxy.name
    assert thing.name == "thing"
    proxy = local.LocalProxy(lambda: items)
    proxy["b"] = 2
    del proxy["a"]
    assert items == {"b": 2}


@both
def test_proxy_as_a_context_manager(local):
    thing = Thing()
    with local.LocalProxy(lambda: thing) as entered:
        assert entered == "entered"
        raise KeyError


@both
def test_proxy_as_an_awaitable_and_async_context_manager(local):
    class Async:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return "awaited"

        async def __aenter__(self):
            return "entered"

        async def __aexit__(self, *exc):
            return None

        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration

    thing = Async()
    proxy = local.LocalProxy(lambda: thing)

    async def use() -> list[Any]:
        async with proxy as entered:
            return [await proxy, entered, [item async for item in proxy]]

    assert asyncio.run(use()) == ["awaited", "entered", []]


@both
def test_unbound_proxy(local):
    proxy = local.LocalStack()()
    assert not proxy
    assert repr(proxy) == "<LocalProxy unbound>"
    assert dir(proxy) == []
    with pytest.raises(RuntimeError, match="not bound"):
        _ = proxy.name
    with pytest.raises(RuntimeError, match="not bound"):
        proxy.name = 1
    with pytest.raises(RuntimeError, match="not bound"):
        len(proxy)
    assert isinstance(proxy, local.LocalProxy)
    assert type(proxy.__doc__) in (str, type(None))


@both
@pytest.mark.parametrize(
    "make",
    [
        lambda local, m: local.Local()("x", unbound_message=m),
        lambda local, m: local.LocalStack()(unbound_message=m),
    ],
)
def test_message_of_an_unbound_proxy(local, make):
    with pytest.raises(RuntimeError, match="^say this$"):
        make(local, "say this")._get_current_object()


@both
def test_proxy_of_a_bound_object_without_the_attribute(local):
    with pytest.raises(AttributeError, match="missing"):
        _ = local.LocalProxy(lambda: Thing()).missing


@both
def test_object_behind_a_proxy(local):
    thing = Thing()
    proxy = local.LocalProxy(lambda: thing)
    assert proxy._get_current_object() is thing


@both
def test_proxy_of_something_else_is_refused(local):
    with pytest.raises(TypeError):
        local.LocalProxy(1)


@both
def test_proxy_of_a_local_needs_a_name(local):
    with pytest.raises(TypeError):
        local.LocalProxy(local.Local())


@both
def test_proxies_compare_and_hash_as_their_objects(local):
    one, two = local.LocalProxy(lambda: 1), local.LocalProxy(lambda: 1)
    assert one == two
    assert len({one, two, 1}) == 1


def test_wrapped_is_the_objects_own_while_there_is_one() -> None:
    for local in (duoflask.local, werkzeug.local):
        variable: ContextVar[Any] = ContextVar("variable")
        proxy: Any = local.LocalProxy(variable)
        assert proxy.__wrapped__ is variable

        def wrapping() -> None: ...

        wrapping.__wrapped__ = test_wrapped_is_the_objects_own_while_there_is_one  # type: ignore[attr-defined]
        token = variable.set(wrapping)
        assert proxy.__wrapped__ is test_wrapped_is_the_objects_own_while_there_is_one
        variable.reset(token)
        variable.set(5)
        with pytest.raises(AttributeError):
            proxy.__wrapped__  # noqa: B018
