"""JSON by the active app's provider; by the standard library where no app is active.

Owns five functions. How JSON is written and read is the provider's business.
"""

from __future__ import annotations

import json as _json
from typing import IO, Any, AnyStr

from ..globals import current_app
from .provider import _default

__all__ = ["dump", "dumps", "jsonify", "load", "loads"]


def dumps(obj: Any, **kwargs: Any) -> str:
    """Serialize `obj` to text.

    Args:
        obj: What to write.
        **kwargs: Passed to the provider's `dumps`, or to `json.dumps`.
    """
    if current_app:
        text: str = current_app.json.dumps(obj, **kwargs)
        return text
    kwargs.setdefault("default", _default)
    return _json.dumps(obj, **kwargs)


def dump(obj: Any, fp: IO[str], **kwargs: Any) -> None:
    """Serialize `obj` to a text file.

    Args:
        obj: What to write.
        fp: A file opened for text in UTF-8.
        **kwargs: Passed to the provider's `dump`, or to `json.dump`.
    """
    if current_app:
        current_app.json.dump(obj, fp, **kwargs)
    else:
        kwargs.setdefault("default", _default)
        _json.dump(obj, fp, **kwargs)


def loads(s: str | bytes, **kwargs: Any) -> Any:
    """Read JSON from text or UTF-8 bytes.

    Args:
        s: The text.
        **kwargs: Passed to the provider's `loads`, or to `json.loads`.
    """
    if current_app:
        return current_app.json.loads(s, **kwargs)
    return _json.loads(s, **kwargs)


def load(fp: IO[AnyStr], **kwargs: Any) -> Any:
    """Read JSON from a file of text or UTF-8 bytes.

    Args:
        fp: The open file.
        **kwargs: Passed to the provider's `load`, or to `json.load`.
    """
    if current_app:
        return current_app.json.load(fp, **kwargs)
    return _json.load(fp, **kwargs)


def jsonify(*args: Any, **kwargs: Any) -> Any:
    """Make a JSON response.

    One argument is serialized as it is, several as a list, keyword arguments as an object, none as null.

    Returns:
        An instance of the app's `response_class`.

    Raises:
        RuntimeError: No app is active.
        TypeError: Both positional and keyword arguments, or something that the provider cannot write.
    """
    return current_app.json.response(*args, **kwargs)
