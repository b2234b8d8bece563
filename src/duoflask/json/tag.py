"""Tagged JSON: Flask's lossless form of tuples, bytes, markup, UUIDs and datetimes, by which sessions are kept.

Owns the tags and the serializer. What is left to plain JSON is written and read as `duoflask.json` does, so an app's
provider counts here too. Knows no session.

Theory of operation: a value that JSON lacks becomes an object with one key, the tag (`{" t": [1, 2]}` is a tuple). An
own dict that looks like one gets the tag `" di"` and `__` behind its key.
"""

from __future__ import annotations

import json as _json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..ctx import _cv_app
from ..http.dates import http_date, parse_date
from ..lazy import LazyModule
from . import dumps as _dumps, loads as _loads
from .provider import _COMPACT, DefaultJSONProvider

if TYPE_CHECKING:
    import base64
    import uuid

    import markupsafe
else:  # 8 ms of `import duoflask`
    base64 = LazyModule("base64")
    markupsafe = LazyModule("markupsafe")
    uuid = LazyModule("uuid")


__all__ = [
    "JSONTag",
    "PassDict",
    "PassList",
    "TagBytes",
    "TagDateTime",
    "TagDict",
    "TagMarkup",
    "TagTuple",
    "TagUUID",
    "TaggedJSONSerializer",
]

# What JSON has itself and no default tag asks for.
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


class JSONTag:
    """How one type is written and read.

    Args:
        serializer: The serializer that it is registered with.
    """

    __slots__ = ("serializer",)

    key: str = ""
    """The tag; an empty one writes values without it, so that nothing reads them back."""

    def __init__(self, serializer: TaggedJSONSerializer) -> None:
        self.serializer = serializer

    def check(self, value: Any) -> bool:
        """Whether a value is to be tagged by this tag."""
        raise NotImplementedError(f"{type(self).__name__} has no check(); write one")

    def to_json(self, value: Any) -> Any:
        """Convert a value to what JSON can hold; the tag is added by `tag`."""
        raise NotImplementedError(f"{type(self).__name__} has no to_json(); write one")

    def to_python(self, value: Any) -> Any:
        """Convert what stood under the tag back."""
        raise NotImplementedError(f"{type(self).__name__} has no to_python(); write one")

    def tag(self, value: Any) -> dict[str, Any]:
        """Convert a value and put it under the tag."""
        return {self.key: self.to_json(value)}


class TagDict(JSONTag):
    """A dict of one item whose key is a tag itself."""

    __slots__ = ()
    key = " di"

    def check(self, value: Any) -> bool:
        return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in self.serializer.tags

    def to_json(self, value: Any) -> Any:
        key = next(iter(value))
        return {f"{key}__": self.serializer.tag(value[key])}

    def to_python(self, value: Any) -> Any:
        key = next(iter(value))
        return {key[:-2]: value[key]}


class PassDict(JSONTag):
    """Any other dict: its values are tagged."""

    __slots__ = ()

    def check(self, value: Any) -> bool:
        return isinstance(value, dict)

    def to_json(self, value: Any) -> Any:
        tag = self.serializer.tag
        return {key: tag(item) for key, item in value.items()}

    tag = to_json


class TagTuple(JSONTag):
    """A tuple."""

    __slots__ = ()
    key = " t"

    def check(self, value: Any) -> bool:
        return isinstance(value, tuple)

    def to_json(self, value: Any) -> Any:
        return [self.serializer.tag(item) for item in value]

    def to_python(self, value: Any) -> Any:
        return tuple(value)


class PassList(JSONTag):
    """A list: its items are tagged."""

    __slots__ = ()

    def check(self, value: Any) -> bool:
        return isinstance(value, list)

    def to_json(self, value: Any) -> Any:
        return [self.serializer.tag(item) for item in value]

    tag = to_json


class TagBytes(JSONTag):
    """Bytes, as base64."""

    __slots__ = ()
    key = " b"

    def check(self, value: Any) -> bool:
        return isinstance(value, bytes)

    def to_json(self, value: Any) -> Any:
        return base64.b64encode(value).decode("ascii")

    def to_python(self, value: Any) -> Any:
        return base64.b64decode(value)


class TagMarkup(JSONTag):
    """Whatever has an `__html__` method; it comes back as `Markup`."""

    __slots__ = ()
    key = " m"

    def check(self, value: Any) -> bool:
        return callable(getattr(value, "__html__", None))

    def to_json(self, value: Any) -> Any:
        return str(value.__html__())

    def to_python(self, value: Any) -> Any:
        if not isinstance(value, str):  # the text of nested lists doubles its backslashes at each level
            raise TypeError(f"invalid markup; expected text; got {type(value).__name__}")
        return markupsafe.Markup(value)


class TagUUID(JSONTag):
    """A UUID, as 32 hexadecimal digits."""

    __slots__ = ()
    key = " u"

    def check(self, value: Any) -> bool:
        return isinstance(value, uuid.UUID)

    def to_json(self, value: Any) -> Any:
        return value.hex

    def to_python(self, value: Any) -> Any:
        return uuid.UUID(value)


class TagDateTime(JSONTag):
    """A datetime, as an HTTP date: whole seconds, in UTC."""

    __slots__ = ()
    key = " d"

    def check(self, value: Any) -> bool:
        return isinstance(value, datetime)

    def to_json(self, value: Any) -> Any:
        return http_date(value)

    def to_python(self, value: Any) -> Any:
        return parse_date(value)


class TaggedJSONSerializer:
    """Writes and reads tagged JSON; what `itsdangerous` serializers are given as their own serializer."""

    __slots__ = ("_decode", "_only_defaults", "order", "tags")

    default_tags: ClassVar[list[type[JSONTag]]] = [
        TagDict,
        PassDict,
        TagTuple,
        PassList,
        TagBytes,
        TagMarkup,
        TagUUID,
        TagDateTime,
    ]

    def __init__(self) -> None:
        self.tags: dict[str, JSONTag] = {}
        self.order: list[JSONTag] = []
        for kind in self.default_tags:
            self.register(kind)
        self._only_defaults = type(self).default_tags == _DEFAULT_TAGS and type(self).tag is TaggedJSONSerializer.tag
        self._decode: Callable[[str], Any] = _json.JSONDecoder(object_hook=self.untag).decode

    def register(self, tag_class: type[JSONTag], force: bool = False, index: int | None = None) -> None:
        """Register a tag.

        Args:
            tag_class: Its class.
            force: Replace a tag of the same key.
            index: Where in the order of checks it stands; by default last.

        Raises:
            KeyError: The key is taken.
        """
        tag = tag_class(self)
        key = tag.key
        if key:
            if not force and key in self.tags:
                raise KeyError(f"the tag {key!r} is registered already; pass force=True to replace it")
            self.tags[key] = tag
        if index is None:
            self.order.append(tag)
        else:
            self.order.insert(index, tag)
        self._only_defaults = False

    def tag(self, value: Any) -> Any:
        """Convert a value to what JSON can hold, tagged where that is needed."""
        if self._only_defaults:
            # PERF: what sessions mostly hold, without asking eight tags: a dict of three in 450 ns instead of 3,400.
            kind = type(value)
            if kind in _PLAIN:
                return value
            if kind is dict and len(value) != 1:
                tag = self.tag
                return {key: item if type(item) in _PLAIN else tag(item) for key, item in value.items()}
        for candidate in self.order:
            if candidate.check(value):
                return candidate.tag(value)
        return value

    def untag(self, value: dict[str, Any]) -> Any:
        """Convert an object back if it is a tagged value; its items have been converted."""
        if len(value) != 1:
            return value
        for key in value:
            tag = self.tags.get(key)
            if tag is not None:
                return tag.to_python(value[key])
        return value

    def dumps(self, value: Any) -> str:
        """Write a value as compact tagged JSON, by the active app's provider."""
        tagged = self.tag(value)
        ctx = _cv_app.get(None)
        if ctx is not None:
            provider = ctx.app.json
            if type(provider) is DefaultJSONProvider:
                # PERF: with the provider's kept encoder, 900 ns instead of 3,300 through json.dumps.
                kept = provider._tight
                if kept is None or kept[0] is not provider.ensure_ascii or kept[1] is not provider.sort_keys:
                    provider._tight = kept = provider._keep(_COMPACT)
                return kept[2](tagged)
        return _dumps(tagged, separators=_COMPACT)

    def loads(self, value: str) -> Any:
        """Read tagged JSON, by the active app's provider.

        Raises:
            Exception: Whatever a tag raises over what it cannot read; ValueError for what is not JSON.
        """
        ctx = _cv_app.get(None)
        if ctx is None or type(ctx.app.json) is DefaultJSONProvider:
            # Objects are converted as they are read, the inner ones first, in one pass.
            return self._decode(value if isinstance(value, str) else bytes(value).decode())
        return self._untag_scan(_loads(value))

    def _untag_scan(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self.untag({key: self._untag_scan(item) for key, item in value.items()})
        if isinstance(value, list):
            return [self._untag_scan(item) for item in value]
        return value


_DEFAULT_TAGS: Final = list(TaggedJSONSerializer.default_tags)
