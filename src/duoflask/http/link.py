"""Links to other resources: the `Link` field (RFC 8288), as preloads and early hints use it (RFC 8297)."""

from __future__ import annotations

import re
from typing import Any

from .grammar import TOKEN_RE, check_field_value
from .options import quote_header_value
from .uri import iri_to_uri

__all__ = ["Link", "link_value"]

_CONTROL_RE = re.compile(r"[\x00-\x1f\x7f]")

# What a browser has to know of a preload, by the end of its path (HTML, "potential destination").
_DESTINATIONS = {
    "css": "style",
    "js": "script",
    "mjs": "script",
    "woff": "font",
    "woff2": "font",
    "ttf": "font",
    "otf": "font",
    "png": "image",
    "jpg": "image",
    "jpeg": "image",
    "gif": "image",
    "svg": "image",
    "webp": "image",
    "avif": "image",
    "ico": "image",
    "vtt": "track",
}


class Link:
    """One link.

    Args:
        url: Where it leads, such as what `url_for` returns; other characters than a URL's are percent-encoded.
        rel: Its relation, such as `preload` or `preconnect`.
        as_: What a preload is (`style`, `script`, `font`, ...); by default guessed from the end of the path.
        crossorigin: Its credentials mode, or True for `anonymous`; by default set for fonts, as browsers want it.
        parameters: More parameters; an underscore stands for a hyphen.

    Raises:
        ValueError: A control character, or a parameter's name that is none.
    """

    __slots__ = ("parameters", "url")

    def __init__(
        self,
        url: str,
        rel: str = "preload",
        *,
        as_: str | None = None,
        crossorigin: bool | str | None = None,
        **parameters: Any,
    ) -> None:
        if _CONTROL_RE.search(url) is not None:  # `iri_to_uri` leaves them out
            raise ValueError(f"invalid URL of a link; expected no control characters; got {url!r}")
        self.url = check_field_value(iri_to_uri(url).replace("<", "%3C").replace(">", "%3E"))
        if as_ is None and rel == "preload":
            path = url.partition("?")[0].partition("#")[0]
            as_ = _DESTINATIONS.get(path.rpartition("/")[2].rpartition(".")[2].lower())
        if crossorigin is None:
            crossorigin = as_ == "font"
        self.parameters: dict[str, Any] = {"rel": rel, "as": as_, "crossorigin": crossorigin}
        for name, value in parameters.items():
            parameter = name.strip("_").replace("_", "-")
            if TOKEN_RE.fullmatch(parameter) is None:
                raise ValueError(f"invalid name of a link's parameter; expected a token; got {name!r}")
            self.parameters[parameter] = value
        self.to_header()  # a value that is none is an error here, not where it is sent

    def to_header(self) -> str:
        """Return it as a value of `Link`."""
        parts = [f"<{self.url}>"]
        for name, value in self.parameters.items():
            if value is None or value is False:
                continue
            parts.append(name if value is True else f"{name}={quote_header_value(value)}")
        return check_field_value("; ".join(parts))

    __str__ = to_header

    def __repr__(self) -> str:
        return f"Link({self.to_header()!r})"


def link_value(link: Any) -> str:
    """Return a value of `Link`: of a `Link`, of a URL, or the value itself, which begins with `<`.

    Raises:
        TypeError: Something else.
        ValueError: A control character.
    """
    if isinstance(link, Link):
        return link.to_header()
    if not isinstance(link, str) or not link:
        raise TypeError(
            f"invalid link; expected a URL, a value such as '</a.css>; rel=preload', or a Link; got {link!r}"
        )
    return check_field_value(link) if link[0] == "<" else Link(link).to_header()
