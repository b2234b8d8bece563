"""What is printed of a scan: a diff or the changed files, what is to be looked at, and a summary."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from .project import Result, Scan

__all__ = ["lines", "needs_person"]


def needs_person(scan: Scan) -> int:
    """Count the places that somebody must look at."""
    return sum(finding.person for result in scan.results for finding in result.findings)


def lines(scan: Scan, written: set[Path] | None) -> Iterator[str]:
    """Return the report; `written` are the files that have been changed, None if none was to be."""
    changed = [result for result in scan.results if result.changes]
    for result in changed:
        if written is None:
            yield from _diff(result)
        elif result.path in written:
            yield f"changed {result.path}"
    for title, person in (("Needs a person:", True), ("To know:", False)):
        found = [
            f"{result.path}:{finding.line}: {finding.text}"
            for result in scan.results
            for finding in result.findings
            if finding.person is person
        ]
        if found:
            yield from ["", title, *found]
    if scan.skipped:
        yield from ["", f"Not looked into: {', '.join(map(str, scan.skipped))}"]
    count, number = len(scan.results), len(changed) if written is None else len(written)
    what = "would be changed; --write changes them" if written is None and number else "changed"
    yield ""
    yield f"{count} files read, {number} {what}; {needs_person(scan)} places need a person"


def _diff(result: Result) -> Iterator[str]:
    assert result.source is not None
    old, new = result.source.text.splitlines(), result.new.splitlines()
    yield from difflib.unified_diff(old, new, str(result.path), str(result.path), lineterm="")
