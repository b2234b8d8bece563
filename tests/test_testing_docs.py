"""The examples of docs/testing.md, and the test of docs/sessions.md, run by pytest as they stand there."""

from __future__ import annotations

import re

import pytest

from .pages import Page

pytest_plugins = ["pytester"]


def write_files(pytester: pytest.Pytester, code: str) -> set[str]:
    """Write the page's files: a line `# name.py` says to which one the lines below it belong."""
    parts = re.split(r"^# (\w+\.py)$", code, flags=re.MULTILINE)[1:]
    for name, text in zip(parts[::2], parts[1::2]):
        with open(pytester.path / name, "a") as file:
            file.write(text)
    return set(parts[::2])


def test_examples_of_the_testing_page_pass(pytester: pytest.Pytester) -> None:
    assert write_files(pytester, "\n\n".join(Page("testing").indented)) == {"conftest.py", "hello.py", "test_hello.py"}
    result = pytester.runpytest_subprocess("-v", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines_random(
        [f"*{name}] PASSED*" for name in ("index?wsgi", "index?asgi", "echo_async?trio")]
    )
    result.assert_outcomes(passed=21)


def test_test_of_the_sessions_page_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_page="\n\n".join(Page("sessions").indented))
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)
