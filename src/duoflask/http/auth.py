"""Credentials and challenges (RFC 9110 11): `Authorization` to read, `WWWAuthenticate` to write.

Splits a field into scheme and parameters or token; whether they are right is the application's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from ..lazy import LazyModule
from .callback_dict import CallbackDict
from .options import dump_header, parse_dict_header, quote_header_value

if TYPE_CHECKING:
    import base64
else:
    base64 = LazyModule("base64")

__all__ = ["Authorization", "WWWAuthenticate"]

# RFC 9110 11.5 wants realm quoted, RFC 7616 3.3 the others.
_QUOTED_PARAMETERS = frozenset({"realm", "domain", "nonce", "opaque", "qop"})


def _split_scheme(value: str) -> tuple[str, str]:
    scheme, _, rest = value.partition(" ")
    return scheme.lower(), rest.strip(" \t")


def _split_rest(rest: str) -> tuple[dict[str, str | None], str | None]:
    """Return parameters or a token68 (RFC 9110 11.2), in which `=` stands at the end only."""
    if "=" in rest.rstrip("="):
        return parse_dict_header(rest), None
    return {}, rest


class Authorization:
    """The credentials of a request. A parameter is an attribute and an item; None if it is missing.

    Args:
        auth_type: The scheme: `basic`, `digest`, `bearer`, ...
        data: The parameters; for `basic` they are `username` and `password`.
        token: What other schemes have instead of parameters.
    """

    def __init__(self, auth_type: str, data: Mapping[str, str | None] | None = None, token: str | None = None) -> None:
        self.type = auth_type
        self.parameters: dict[str, str | None] = dict(data or {})
        self.token = token

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "parameters":  # asked for while a copy is made
            raise AttributeError(name)
        return self.parameters.get(name)

    def __getitem__(self, name: str) -> str | None:
        return self.parameters.get(name)

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return a parameter."""
        return self.parameters.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self.parameters

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Authorization):
            return NotImplemented
        return (self.type, self.token, self.parameters) == (other.type, other.token, other.parameters)

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_header(cls, value: str | None) -> Self | None:
        """Read an Authorization field.

        Returns:
            None if it is missing, or of the scheme `basic` and not base64 of UTF-8 (RFC 7617). Nothing a peer
            sends makes this raise.
        """
        if not value:
            return None
        scheme, rest = _split_scheme(value)
        if scheme == "basic":
            try:
                username, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
            except ValueError:  # also what base64 and UTF-8 raise
                return None
            return cls(scheme, {"username": username, "password": password})
        return cls(scheme, *_split_rest(rest))

    def to_header(self) -> str:
        """Return the field's value.

        Raises:
            ValueError: A username of the scheme `basic` holds a colon (RFC 7617 2).
        """
        if self.type == "basic":
            username, password = self.username or "", self.password or ""
            if ":" in username:
                raise ValueError(f"invalid username for Basic authentication; expected no ':'; got {username!r}")
            return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
        rest = dump_header(self.parameters) if self.token is None else self.token
        return f"{self.type.title()} {rest}"

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.type.title()}>"  # no credentials: it may reach a log


class WWWAuthenticate:
    """A challenge. A parameter is an attribute and an item; setting one to None removes it.

    Args:
        auth_type: The scheme: `basic`, `digest`, `bearer`, ...
        values: The parameters, such as `realm`.
        token: What other schemes have instead of parameters.
    """

    type: str
    token: str | None
    parameters: CallbackDict[str, str | None]
    """The parameters; a change calls `on_update`."""
    on_update: Callable[[Any], None] | None
    """Called with the challenge after each change."""

    def __init__(
        self, auth_type: str, values: Mapping[str, str | None] | None = None, token: str | None = None
    ) -> None:
        attributes = self.__dict__
        attributes["on_update"] = None
        attributes["type"] = auth_type.lower()
        attributes["token"] = token
        attributes["parameters"] = CallbackDict(values, self._changed)

    def __reduce__(self) -> Any:
        return type(self), (self.type, dict(self.parameters), self.token)  # a copy tells nobody

    def _changed(self, _: Any = None) -> None:
        if self.on_update is not None:
            self.on_update(self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "on_update":
            self.__dict__[name] = value
            return
        if name == "parameters":
            self.__dict__[name] = CallbackDict(value, self._changed)
        elif name == "type":
            self.__dict__[name] = value.lower()
        elif name == "token":
            self.__dict__[name] = value
        else:
            self[name] = value
            return
        self._changed()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.parameters.get(name)

    def __delattr__(self, name: str) -> None:
        self.parameters.pop(name, None)

    def __getitem__(self, key: str) -> str | None:
        return self.parameters.get(key)

    def __setitem__(self, key: str, value: str | None) -> None:
        if value is None:
            self.parameters.pop(key, None)
        else:
            self.parameters[key] = value

    def __delitem__(self, key: str) -> None:
        self.parameters.pop(key, None)

    def __contains__(self, key: object) -> bool:
        return key in self.parameters

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return a parameter."""
        return self.parameters.get(key, default)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WWWAuthenticate):
            return NotImplemented
        return (self.type, self.token, self.parameters) == (other.type, other.token, other.parameters)

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_header(cls, value: str | None) -> Self | None:
        """Read a WWW-Authenticate field with one challenge; None if it is missing."""
        if not value:
            return None
        scheme, rest = _split_scheme(value)
        return cls(scheme, *_split_rest(rest))

    def to_header(self) -> str:
        """Return the field's value."""
        scheme = self.type.title()
        if self.token is not None:
            return f"{scheme} {self.token}".rstrip(" ")
        parts = [
            name if value is None else f"{name}={quote_header_value(value, name not in _QUOTED_PARAMETERS)}"
            for name, value in self.parameters.items()
        ]
        return f"{scheme} {', '.join(parts)}".rstrip(" ")

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.to_header()}>"
