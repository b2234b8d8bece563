"""An exception as data: what was raised, its causes and groups, and their frames with source and local variables.

Owns what is read out of a traceback. Knows no request and no page.
"""

from __future__ import annotations

import linecache
import os
import site
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, Final

from .masking import Masker, one_line

__all__ = ["Failure", "Frame", "SourceLine", "failure_of", "is_app_file", "one_path"]

CONTEXT_LINES: Final = 5  # on each side of a frame's line
MAX_MESSAGE: Final = 5_000
MAX_LINE: Final = 400  # characters shown of a line of source
MAX_LOCALS: Final = 60
MAX_FRAMES: Final = 60  # of one traceback; a recursion has a thousand
MAX_ALL_FRAMES: Final = 200  # of all tracebacks; those after that show the ends of theirs
MIN_FRAMES: Final = 4
MAX_FAILURES: Final = 30  # causes and members of groups, in all

# What stands in every template's frame.
_TEMPLATE_NAMES: Final = frozenset(
    {"range", "dict", "lipsum", "cycler", "joiner", "namespace", "url_for", "get_flashed_messages", "config"}
    | {"request", "session", "g", "csrf_token"}
)
_OWN: Final = str(Path(__file__).parents[1]) + os.sep
_LIBRARIES: Final = tuple(
    {
        os.path.join(path, "")
        for path in [
            *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
            *site.getsitepackages(),
            site.getusersitepackages(),
        ]
        if path
    }
)
_PACKAGES: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


@dataclass(slots=True)
class SourceLine:
    """One line of source, and where in it the failing expression stands, as a slice."""

    number: int
    text: str
    mark: tuple[int, int] | None = None


@dataclass(slots=True)
class Frame:
    """One frame of a traceback."""

    file: str
    line: int
    function: str
    is_app: bool
    source: list[SourceLine] = field(default_factory=list)
    locals: list[tuple[str, str]] = field(default_factory=list)
    left_out: int = 0
    """How many frames were left out before this one."""
    code: CodeType | None = None


@dataclass(slots=True)
class Failure:
    """One exception.

    `relation` says what it is to the one that it stands under: "cause", "context", "member" or "".
    """

    kind: str
    message: str
    relation: str = ""
    notes: list[str] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    children: list[Failure] = field(default_factory=list)

    @property
    def title(self) -> str:
        """As the interpreter's last line."""
        return f"{self.kind}: {self.message}" if self.message else self.kind

    def walk(self) -> Iterator[Failure]:
        """Yield this failure and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


def failure_of(exc: BaseException, masker: Masker) -> Failure:
    """Read an exception, its causes, and the members of its groups.

    Args:
        exc: The exception.
        masker: Turns what is shown into text.
    """
    seen: set[int] = set()
    room = MAX_ALL_FRAMES

    def read(error: BaseException, relation: str) -> Failure:
        nonlocal room
        seen.add(id(error))
        failure = Failure(_kind(error), _message(error, masker), relation, _notes(error, masker))
        failure.frames = _frames(error.__traceback__, masker, max(MIN_FRAMES, min(MAX_FRAMES, room)))
        room -= len(failure.frames)
        syntax = _syntax_frame(error, masker)
        if syntax is not None:
            failure.frames.append(syntax)
        members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        cause = error.__cause__  # by identity: an exception may be false
        led = cause if cause is not None or error.__suppress_context__ else error.__context__
        below = [(member, "member") for member in members]
        if led is not None:
            below.append((led, "cause" if cause is not None else "context"))
        for other, what in below:
            if id(other) not in seen and len(seen) < MAX_FAILURES:
                failure.children.append(read(other, what))
        return failure

    return read(exc, "")


def _kind(exc: BaseException) -> str:
    kind = type(exc)
    module = kind.__module__
    return one_line(kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}")


def _message(exc: BaseException, masker: Masker) -> str:
    if isinstance(exc, SyntaxError) and isinstance(exc.msg, str):
        return masker.message(exc.msg, MAX_MESSAGE)
    return _text(exc, masker)


def _text(value: Any, masker: Masker) -> str:
    try:
        text = str(value)
    except (Exception, SystemExit) as error:
        text = f"<its str raised {type(error).__name__}>"
    return masker.message(text, MAX_MESSAGE)


def _notes(exc: BaseException, masker: Masker) -> list[str]:
    try:
        notes = getattr(exc, "__notes__", None)
    except Exception as error:
        return [f"<its notes raised {type(error).__name__}>"]
    return [_text(note, masker) for note in notes[:20]] if isinstance(notes, (list, tuple)) else []


def _frames(tb: TracebackType | None, masker: Masker, most: int) -> list[Frame]:
    entries: list[TracebackType] = []
    while tb is not None:
        if not _is_hidden(tb.tb_frame):
            entries.append(tb)
        tb = tb.tb_next
    left_out = max(0, len(entries) - most)
    half = most // 2
    kept = entries if not left_out else entries[:half] + entries[half - most :]
    frames: list[Frame] = []
    for number, entry in enumerate(kept):
        made = _frame(entry, masker, [item.tb_frame for item in kept[max(0, number - 8) : number]])
        made.left_out = left_out if number == half else 0
        frames.append(made)
    return frames


def _is_hidden(frame: FrameType) -> bool:
    names = frame.f_locals  # of `exec` and of a metaclass: any object with `__getitem__`
    mark = names.get("__traceback_hide__") if isinstance(names, dict) else None
    return isinstance(mark, int) and mark != 0


def _frame(tb: TracebackType, masker: Masker, before: list[FrameType]) -> Frame:
    frame, code = tb.tb_frame, tb.tb_frame.f_code
    line = tb.tb_lineno or code.co_firstlineno  # an instruction may have none
    file = one_line(code.co_filename)
    # A traceback that somebody has made may stand before the first instruction.
    positions = next(islice(code.co_positions(), max(0, tb.tb_lasti // 2), None), (None, None, None, None))
    lines = _template_source(file, before) or _source(file, frame)
    hidden = _TEMPLATE_NAMES if _is_template(frame) else frozenset()
    values = [
        (masker.clean(str(name)[:200]), masker.named(name, value))
        for name, value in islice(frame.f_locals.items() if isinstance(frame.f_locals, dict) else (), MAX_LOCALS)
        if name not in hidden and not (name.startswith("__") and name.endswith("__"))
    ]
    return Frame(
        file=one_path(file),
        line=line,
        function=one_line(code.co_qualname),
        is_app=is_app_file(file),
        source=_window(lines, line, positions, masker),
        locals=values,
        code=code,
    )


def _is_template(frame: FrameType) -> bool:
    """Whether Jinja has made this frame for a line of a template."""
    return "__jinja_exception__" in frame.f_globals


def one_path(file: str) -> str:
    """A file's name relative to the working directory, where it stands below it."""
    try:
        inside = os.path.relpath(file)
    except (OSError, ValueError):
        return file
    return file if inside.startswith("..") or file.startswith("<") else inside


def is_app_file(file: str) -> bool:
    if file.startswith("<"):
        return file in ("<template>", "<string>", "<stdin>")
    path = os.path.abspath(file)
    if path.startswith(_OWN) or any(part in path for part in _PACKAGES):
        return False
    return not path.startswith(_LIBRARIES)


def _source(file: str, frame: FrameType | None) -> list[str]:
    linecache.checkcache(file)
    names = None if frame is None else frame.f_globals
    try:
        return linecache.getlines(file, names)
    except (Exception, SystemExit):  # a loader of one's own
        return []


def _template_source(file: str, before: list[FrameType]) -> list[str]:
    """The source of a Jinja template that has no file, looked for in the frames that render it."""
    if file != "<template>":
        return []
    for frame in reversed(before):
        names = frame.f_locals
        if isinstance(names.get("source"), str) and "template" in frame.f_code.co_name:
            return str(names["source"]).splitlines(keepends=True)
        template: Any = names.get("template", names.get("self"))
        loader = getattr(getattr(template, "environment", None), "loader", None)
        if loader is not None and isinstance(getattr(template, "name", None), str):
            try:
                return str(loader.get_source(template.environment, template.name)[0]).splitlines(keepends=True)
            except Exception:
                continue
    return []


def _window(lines: list[str], line: int, positions: tuple[Any, ...], masker: Masker) -> list[SourceLine]:
    first = max(1, line - CONTEXT_LINES)
    shown = []
    for number in range(first, min(len(lines), line + CONTEXT_LINES) + 1):
        raw = lines[number - 1].rstrip("\r\n")
        text = masker.clean(raw[: 2 * MAX_LINE])[:MAX_LINE]  # cut last, as a message
        mark = None
        if number == line and text == raw:
            start_line, end_line, start, end = positions
            if start_line == end_line == line and start is not None and end is not None:
                # The compiler counts bytes of UTF-8.
                encoded = raw.encode("utf-8", "replace")
                mark = (
                    len(encoded[:start].decode("utf-8", "replace")),
                    len(encoded[:end].decode("utf-8", "replace")),
                )
        shown.append(SourceLine(number, text, mark))
    return shown


def _syntax_frame(exc: BaseException, masker: Masker) -> Frame | None:
    """Where the source that an exception is about cannot be read: Python's SyntaxError, Jinja's TemplateSyntaxError."""
    positions: tuple[Any, ...] = (None, None, None, None)
    if isinstance(exc, SyntaxError):
        file, line = exc.filename, exc.lineno
        source = None
        start, end = exc.offset, exc.end_offset
        if isinstance(start, int) and start > 0:
            positions = (
                line,
                exc.end_lineno or line,
                start - 1,
                (end if isinstance(end, int) and end else start + 1) - 1,
            )
        function = "<source>"
    elif type(exc).__module__ == "jinja2.exceptions" and isinstance(getattr(exc, "lineno", None), int):
        known: Any = exc
        file, line, source = known.filename or "<template>", known.lineno, known.source
        function = str(known.name or "template")
    else:
        return None
    if not isinstance(file, str) or not isinstance(line, int):
        return None
    lines = source.splitlines(keepends=True) if isinstance(source, str) else _source(file, None)
    shown = _window(lines, line, positions, masker)
    if not lines and isinstance(exc, SyntaxError) and isinstance(exc.text, str):
        shown = [SourceLine(line, masker.clean(exc.text[:MAX_LINE].rstrip("\r\n")))]
    return Frame(one_line(one_path(file)), line, one_line(function), is_app=is_app_file(file), source=shown)
