"""`X-Forwarded-*` from trusted proxies only.

Owns the judgement whom to believe; what the fields say is `http.forwarded`'s. Knows no connection.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ..http.forwarded import fix_scope, read_forwarded, split_port
from ..typing import Scope
from .config import FORWARDED_FIELDS
from .preflight import Refused, check_host

__all__ = ["ProxyTrust"]

# Hops of X-Forwarded-For that are looked at; a chain of proxies has a handful.
MAX_HOPS = 32

_NAMES = frozenset(b"x-forwarded-" + field.encode("ascii") for field in FORWARDED_FIELDS)


class ProxyTrust:
    """Correct the scopes of requests that trusted proxies hand on.

    The client is the last address in X-Forwarded-For that is not a trusted proxy's itself. Of the other fields the last
    value counts, which the nearest proxy has written.

    Args:
        proxies: Addresses, networks, "unix" and "*"; see `ServerConfig.trusted_proxies`.
        fields: What is believed: "for", "proto", "host", "port", "prefix".

    Raises:
        ValueError: None of these.
    """

    def __init__(self, proxies: Collection[str], fields: Collection[str]) -> None:
        self._everybody = "*" in proxies
        self._unix = self._everybody or "unix" in proxies
        self._networks = tuple(_network(item) for item in proxies if item not in ("*", "unix"))
        self._count = {f"x_{field}": 1 for field in fields if field != "for"}
        self._for = "for" in fields
        self._trusts_address: Callable[[str], bool] = lru_cache(maxsize=256)(self._has_address)

    def _has_address(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)

    def _trusts(self, address: str | None) -> bool:
        if address is None:
            return self._unix
        return self._everybody or self._trusts_address(address)

    def apply(self, scope: Scope) -> Scope:
        """Return the scope as the proxy's client sees it; without the fields if they are anybody's."""
        if not any(name in _NAMES for name, _ in scope["headers"]):
            return scope
        client = scope["client"]
        if not self._trusts(None if client is None else client[0]):
            return {**scope, "headers": [field for field in scope["headers"] if field[0] not in _NAMES]}

        def get(name: str) -> str | None:
            raw = name.lower().encode("ascii")
            values = [value.decode("latin-1") for found, value in scope["headers"] if found == raw]
            return ", ".join(values) if values else None

        said = read_forwarded(get, **self._count)
        address = self._client_of(get("X-Forwarded-For")) if self._for else None
        if said.host is not None and not _is_host(said.host):
            said = said._replace(host=None)
        fixed = fix_scope(scope, said)
        fixed["client"] = client if address is None else address
        return fixed

    def _client_of(self, value: str | None) -> tuple[str, int] | None:
        """The last hop that is no trusted proxy; the first one if all are. What is no address ends the chain."""
        found: tuple[str, int] | None = None
        for item in reversed((value or "").rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            hop = _address(item.strip(" \t"))
            if hop is None:
                break
            found = hop
            if not self._trusts(hop[0]):
                break
        return found


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"invalid trusted proxy; expected an address, a network, 'unix' or '*'; got {text!r}"
        ) from None


def _is_host(text: str) -> bool:
    try:
        check_host(text.encode("latin-1", "replace"))
    except Refused:
        return False
    return True


def _address(hop: str) -> tuple[str, int] | None:
    """An address with its port, 0 if there is none: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`."""
    host, port = (hop, None) if hop.count(":") > 1 and not hop.startswith("[") else split_port(hop)
    try:
        return str(ip_address(host.removeprefix("[").removesuffix("]"))), int(port or 0)
    except ValueError:
        return None
