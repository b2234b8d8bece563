"""`guess_type`, held against the standard library's."""

import mimetypes

import pytest
from hypothesis import given, strategies as st

from duoflask.http import mimes
from duoflask.http.mimes import guess_type

NAMES = [
    "a.txt",
    "a.css",
    "A.TXT",
    "a.tar.gz",
    "a.tgz",
    "a.svgz",
    "a",
    "",
    ".txt",
    "a.",
    "a.xyzzy",
    "a.b/c",
    "a.txt.gz",
]


@pytest.mark.parametrize("name", NAMES)
def test_guess_is_that_of_the_standard_library_each_time(name):
    assert guess_type(name) == guess_type(name) == mimetypes.guess_type(name)


@given(st.text("ab.tgzcsxZ:/,;=", max_size=12))
def test_any_name_is_guessed_as_the_standard_library_does(name):
    assert guess_type(name) == guess_type(name) == mimetypes.guess_type(name)


def test_type_that_is_added_later_is_noticed():
    assert guess_type("a.duoflask-test")[0] is None
    mimetypes.add_type("application/x-duoflask", ".duoflask-test")
    try:
        assert guess_type("a.duoflask-test")[0] == "application/x-duoflask"
        mimetypes.add_type("application/x-other", ".duoflask-test")
        assert guess_type("a.duoflask-test")[0] == "application/x-other"
        assert guess_type("a.duoflask-test.gz") == ("application/x-other", "gzip")
    finally:
        del mimetypes.types_map[".duoflask-test"]
    assert guess_type("a.duoflask-test")[0] is None
    assert guess_type("a.duoflask-test.gz") == (None, "gzip")


def test_no_more_guesses_are_kept_than_the_bound():
    for number in range(mimes._MAX_KEPT + 10):
        guess_type(f"{number}.txt")
    assert len(mimes._kept) <= mimes._MAX_KEPT
