from __future__ import annotations

import pytest

from duoflask.http.grammar import check_field_name, check_field_value, check_reason, is_token


@pytest.mark.parametrize("name", ["", "a b", "a:", "ä", "a\r\n", "(x)", "a\n", "\x00", "Content Type"])
def test_name_that_is_no_token_is_refused(name):
    with pytest.raises(ValueError, match="invalid header name"):
        check_field_name(name)


def test_name_that_is_no_str_is_refused():
    with pytest.raises(TypeError):
        check_field_name(b"X")  # type: ignore[arg-type]


@pytest.mark.parametrize("char", [chr(code) for code in (*range(9), *range(10, 32), 127)])
def test_value_with_control_character_is_refused(char):
    for value in (f"a{char}b", f"a{char}", char):
        with pytest.raises(ValueError, match="invalid header value"):
            check_field_value(value)


@pytest.mark.parametrize("value", ["\u20ac", "x\u2028", "\ud800"])
def test_value_that_latin1_lacks_is_refused(value):
    with pytest.raises(ValueError, match="latin-1"):
        check_field_value(value)


def test_values_become_text():
    assert check_field_value(5) == "5"
    assert check_field_value("a\tb \xe9\x85") == "a\tb \xe9\x85"
    assert check_field_value(b"\xe9") == "\xe9"
    assert check_field_value("") == ""


def test_reason():
    assert check_reason("I'm a teapot") == "I'm a teapot"
    assert check_reason("") == ""
    for reason in ("OK\r\nX: y", "\x00", "\u20ac"):
        with pytest.raises(ValueError, match="invalid reason"):
            check_reason(reason)


def test_token():
    assert is_token("x!#$%&'*+-.^_`|~9")
    assert not is_token("")
