"""What is shown of a value."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from duoflask import Flask
from duoflask.debug.masking import MASK, Masker, is_secret, one_line
from duoflask.http.headers import Headers

from ..growth import require_linear

SECRETS = """
    password PASSWORD db_password passwd pwd passphrase secret SECRET_KEY client_secret token access_token csrf_token
    key keys api_key apikey apiKey signingKey Authorization auth Proxy-Authorization cookie Set-Cookie credentials
    private_key session_id sessionid sid pin dsn otp X-API-Key X-Auth signature
"""
OTHERS = """
    name user keyboard monkey author authors pinned passing tokyo hotkeys_enabled SESSION_COOKIE_NAME sidebar
    SESSION_COOKIE_SECURE PWD OLDPWD keyword description salty keynote Accept Host
"""


@pytest.mark.parametrize("name", SECRETS.split())
def test_name_is_secret(name: str) -> None:
    assert is_secret(name) and is_secret(name.encode())


@pytest.mark.parametrize("name", OTHERS.split())
def test_name_is_harmless(name: str) -> None:
    assert not is_secret(name)


class Raises:
    def __repr__(self) -> str:
        raise ValueError("no repr")


class Exits:
    def __repr__(self) -> str:
        raise SystemExit(3)


class Deep:
    def __repr__(self) -> str:
        return repr([self])


class NoText:
    def __repr__(self) -> Any:
        return 3


class Loud(str):
    def __len__(self) -> int:
        raise ValueError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "'text'"),
        (b"bytes", "b'bytes'"),
        ([1, (2,), {3}, frozenset({4})], "[1, (2,), {3}, frozenset([4])]"),
        ({"name": "ada", "password": "hunter2"}, f"{{'name': 'ada', 'password': {MASK}}}"),
        ({"a": {"token": "x", "b": [{"key": 1}]}}, f"{{'a': {{'token': {MASK}, 'b': [{{'key': {MASK}}}]}}}}"),
        (("Authorization", "Basic x"), f"('Authorization', {MASK})"),
        ([(b"cookie", b"a=b"), (b"host", b"x")], f"[(b'cookie', {MASK}), (b'host', b'x')]"),
        (OrderedDict(secret=1), f"<OrderedDict {{'secret': {MASK}}}>"),
        (deque([1]), "deque([1])"),
        (Headers([("Cookie", "a=b"), ("Host", "x")]), f"<Headers {{'Cookie': {MASK}, 'Host': 'x'}}>"),
        (Raises(), "<Raises: its repr raised ValueError>"),
        (Exits(), "<Exits: its repr raised SystemExit>"),
        (NoText(), "<NoText: its repr raised TypeError>"),
        pytest.param(1 << 20_000, "<int of 20001 bits>", id="huge"),
        ("postgresql://ada:hunter2@db/x", f"'postgresql://ada:{MASK}@db/x'"),
        ({"token": None, "key": True}, f"{{'token': None, 'key': {MASK}}}"),
    ],
)
def test_value_is_shown(value: Any, shown: str) -> None:
    assert Masker().show(value) == shown


def test_recursion_of_a_repr_survives() -> None:
    assert "RecursionError" in Masker().show(Deep())
    endless: list[Any] = []
    endless.append(endless)
    assert Masker().show(endless) == "[[[[<list of 1>]]]]"


def test_subclass_of_str_with_odd_methods_survives() -> None:
    assert isinstance(Masker().show(Loud("x")), str)
    assert isinstance(Masker().show({Loud("password"): "x"}), str)


def test_config_is_shown_without_its_secrets() -> None:
    app = Flask("masked")
    app.config.update(SECRET_KEY="very secret", MAIL_PASSWORD="hunter2", NAME="shop")
    shown = Masker().show(app.config)
    assert "very secret" not in shown and "hunter2" not in shown
    assert app.config is not None


def test_long_values_are_cut() -> None:
    assert len(Masker().show("x" * 10_000_000)) < 1_100
    assert len(Masker().show(list(range(100_000)))) < 1_100
    assert len(Masker().show(dict.fromkeys(range(1000), "y" * 10000))) < 1_100


def test_known_secret_is_masked_wherever_it_stands() -> None:
    masker = Masker()
    masker.learn("hunter2hunter2")
    masker.learn_from([("API_KEY", "abcdefghijk"), ("name", "somebody-known"), ("TOKENS", ["token-number-1"])])
    assert masker.clean("x hunter2hunter2 y abcdefghijk somebody-known token-number-1") == (
        f"x {MASK} y {MASK} somebody-known {MASK}"
    )
    assert masker.named("password", "another-secret") == MASK
    assert masker.show("it is another-secret") == f"'it is {MASK}'"
    masker.learn("short")
    assert masker.clean("short") == "short"


def test_control_characters_are_made_visible() -> None:
    assert one_line("a\x1b[31m\x00\u2028\u202e\ud800\n\tb") == "a\\x1b[31m\\x00\ufffd\ufffd\ufffd\n\tb"


@given(
    st.recursive(
        st.none() | st.text() | st.binary() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value_is_shown_as_printable_text(value: Any) -> None:
    text = Masker().show(value)
    assert len(text) < 1_100 + 60
    text.encode()  # no surrogate is left


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ('connect(password="hunter2")', f'connect(password="{MASK}")'),
        ("{'api_key': b'x\\'y', 'a': 1}", f"{{'api_key': b'{MASK}', 'a': 1}}"),
        ("TOKEN = 'never closed", f"TOKEN = '{MASK}"),
        ('args["token"] == "x"', 'args["token"] == "x"'),
        ('sorted(rows, key="name")', 'sorted(rows, key="name")'),
        ('token_name="x"', 'token_name="x"'),
        ("connect(password=password)", "connect(password=password)"),
        ("redis://:p@ss@host/0", f"redis://:{MASK}@host/0"),
    ],
)
def test_literal_under_a_secret_name_is_masked(text: str, cleaned: str) -> None:
    assert Masker().clean(text) == cleaned


def test_message_is_also_without_words_under_a_secret_name() -> None:
    assert Masker().message("host=h password=hunter2 token=None", 100) == f"host=h password={MASK} token=None"
    masker = Masker()
    masker.learn("0123456789abcdef")
    assert "0123" not in masker.message("x" * 90 + " 0123456789abcdef", 100)  # cut after it was masked


def test_representation_is_asked_for_once() -> None:
    asked: list[int] = []

    class Counts:
        def __repr__(self) -> str:
            asked.append(1)
            return "counted"

    value, masker = Counts(), Masker()
    assert masker.show(value) == masker.show(value) == "counted"
    assert len(asked) == 1


@pytest.mark.measures
@pytest.mark.parametrize(
    "text",
    ["passw" * 40, "://" + "a" * 200, "a:" * 4_000, "=" * 8_000, "token='" * 40, "token=" * 40, "a.b-" * 80]
    + ["token='\\" * 40, "://a:" * 40, "://" + "a:" * 80],
)
def test_masking_is_linear(text: str) -> None:
    def make(factor: int) -> Callable[[], object]:
        value = text * factor
        masker = Masker()
        masker.learn("x" * 20)
        return lambda: (masker.clean(value), is_secret(value))

    require_linear(make, 16)
