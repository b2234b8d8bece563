"""The error page: a report as one HTML document, which loads nothing and runs one script of its own.

Owns the HTML. Everything in it is escaped; its policy (CSP) lets nothing but its own style and script act.
"""

from __future__ import annotations

import functools
import secrets
from itertools import groupby
from pathlib import Path
from typing import Final

from markupsafe import Markup, escape

from .facts import Planned, Section
from .frames import Failure, Frame, SourceLine
from .report import RELATIONS, Report, dump_text

__all__ = ["dump_page", "policy"]

_FOLDER: Final = Path(__file__).parent / "static"


@functools.cache
def asset(name: str) -> str:
    """A file beside this module."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def policy(nonce: str) -> str:
    """The Content-Security-Policy of a page; the script that reloads it may ask its own server."""
    return (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def dump_page(report: Report) -> tuple[str, str]:
    """Return the page and the nonce that its policy needs."""
    nonce = secrets.token_urlsafe(16)
    failure = report.failure
    where = report.heading or report.target
    parts = [
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n",
        '<meta name=viewport content="width=device-width, initial-scale=1">\n',
        Markup("<title>{}</title>\n").format(failure.title[:200]),
        f'<style nonce="{nonce}">\n{asset("page.css")}</style>\n</head>\n<body>\n',
        Markup("<header>\n<p class=where>{}</p>\n<h1>{}</h1>\n<p class=message>{}</p>\n").format(
            where, failure.kind, failure.message
        ),
        _notes(failure),
        "<p class=actions><button id=copy type=button>Copy as text</button>",
        "<button id=unfold type=button>Unfold all</button></p>\n</header>\n<main>\n",
        _failure(failure),
        _plan(report.plan),
        *[_section(section) for section in report.sections],
        Markup("<details><summary>As text</summary><pre id=text>{}</pre></details>\n").format(dump_text(report)),
        "</main>\n<footer>duoflask shows this page in debug mode only.</footer>\n",
        f'<script nonce="{nonce}">\n{asset("page.js")}</script>\n</body>\n</html>\n',
    ]
    return "".join(parts), nonce


def _notes(failure: Failure) -> str:
    return "".join([Markup("<p class=note>{}</p>\n").format(note) for note in failure.notes])


def _failure(failure: Failure) -> str:
    """The frames of an exception, the latest first, runs of library frames folded, and below it what led to it."""
    parts: list[str] = []
    if failure.relation:
        parts.append(
            Markup("<h2>{}</h2>\n<p class=related><b>{}</b> {}</p>\n").format(
                RELATIONS[failure.relation], failure.kind, failure.message
            )
        )
        parts.append(_notes(failure))
    latest_first = failure.frames[::-1]
    if latest_first:
        parts.append("<p class=order>Most recent call first</p>\n")
    if not any(frame.is_app for frame in latest_first):
        parts += [_frame(frame, is_open=frame is latest_first[0]) for frame in latest_first]
    else:
        for is_app, group in groupby(latest_first, key=lambda frame: frame.is_app):
            frames = list(group)
            if is_app:
                parts += [_frame(frame, is_open=True) for frame in frames]
            else:
                inner = "".join([_frame(frame, is_open=False) for frame in frames])
                count = f"{len(frames)} library frame{'s' if len(frames) > 1 else ''}"
                parts.append(f"<details class=library><summary>{count}</summary>\n{inner}</details>\n")
    parts += [f"<section class=nested>\n{_failure(child)}</section>\n" for child in failure.children]
    return "".join(parts)


def _frame(frame: Frame, *, is_open: bool) -> str:
    left_out = f"<p class=left-out>{frame.left_out} frames are left out</p>\n" if frame.left_out else ""
    head = Markup("<span class=file>{}</span>:<span class=line>{}</span> in <b>{}</b>").format(
        frame.file, frame.line, frame.function
    )
    source = "".join([_line(item, item.number == frame.line) for item in frame.source])
    shown = f"<pre class=source>{source}</pre>\n" if source else ""
    if frame.locals:
        rows = _rows(frame.locals)
        count = len(frame.locals)
        shown += f"<details class=locals><summary>{count} local{'s' if count > 1 else ''}</summary>\n{rows}</details>\n"
    kind = "frame app" if frame.is_app else "frame"
    opened = " open" if is_open else ""
    return f'<details class="{kind}"{opened}><summary>{head}</summary>\n{shown}</details>\n{left_out}'


def _line(line: SourceLine, is_current: bool) -> str:
    text = escape(line.text)
    if line.mark is not None:
        start, end = line.mark
        text = Markup("{}<mark>{}</mark>{}").format(line.text[:start], line.text[start:end], line.text[end:])
    return f"<span class={'current' if is_current else 'around'}><i>{line.number:>5}</i> {text}\n</span>"


def _rows(rows: list[tuple[str, str]]) -> str:
    cells = [Markup("<tr><th scope=row>{}</th><td>{}</td></tr>\n").format(name, value) for name, value in rows]
    return f"<table>\n{''.join(cells)}</table>\n"


def _section(section: Section) -> str:
    body = _rows(section.rows) if section.rows else f"<p>{escape(section.empty)}</p>\n"
    name = section.title.lower().replace(" ", "-")
    return f'<details class=section id="{escape(name)}"><summary>{escape(section.title)}</summary>\n{body}</details>\n'


def _plan(steps: list[Planned]) -> str:
    if not steps:
        return ""
    cells = [
        Markup('<tr class="{}"><th scope=row>{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n').format(
            step.state.replace(" ", "-") or "unknown", step.stage, step.name, step.place, step.state
        )
        for step in steps
    ]
    head = "<tr><th>Stage</th><th>Function</th><th>Where</th><th>State</th></tr>\n"
    return (
        "<details class=section id=plan open><summary>Plan: what ran where</summary>\n"
        f"<table>\n{head}{''.join(cells)}</table>\n</details>\n"
    )
