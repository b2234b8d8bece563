"""The cookies that a test client keeps between requests (RFC 6265 5).

Owns the stored cookie and the jar. Secure, HttpOnly and SameSite are kept for inspection and not applied,
as in Werkzeug.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ..http.cookies import dump_cookie, parse_cookie_pairs
from ..http.dates import parse_date

__all__ = ["Cookie", "CookieJar"]


@dataclasses.dataclass
class Cookie:
    """A stored cookie."""

    key: str
    """The name."""
    value: str
    """The value as it is sent."""
    decoded_key: str
    """The name as the app sees it."""
    decoded_value: str
    """The value as the app sees it."""
    expires: datetime | None
    max_age: int | None
    domain: str
    """Where the cookie applies; the request's host if the app did not say."""
    origin_only: bool
    """Whether only exactly this domain gets the cookie: it was set without one."""
    path: str
    secure: bool
    http_only: bool
    same_site: str | None
    partitioned: bool = False

    @classmethod
    def parse(cls, header: str, host: str, path: str) -> Cookie | None:
        """Read a Set-Cookie field; None where there is no name.

        Args:
            header: The field's value.
            host: The host that sent it, without port.
            path: The path of the request.
        """
        pair, *attributes = header.split(";")
        key, _, value = pair.partition("=")
        decoded = parse_cookie_pairs(pair)
        if not decoded:
            return None
        given: dict[str, str] = {}
        for item in attributes:
            name, _, text = item.partition("=")
            given[name.strip().lower()] = text.strip()
        age = given.get("max-age", "")
        return cls(
            key=key.strip(),
            value=value.strip(),
            decoded_key=decoded[0][0],
            decoded_value=decoded[0][1],
            expires=parse_date(given.get("expires")),
            max_age=int(age) if age.removeprefix("-").isdecimal() and age.isascii() else None,
            domain=given.get("domain", "").lstrip(".").lower() or host,
            origin_only=not given.get("domain"),
            path=given.get("path") or path.rpartition("/")[0] or "/",
            secure="secure" in given,
            http_only="httponly" in given,
            same_site=given.get("samesite"),
            partitioned="partitioned" in given,
        )

    @property
    def storage_key(self) -> tuple[str, str, str]:
        """What makes two cookies the same one."""
        return self.domain, self.path, self.decoded_key

    @property
    def is_expired(self) -> bool:
        """Whether the app asked to forget the cookie."""
        if self.max_age is not None:
            return self.max_age <= 0
        return self.expires is not None and self.expires.timestamp() <= 0

    def matches(self, host: str, path: str) -> bool:
        """Return whether the cookie is sent with a request (RFC 6265 5.1.3, 5.1.4)."""
        if host != self.domain and (self.origin_only or not host.endswith("." + self.domain)):
            return False
        if path == self.path or self.path == "/":
            return True
        return path.startswith(self.path if self.path.endswith("/") else self.path + "/")


class CookieJar:
    """Cookies by domain, path and name."""

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str, str], Cookie] = {}

    def get(self, key: str, domain: str, path: str) -> Cookie | None:
        """Return a stored cookie."""
        return self._cookies.get((domain, path, key))

    def set(self, key: str, value: str, *, domain: str, origin_only: bool, path: str, **kwargs: Any) -> None:
        """Store a cookie as if an app had set it; keyword arguments as for `dump_cookie`."""
        cookie = Cookie.parse(dump_cookie(key, value, domain=domain, path=path, **kwargs), domain, "/")
        assert cookie is not None  # dump_cookie has refused what has no name
        cookie.origin_only = origin_only
        self.store(cookie)

    def delete(self, key: str, domain: str, path: str) -> None:
        """Forget a cookie."""
        self._cookies.pop((domain, path, key), None)

    def store(self, cookie: Cookie) -> None:
        """Keep a cookie, or forget it if the app asked for that."""
        if cookie.is_expired:
            self._cookies.pop(cookie.storage_key, None)
        else:
            self._cookies[cookie.storage_key] = cookie

    def update(self, headers: Iterable[str], host: str, path: str) -> None:
        """Store what the Set-Cookie fields of a response ask for."""
        for header in headers:
            cookie = Cookie.parse(header, host, path)
            if cookie is not None:
                self.store(cookie)

    def header(self, host: str, path: str, explicit: str | None = None) -> str:
        """Return the Cookie field for a request; empty if there are none.

        Args:
            host: The request's host, without port.
            path: The request's path.
            explicit: A Cookie field that the test gave; its cookies win over stored ones of the same name.
        """
        named = {key for key, _ in parse_cookie_pairs(explicit)}
        pairs = [explicit] if explicit else []
        for cookie in self._cookies.values():
            if cookie.decoded_key not in named and cookie.matches(host, path):
                pairs.append(f"{cookie.key}={cookie.value}")
        return "; ".join(pairs)
