"""What tells a developer, in debug mode, why a field of `request.files` or a whole form is missing.

Knows a request only as something with `form`, `files` and `mimetype`.
"""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["DebugFilesKeyError", "FormDataRoutingRedirect", "UnexpectedUnicodeError", "attach_enctype_error_multidict"]


class UnexpectedUnicodeError(AssertionError, UnicodeError):
    """Text where bytes were expected: a name of Flask's, which raises it no more either."""


class DebugFilesKeyError(KeyError, AssertionError):
    """A file was asked for, and its name was sent as text, in a form that carries no files."""

    def __init__(self, mimetype: str, key: str, sent: list[str]) -> None:
        super().__init__(key)
        names = ", ".join(repr(name) for name in sent)
        self.msg = (
            f"the request has no file {key!r}: its body is {mimetype!r}, and so no file contents were transmitted; the "
            f"browser has sent only the field's text. This was submitted: {names}. "
            'Write <form method="post" enctype="multipart/form-data">.'
        )

    def __str__(self) -> str:
        return self.msg


class FormDataRoutingRedirect(AssertionError):
    """A form was sent to a URL that only redirects, by a code with which a browser repeats the request as GET."""

    def __init__(self, method: str, url: str, canonical: str) -> None:
        super().__init__(
            f"a {method} request to {url!r} is redirected to the canonical URL {canonical!r}, and a browser would "
            "repeat it as GET without its form; send it to the canonical URL at once"
        )


def attach_enctype_error_multidict(request: Any) -> None:
    """Have the `files` of a request raise `DebugFilesKeyError` for the name of a text field."""
    files = request.files
    storage: Any = type(files)
    files.__class__ = _explaining(storage)
    files._form, files._mimetype = request.form, request.mimetype


@functools.cache
def _explaining(storage: type[Any]) -> type[Any]:
    class Files(storage):  # type: ignore[misc, unused-ignore]
        def __getitem__(self, key: Any) -> Any:
            try:
                return super().__getitem__(key)
            except KeyError:
                form = self._form
                if key not in form:
                    raise
                sent = form.getlist(key) if hasattr(form, "getlist") else [form[key]]
                raise DebugFilesKeyError(self._mimetype, key, sent) from None

    Files.__name__ = storage.__name__
    Files.__qualname__ = storage.__qualname__
    Files.__module__ = storage.__module__
    return Files
