"""Names from the network that become paths: `safe_join` for what a URL asks for, `secure_filename` for an upload.

Owns what a path's text may say. Looks at no file: whether a symbolic link leads out of a folder is seen only by who
opens it (`files`). The same text gets the same answer on every platform, so that a site that is developed on one
behaves alike on another.
"""

from __future__ import annotations

import os
import posixpath
import re
from typing import TYPE_CHECKING, Final

from ..lazy import LazyModule

if TYPE_CHECKING:
    import unicodedata
else:
    unicodedata = LazyModule("unicodedata")  # a megabyte of tables, for names that are not ASCII

__all__ = ["ascii_of", "safe_join", "secure_filename"]

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file; the console's own names; superscript digits count.
_DEVICES: Final = frozenset(
    {"AUX", "CON", "CONIN$", "CONOUT$", "NUL", "PRN"}
    | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "123456789\u00b9\u00b2\u00b3"}
)
_DRIVE_RE: Final = re.compile(r"[A-Za-z]:")
# PERF: nearly all paths; they are safe as they are, which a look at each name finds out in 1.9 us and this in 0.6.
_PLAIN_NAME: Final = r"(?!(?:aux|con|nul|prn|(?:com|lpt)[1-9])(?:[./]|\Z))(?:\.?[a-z0-9_-]++)++"
_PLAIN_RE: Final = re.compile(rf"{_PLAIN_NAME}(?:/{_PLAIN_NAME})*+", re.IGNORECASE | re.ASCII)
_UNSAFE_RE: Final = re.compile(r"[^A-Za-z0-9_.-]")


def safe_join(directory: str, *untrusted: str) -> str | None:
    r"""Join paths of a peer's to a folder; None if the result could lie outside of it or is no plain file's path.

    Refused are `..` that leads out, absolute paths, backslashes, NUL, and what Windows takes for something else: drive
    letters, UNC paths, device names with any extension or stream (`aux.txt`, `NUL::$DATA`), names that end in a dot or
    a blank.

    Args:
        directory: The folder, which is trusted.
        untrusted: Paths with `/` as separator, each relative to what stands before it.
    """
    joined = os.fspath(directory) or "."  # otherwise the first untrusted part would become the trusted one
    for path in untrusted:
        if not path:
            continue
        if _PLAIN_RE.fullmatch(path) is not None:
            joined = f"{joined}{path}" if joined[-1] == "/" else f"{joined}/{path}"
            continue
        if "\\" in path or "\0" in path or path[0] == "/" or _DRIVE_RE.match(path) is not None:
            return None
        path = posixpath.normpath(path)
        for name in path.split("/"):
            if name[-1] in ". " and name != "." or (":" in name and os.name == "nt"):  # `..` among them
                return None
            if name.partition(":")[0].partition(".")[0].rstrip().upper() in _DEVICES:
                return None
        joined = posixpath.join(joined, path)
    return joined


def ascii_of(text: str) -> str:
    """The ASCII letters in a text, those with a mark among them, compatible ones for others (NFKD).

    Character by character: `normalize` takes quadratic time to sort a long run of marks, and all marks are dropped.
    """
    if text.isascii():
        return text
    plain = "".join(char if char < "\x80" else unicodedata.normalize("NFKD", char) for char in text)
    return plain.encode("ascii", "ignore").decode("ascii")


def secure_filename(filename: str) -> str:
    """Make a plain file name of the name that an upload came with: ASCII letters, digits, `_`, `.` and `-`.

    Separators and blanks become `_`; a device name of Windows gets one in front. The result may be empty, and may be
    the name of a file that exists.
    """
    name = ascii_of(filename)
    for separator in (os.sep, os.altsep):
        if separator:
            name = name.replace(separator, " ")
    name = _UNSAFE_RE.sub("", "_".join(name.split())).strip("._")
    return f"_{name}" if name.partition(".")[0].upper() in _DEVICES else name
