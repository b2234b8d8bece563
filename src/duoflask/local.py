"""Context-local storage on `contextvars`: `Local`, `LocalStack`, `LocalProxy`, `LocalManager`, `release_local`.

Knows no app and no request. Values are copied on write: a ContextVar's value is shared by every child task and by every
copy of a Context, so that changing it in place would change the parent's (flask PR 4682).
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, Final, Generic, TypeVar

__all__ = ["Local", "LocalManager", "LocalProxy", "LocalStack", "release_local"]

_T = TypeVar("_T")

UNBOUND_MESSAGE: Final = "object is not bound: no context is active that this proxy could stand for"


def release_local(local: Local | LocalStack[Any]) -> None:
    """Drop everything that a `Local` or `LocalStack` holds in this context."""
    local.__release_local__()


class Local:
    """A namespace whose attributes each context has for itself.

    Args:
        context_var: The ContextVar that keeps the namespace; a new one by default.
    """

    __slots__ = ("__storage",)

    def __init__(self, context_var: ContextVar[dict[str, Any]] | None = None) -> None:
        storage = ContextVar("duoflask.Local") if context_var is None else context_var
        object.__setattr__(self, "_Local__storage", storage)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self.__storage.get({}).items())

    def __call__(self, name: str, *, unbound_message: str | None = None) -> LocalProxy[Any]:
        """Make a proxy for the attribute `name`."""
        return LocalProxy(self, name, unbound_message=unbound_message)

    def __release_local__(self) -> None:
        self.__storage.set({})

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__storage.get({})[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.__storage.set({**self.__storage.get({}), name: value})

    def __delattr__(self, name: str) -> None:
        values = self.__storage.get({})
        if name not in values:
            raise AttributeError(name)
        self.__storage.set({key: value for key, value in values.items() if key != name})


class LocalStack(Generic[_T]):
    """A stack that each context has for itself.

    Args:
        context_var: The ContextVar that keeps the items; a new one by default.
    """

    __slots__ = ("_storage",)

    def __init__(self, context_var: ContextVar[list[_T]] | None = None) -> None:
        self._storage: ContextVar[list[_T]] = ContextVar("duoflask.LocalStack") if context_var is None else context_var

    def __release_local__(self) -> None:
        self._storage.set([])

    def push(self, obj: _T) -> list[_T]:
        """Put an item on top and return the whole stack."""
        stack = [*self._storage.get([]), obj]
        self._storage.set(stack)
        return stack

    def pop(self) -> _T | None:
        """Take the top item off; None when the stack is empty."""
        stack = self._storage.get([])
        if not stack:
            return None
        self._storage.set(stack[:-1])
        return stack[-1]

    @property
    def top(self) -> _T | None:
        """The top item; None when the stack is empty."""
        stack = self._storage.get([])
        return stack[-1] if stack else None

    def __call__(self, name: str | None = None, *, unbound_message: str | None = None) -> LocalProxy[Any]:
        """Make a proxy for the top item, or for its attribute `name`."""
        return LocalProxy(self, name, unbound_message=unbound_message)


def _getter(local: Any, name: str | None, unbound: Callable[[], Exception]) -> Callable[[], Any]:
    """The function that finds what a proxy stands for, anew at every access."""
    if isinstance(local, Local):
        if name is None:
            raise TypeError("a proxy of a Local needs the name of an attribute; write LocalProxy(local, 'name')")

        def of_local() -> Any:
            try:
                return getattr(local, name)
            except AttributeError:
                raise unbound() from None

        return of_local
    pick: Callable[[Any], Any] = (lambda value: value) if name is None else operator.attrgetter(name)
    if isinstance(local, LocalStack):

        def of_stack() -> Any:
            top = local.top
            if top is None:
                raise unbound()
            return pick(top)

        return of_stack
    if isinstance(local, ContextVar):

        def of_variable() -> Any:
            try:
                value = local.get()
            except LookupError:
                raise unbound() from None
            return pick(value)

        return of_variable
    if not callable(local):
        raise TypeError(
            f"cannot make a proxy of {type(local).__name__!r}; expected a Local, LocalStack, ContextVar or a function"
        )
    return lambda: pick(local())


# Looked up on the proxy itself, never on what it stands for, once the latter lacks them.
_OWN: Final = frozenset({"_get_current_object", "_LocalProxy__get", "_LocalProxy__wrapped"})


class LocalProxy(Generic[_T]):
    """A proxy: it forwards every operation to another object, which it finds anew each time.

    While there is none, only what a `LocalProxy` has itself can be looked at.

    Args:
        local: A `Local`, `LocalStack`, `ContextVar`, or a function without arguments.
        name: The attribute of the object found that is meant; required for a `Local`.
        unbound_message: What the RuntimeError says while there is nothing to forward to.
    """

    __slots__ = ("__get", "__wrapped", "__weakref__")

    def __init__(self, local: Any, name: str | None = None, *, unbound_message: str | None = None) -> None:
        message = UNBOUND_MESSAGE if unbound_message is None else unbound_message
        object.__setattr__(self, "_LocalProxy__get", _getter(local, name, lambda: RuntimeError(message)))
        object.__setattr__(self, "_LocalProxy__wrapped", local)

    def _get_current_object(self) -> _T:
        """The object that this proxy stands for right now.

        Raises:
            RuntimeError: There is none.
        """
        return object.__getattribute__(self, "_LocalProxy__get")()  # type: ignore[no-any-return]

    def __getattribute__(self, name: str) -> Any:
        if name in _OWN:
            return object.__getattribute__(self, name)
        try:
            current = object.__getattribute__(self, "_LocalProxy__get")()
        except RuntimeError:
            if name == "__class__":
                return type(self)
            if name == "__wrapped__":  # what it would be asked of, as `functools` has it
                return object.__getattribute__(self, "_LocalProxy__wrapped")
            if name in ("__dict__", "__doc__"):
                return {} if name == "__dict__" else type(self).__doc__
            raise
        return getattr(current, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._get_current_object(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._get_current_object(), name)

    def __bool__(self) -> bool:
        try:
            return bool(self._get_current_object())
        except RuntimeError:
            return False

    def __repr__(self) -> str:
        try:
            return repr(self._get_current_object())
        except RuntimeError:
            return "<LocalProxy unbound>"

    def __dir__(self) -> Iterable[str]:
        try:
            return dir(self._get_current_object())
        except RuntimeError:
            return []

    def __hash__(self) -> int:
        return hash(self._get_current_object())


def _unary(function: Callable[..., Any]) -> Callable[..., Any]:
    def forward(self: LocalProxy[Any], *args: Any, **kwargs: Any) -> Any:
        return function(self._get_current_object(), *args, **kwargs)

    return forward


def _swapped(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def forward(self: LocalProxy[Any], other: Any) -> Any:
        return function(other, self._get_current_object())

    return forward


def _in_place(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def forward(self: LocalProxy[Any], other: Any) -> Any:
        changed = function(self._get_current_object(), other)
        # Changed in place: the name goes on to mean the proxy. A new object (of an immutable) takes the proxy's place.
        return self if changed is self._get_current_object() else changed

    return forward


def _by_name(name: str) -> Callable[..., Any]:
    """Forward a special method that no built-in function or operator stands for."""

    def forward(self: LocalProxy[Any], *args: Any) -> Any:
        return getattr(self._get_current_object(), name)(*args)

    return forward


# Special methods are looked up on the type, so `__getattribute__` never sees them: each needs a method here.
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "__str__": str,
    "__bytes__": bytes,
    "__format__": format,
    "__call__": lambda current, *args, **kwargs: current(*args, **kwargs),
    "__len__": len,
    "__length_hint__": operator.length_hint,
    "__iter__": iter,
    "__next__": next,
    "__reversed__": reversed,
    "__getitem__": operator.getitem,
    "__setitem__": operator.setitem,
    "__delitem__": operator.delitem,
    "__contains__": operator.contains,
    "__complex__": complex,
    "__int__": int,
    "__float__": float,
    "__index__": operator.index,
    "__neg__": operator.neg,
    "__pos__": operator.pos,
    "__abs__": abs,
    "__invert__": operator.invert,
    "__round__": round,
    "__trunc__": math.trunc,
    "__floor__": math.floor,
    "__ceil__": math.ceil,
    "__copy__": copy.copy,
    "__deepcopy__": copy.deepcopy,
    "__instancecheck__": lambda current, instance: isinstance(instance, current),
    "__subclasscheck__": lambda current, subclass: issubclass(subclass, current),
    **{f"__{name}__": getattr(operator, name) for name in ("lt", "le", "eq", "ne", "gt", "ge")},
}
_BINARY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "divmod": divmod,
    "pow": pow,
    **{name: getattr(operator, name) for name in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod")},
    **{name: getattr(operator, name) for name in ("lshift", "rshift", "xor")},
    "and": operator.and_,
    "or": operator.or_,
}
_NAMED: Final = ("__enter__", "__exit__", "__await__", "__aiter__", "__anext__", "__aenter__", "__aexit__")

for _name, _function in _FUNCTIONS.items():
    setattr(LocalProxy, _name, _unary(_function))
for _name, _function in _BINARY.items():
    setattr(LocalProxy, f"__{_name}__", _unary(_function))
    setattr(LocalProxy, f"__r{_name}__", _swapped(_function))
    if _name != "divmod":
        setattr(LocalProxy, f"__i{_name}__", _in_place(getattr(operator, f"i{_name}")))
for _name in _NAMED:
    setattr(LocalProxy, _name, _by_name(_name))


class LocalManager:
    """Releases several locals at once.

    Kept for code that makes its own; duoflask itself needs none, because each request has a Context of its own.

    Args:
        locals: One `Local` or `LocalStack`, or several.
    """

    __slots__ = ("locals",)

    def __init__(self, locals: Iterable[Local | LocalStack[Any]] | Local | LocalStack[Any] | None = None) -> None:
        if locals is None:
            self.locals: list[Local | LocalStack[Any]] = []
        elif isinstance(locals, (Local, LocalStack)):
            self.locals = [locals]
        else:
            self.locals = list(locals)

    def cleanup(self) -> None:
        """Release every local of this manager in this context."""
        for local in self.locals:
            release_local(local)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} storages: {len(self.locals)}>"
