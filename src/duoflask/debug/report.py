"""A failed request as data, and that data as text and as JSON.

Owns the order of its parts. The page is `page.py`'s.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from ..ctx import AppContext
from .facts import Planned, Section, context_sections, plan_of, request_section, target_of
from .frames import Failure, Frame, failure_of
from .masking import Masker

__all__ = ["RELATIONS", "Report", "build_report", "dump_json", "dump_text"]

RELATIONS: Final = {
    "": "",
    "cause": "Caused by",
    "context": "Raised while this was being handled",
    "member": "In the group",
}


@dataclass(slots=True)
class Report:
    """What is told about a failed request."""

    failure: Failure
    target: str = ""
    sections: list[Section] = field(default_factory=list)
    plan: list[Planned] = field(default_factory=list)
    heading: str = ""
    """What was going on, if it was no request: "The application cannot be loaded"."""


def build_report(exc: BaseException, source: Any = None, ctx: AppContext | None = None, heading: str = "") -> Report:
    """Collect what is told about an exception.

    Args:
        exc: The exception.
        source: The environ, or the http scope, of the request.
        ctx: The request's context, as it was when the exception was raised.
        heading: What was going on, if it was no request.
    """
    masker = Masker()
    _collect(exc, source, ctx, masker)  # learns the secrets: one that a later frame names may stand in the message
    masker.start_over()
    failure, sections = _collect(exc, source, ctx, masker)
    plan: list[Planned] = []
    if ctx is not None and ctx.plan is not None:
        plan = plan_of(ctx.plan, "asgi" if source is not None and "type" in source else "wsgi", failure)
    target = "" if source is None else masker.clean(target_of(source)[:500])
    if "?" in target:  # its query stands in the table, masked by name
        target = target.partition("?")[0]
    return Report(failure, target, sections, plan, heading)


def _collect(exc: BaseException, source: Any, ctx: AppContext | None, masker: Masker) -> tuple[Failure, list[Section]]:
    sections = [] if source is None else [request_section(source, masker)]
    if ctx is not None:
        sections += context_sections(ctx, masker)
    return failure_of(exc, masker), sections


def dump_text(report: Report) -> str:
    """The report as plain text: what the button of the page copies, and what curl gets."""
    lines = [report.heading or f"{report.target} failed".strip(), ""]
    _failure_text(report.failure, lines, "")
    if report.plan:
        lines += ["", "Plan"]
        lines += [f"  {step.stage}: {step.name} ({step.place}) {step.state}".rstrip() for step in report.plan]
    for section in report.sections:
        lines += ["", section.title]
        lines += [f"  {name}: {value}".rstrip(": ") for name, value in section.rows] or [f"  {section.empty}"]
    return "\n".join(lines) + "\n"


def _failure_text(failure: Failure, lines: list[str], indent: str) -> None:
    if failure.frames:
        lines.append(f"{indent}Traceback (most recent call last):")
    for frame in failure.frames:
        if frame.left_out:
            lines.append(f"{indent}  ... {frame.left_out} frames are left out ...")
        lines.append(f'{indent}  File "{frame.file}", line {frame.line}, in {frame.function}')
        source = next((item.text for item in frame.source if item.number == frame.line), "").strip()
        if source:
            lines.append(f"{indent}    {source}")
        if frame.is_app:
            lines += [f"{indent}      {name} = {value}" for name, value in frame.locals]
    lines.append(indent + failure.title)
    lines += [indent + note for note in failure.notes]
    for child in failure.children:
        lines += ["", f"{indent}{RELATIONS[child.relation]}:"]
        _failure_text(child, lines, indent + "  ")


def dump_json(report: Report) -> str:
    """The report as JSON, for a client of an API."""
    return json.dumps(
        {
            "error": report.failure.title,
            "heading": report.heading or f"{report.target} failed".strip(),
            "exception": _failure_json(report.failure),
            "plan": [
                {"stage": step.stage, "function": step.name, "runs": step.place, "state": step.state}
                for step in report.plan
            ],
            "sections": {section.title: dict(section.rows) for section in report.sections},
        },
        indent=2,
    )


def _failure_json(failure: Failure) -> dict[str, Any]:
    return {
        "type": failure.kind,
        "message": failure.message,
        "relation": failure.relation,
        "notes": failure.notes,
        "frames": [_frame_json(frame) for frame in failure.frames],
        "related": [_failure_json(child) for child in failure.children],
    }


def _frame_json(frame: Frame) -> dict[str, Any]:
    source = next((item.text for item in frame.source if item.number == frame.line), "")
    shown: dict[str, Any] = {"file": frame.file, "line": frame.line, "function": frame.function, "source": source}
    if frame.is_app:
        shown["locals"] = dict(frame.locals)
    return shown
