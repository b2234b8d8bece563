"""The Content-Security-Policy field: a dict of directives, with an attribute for each known one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .callback_dict import CallbackDict

__all__ = ["ContentSecurityPolicy", "dump_csp_header", "parse_csp_header"]

# CSP 3, 2.3: directive-name = 1*( ALPHA / DIGIT / "-" ); in a value every character of ASCII but ";", ","
# and the control characters. The comma is let through: what stands behind it is one more policy, and that
# can only forbid more.
_NAME_RE = re.compile(r"[A-Za-z0-9-]+")
_VALUE_RE = re.compile(r"[\t \x21-\x3a\x3c-\x7e]*")


class _Directive:
    def __init__(self, name: str) -> None:
        self.name = name
        self.__doc__ = f"The directive `{name}`; None if it is missing."

    def __get__(self, instance: ContentSecurityPolicy | None, owner: type) -> Any:
        return self if instance is None else instance.get(self.name)

    def __set__(self, instance: ContentSecurityPolicy, value: str | None) -> None:
        if value is None:
            instance.pop(self.name, None)
        else:
            instance[self.name] = value

    def __delete__(self, instance: ContentSecurityPolicy) -> None:
        instance.pop(self.name, None)


class ContentSecurityPolicy(CallbackDict[str, str]):
    """The directives of a policy; one without a value has the value `""`.

    Args:
        values: A mapping or pairs.
        on_update: Called with the policy after each change.
    """

    base_uri = _Directive("base-uri")
    child_src = _Directive("child-src")
    connect_src = _Directive("connect-src")
    default_src = _Directive("default-src")
    font_src = _Directive("font-src")
    form_action = _Directive("form-action")
    frame_ancestors = _Directive("frame-ancestors")
    frame_src = _Directive("frame-src")
    img_src = _Directive("img-src")
    manifest_src = _Directive("manifest-src")
    media_src = _Directive("media-src")
    navigate_to = _Directive("navigate-to")
    object_src = _Directive("object-src")
    plugin_types = _Directive("plugin-types")
    prefetch_src = _Directive("prefetch-src")
    report_to = _Directive("report-to")
    report_uri = _Directive("report-uri")
    sandbox = _Directive("sandbox")
    script_src = _Directive("script-src")
    script_src_attr = _Directive("script-src-attr")
    script_src_elem = _Directive("script-src-elem")
    style_src = _Directive("style-src")
    style_src_attr = _Directive("style-src-attr")
    style_src_elem = _Directive("style-src-elem")
    worker_src = _Directive("worker-src")

    def __init__(self, values: Any = (), on_update: Callable[[Any], None] | None = None) -> None:
        super().__init__(values, on_update)

    def to_header(self) -> str:
        """Return the header's value.

        Raises:
            ValueError: A name or value that would start another directive, or cannot be sent.
        """
        return dump_csp_header(self)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        directives = " ".join([f"{name}={value!r}" for name, value in sorted(self.items())])
        return f"<{type(self).__name__} {directives}>"


def dump_csp_header(header: ContentSecurityPolicy) -> str:
    """Return the value of a Content-Security-Policy field; raises as `ContentSecurityPolicy.to_header`."""
    parts = []
    for name, value in header.items():
        if _NAME_RE.fullmatch(name) is None:
            raise ValueError(f"invalid directive of a Content-Security-Policy; expected a name; got {name[:100]!r}")
        if not isinstance(value, str) or _VALUE_RE.fullmatch(value) is None:
            raise ValueError(
                f"invalid value of the directive {name!r} of a Content-Security-Policy; expected ASCII text"
                f" without ';' and control characters; got {str(value)[:100]!r}"
            )
        parts.append(f"{name} {value}" if value else name)
    return "; ".join(parts)


def parse_csp_header(
    value: str | None, on_update: Callable[[Any], None] | None = None, cls: type[Any] | None = None
) -> Any:
    """Read a Content-Security-Policy field (CSP 3, 2.2.1): of a repeated directive the first counts.

    Args:
        value: The field; None is an empty one.
        on_update: Called with the result after each change.
        cls: The class to make, `ContentSecurityPolicy` if None.
    """
    directives: dict[str, str] = {}
    for piece in (value or "").split(";"):
        name, _, text = piece.strip(" \t").partition(" ")
        if name:
            directives.setdefault(name.lower(), text.strip(" \t"))
    return (ContentSecurityPolicy if cls is None else cls)(directives, on_update)
