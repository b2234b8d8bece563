"""`safe_join` and `secure_filename`, held against Werkzeug's."""

import os
from functools import partial

import pytest
import werkzeug.security
import werkzeug.utils
from hypothesis import given, strategies as st

from duoflask.http.paths import ascii_of, safe_join, secure_filename

from ..growth import require_linear

LEADS_OUT = [
    *("..", "../x", "a/../../x", "./../x", "a/b/../../../x", "..//x", "../site/../x"),
    *("/x", "//server/share", "///x"),
]
# Werkzeug serves these on Linux, where they are names like others.
MEANS_ELSE_ON_WINDOWS = [
    *("..\\x", "a\\..\\..\\x", "\\x", "\\\\server\\share", "a\\b", "a/b\\c"),
    *("c:x", "C:/x", "z:", "c:\\x"),
    *("CON", "con.txt", "a/aux", "nul/x", "NUL:", "NUL::$DATA", "aux.txt", "aux.tar.gz", "lpt1.x", "COM9", "prn ."),
    *("com\u00b9", "CONIN$", "conout$.x", "nul .txt", "NUL:x.txt"),
    *("a.", "a ", "a./b", "a /b", "...", "x/...", "a.. "),
]


@pytest.mark.parametrize("path", [*LEADS_OUT, *MEANS_ELSE_ON_WINDOWS, "a\0b", "\0", "a.txt\0.png"])
def test_path_that_leads_out_or_means_something_else_is_refused(path):
    assert safe_join("/site", path) is None
    assert safe_join("/site", "sub", path) is None


@pytest.mark.parametrize("path", LEADS_OUT)
def test_what_leads_out_is_refused_by_werkzeug_too(path):
    assert werkzeug.security.safe_join("/site", path) is None


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("a.txt",), "/site/a.txt"),
        (("a/b/c.css",), "/site/a/b/c.css"),
        (("a", "b.txt"), "/site/a/b.txt"),
        (("",), "/site"),
        (("", "a"), "/site/a"),
        ((".",), "/site/."),
        (("a/./b",), "/site/a/b"),
        (("a/../b",), "/site/b"),
        (("a//b",), "/site/a/b"),
        (("a/",), "/site/a"),
        ((".well-known/x",), "/site/.well-known/x"),
        (("..a",), "/site/..a"),
        (("a..b",), "/site/a..b"),
        (("auxiliary.txt",), "/site/auxiliary.txt"),
        (("com10",), "/site/com10"),
        (("concert/nullable.js",), "/site/concert/nullable.js"),
        (("ä/日本.txt",), "/site/ä/日本.txt"),
        (("10:20.txt",), "/site/10:20.txt"),
        (("~root/x",), "/site/~root/x"),
        (("%2e%2e/x",), "/site/%2e%2e/x"),
        (("a b",), "/site/a b"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="a colon starts a stream there")
def test_plain_path_is_joined_as_in_werkzeug(parts, joined):
    assert safe_join("/site", *parts) == joined == werkzeug.security.safe_join("/site", *parts)


@pytest.mark.parametrize("directory", ["", ".", "/", "/site/", "rel/site"])
def test_any_directory_is_joined_as_in_werkzeug(directory):
    assert safe_join(directory, "a.txt") == werkzeug.security.safe_join(directory, "a.txt")
    assert safe_join(directory, "ä") == werkzeug.security.safe_join(directory, "ä")
    assert safe_join(directory) == werkzeug.security.safe_join(directory)


@given(st.lists(st.text("abAX.\u00e4/ ~-", max_size=12), max_size=3))
def test_result_is_that_of_werkzeug_or_none(parts):
    ours, theirs = safe_join("/site", *parts), werkzeug.security.safe_join("/site", *parts)
    if ours is None:
        assert theirs is None or any(name[-1:] in (".", " ") for part in parts for name in part.split("/"))
    else:
        assert ours == theirs


@given(st.text("./\\:ab\0 c~", max_size=14))
def test_result_is_always_below_the_directory(path):
    joined = safe_join("/site", path)
    if joined is not None:
        assert os.path.normpath(joined) == "/site" or os.path.normpath(joined).startswith("/site/")


@given(st.text(max_size=30) | st.text("aux.con/\\ _-ä\u0301\t\n", max_size=20))
def test_secure_filename_is_that_of_werkzeug_but_for_device_names(name):
    ours, theirs = secure_filename(name), werkzeug.utils.secure_filename(name)
    assert ours == theirs or (ours == f"_{theirs}" and safe_join("/site", theirs) is None)
    assert safe_join("/site", ours) is not None
    assert os.path.basename(ours) == ours


def test_secure_filename_makes_a_device_name_plain_on_every_platform():
    assert secure_filename("aux.txt") == "_aux.txt"
    assert secure_filename("NUL") == "_NUL"
    assert secure_filename("../../../etc/passwd") == "etc_passwd"
    assert secure_filename("i contain cool \xfcml\xe4uts.txt") == "i_contain_cool_umlauts.txt"
    assert secure_filename("日本") == ""


@given(st.text(max_size=30))
def test_ascii_letters_are_those_of_the_decomposed_text(text):
    assert ascii_of(text) == werkzeug.utils.unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


@pytest.mark.measures
@pytest.mark.parametrize("function", [secure_filename, lambda text: safe_join("/site", text)])
@pytest.mark.parametrize("unit", ["a", "a/", "../", "a.", "\u0301\u0316", " ", "con.", "a\u0301\u0316", ".a", "a\0"])
def test_both_are_linear(function, unit):
    require_linear(lambda size: partial(function, "a" + unit * (size // len(unit))), 100_000)
