"""The `Link` field: values from URLs, objects and text, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from duoflask.http.grammar import check_field_value
from duoflask.http.link import Link, link_value


@pytest.mark.parametrize(
    ("link", "value"),
    [
        ("/a.css", "</a.css>; rel=preload; as=style"),
        ("/a.js?v=1.css#x", "</a.js?v=1.css#x>; rel=preload; as=script"),
        ("/a.WOFF2", "</a.WOFF2>; rel=preload; as=font; crossorigin"),
        ("/a", "</a>; rel=preload"),
        ("/\xe4 b>;<c", "</%C3%A4%20b%3E;%3Cc>; rel=preload"),
        ("</a.css>; rel=preload", "</a.css>; rel=preload"),
        (Link("https://cdn.example", "preconnect"), "<https://cdn.example>; rel=preconnect"),
        (Link("/a", as_="fetch", crossorigin=True), "</a>; rel=preload; as=fetch; crossorigin"),
        (
            Link("/a", as_="fetch", crossorigin="use-credentials"),
            "</a>; rel=preload; as=fetch; crossorigin=use-credentials",
        ),
        (Link("/a.woff", crossorigin=False), "</a.woff>; rel=preload; as=font"),
        (
            Link("/a.png", imagesrcset='a "b"', fetch_priority="high"),
            '</a.png>; rel=preload; as=image; imagesrcset="a \\"b\\""; fetch-priority=high',
        ),
        (Link("/n", rel="next prev", type_="text/html"), '</n>; rel="next prev"; type="text/html"'),
    ],
)
def test_value(link, value):
    assert link_value(link) == value
    assert str(link) == value or isinstance(link, str)


@pytest.mark.parametrize("link", ["/a\r\nX: y", "</a>\r\nX: y", "/a\0", "/a\x7f", "<\u20ac>"])
def test_what_is_no_field_value_is_refused(link):
    with pytest.raises(ValueError, match="control characters"):
        link_value(link)


@pytest.mark.parametrize("link", [None, 1, b"/a", ""])
def test_what_is_no_link_is_refused(link):
    with pytest.raises(TypeError, match="expected a URL"):
        link_value(link)


@pytest.mark.parametrize("parameters", [{"a b": 1}, {"": 1}, {"x\r": 1}])
def test_parameter_names_are_tokens(parameters):
    with pytest.raises(ValueError, match="token"):
        Link("/a", **parameters).to_header()


@given(st.text(min_size=1))
def test_any_text_is_a_safe_value_or_refused(text):
    try:
        value = link_value(text)
    except ValueError:
        return
    assert check_field_value(value) == value
    assert value.startswith("<")
    if text[0] != "<":
        assert value.count("<") == value.count(">") == 1


def test_a_bad_link_is_an_error_where_it_is_made():
    with pytest.raises(ValueError, match="token"):
        Link("/a", **{"a b": 1})
    with pytest.raises(ValueError, match="control characters"):
        Link("/a", title="a\r\nX: y")
