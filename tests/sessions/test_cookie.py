"""Sessions in a signed cookie: Flask's format to the byte, and nothing that opens but what was signed."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import flask
import itsdangerous
import pytest
from hypothesis import given, settings, strategies as st
from markupsafe import Markup

import duoflask
from duoflask import session
from duoflask.sessions import NullSession, SecureCookieSession, SecureCookieSessionInterface
from duoflask.sessions.cookie import session_json_serializer

SECRET = "a secret key of sixteen bytes"

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.uuids()
    | st.text().map(Markup)
    | st.datetimes(min_value=datetime(1900, 1, 1)).map(lambda moment: moment.replace(microsecond=0, tzinfo=UTC)),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
CONTENTS = st.dictionaries(st.text(), VALUES)
# As sessions are: some names, repetitions, numbers in text; of every length around the one where compressing pays.
LIKELY = st.dictionaries(
    st.sampled_from(["user_id", "_permanent", "_flashes", "csrf_token", "cart", "next", "lang", "a"]),
    st.text(st.sampled_from("0123456789abcdef/. -"), max_size=120) | st.integers() | st.booleans(),
)


def pair(**config: Any) -> tuple[Any, Any]:
    """The same app of both frameworks: its views set, read and clear the session."""
    made = []
    for module in (duoflask, flask):
        app = module.Flask("a")
        app.config.update({"SECRET_KEY": SECRET, **config})
        made.append(app)
    return made[0], made[1]


def serializers(**config: Any) -> tuple[Any, Any]:
    ours, theirs = pair(**config)
    return ours.session_interface.get_signing_serializer(ours), theirs.session_interface.get_signing_serializer(theirs)


@pytest.fixture
def app() -> Any:
    """An app whose views do to the session what the query says."""
    app = duoflask.Flask("a")
    app.secret_key = SECRET

    @app.route("/set")
    def set_it() -> str:
        session.update(duoflask.request.args)
        return "set"

    @app.route("/get")
    async def get_it() -> Any:
        return dict(session)

    @app.route("/clear")
    def clear_it() -> str:
        session.clear()
        return "cleared"

    @app.route("/plain")
    def plain() -> str:
        return "plain"

    return app


def set_cookies(response: Any) -> list[str]:
    return response.headers.getlist("Set-Cookie")


# -- the format


@given(CONTENTS | LIKELY)
def test_cookie_is_flasks_to_the_byte(content: dict[str, Any]) -> None:
    ours, theirs = serializers()
    while True:
        one, other, again = ours.dumps(content), theirs.dumps(content), ours.dumps(content)
        if one == again:  # all three within one second
            break
    assert one == other


@given(CONTENTS)
@settings(max_examples=50)
def test_each_opens_what_the_other_signed(content: dict[str, Any]) -> None:
    ours, theirs = serializers()
    assert ours.loads(theirs.dumps(content), max_age=60) == content
    assert theirs.loads(ours.dumps(content), max_age=60) == content


@pytest.mark.parametrize("letters", ["a", "ab", "0123456789abcdef", "abcdefghijklmnopqrstuvwxyz {}[]:,"])
def test_compression_is_flasks_at_every_size(letters: str) -> None:
    draw = random.Random(letters)
    ours, theirs = serializers()
    for size in (*range(0, 60), *range(60, 1100, 13)):
        text = "".join(draw.choice(letters) for _ in range(size))
        for content in ({"t": text}, {text[: size // 2]: text[size // 2 :]}):
            assert ours.dumps(content).rpartition(".")[0][:-7] == theirs.dumps(content).rpartition(".")[0][:-7]


def test_users_stay_logged_in_when_the_framework_changes() -> None:
    apps = pair()
    for app, module in zip(apps, (duoflask, flask), strict=True):

        @app.route("/n")
        def count(module: Any = module) -> str:
            module.session["n"] = module.session.get("n", 0) + 1
            module.session["moment"] = datetime(2020, 1, 2, tzinfo=UTC)
            return str(module.session["n"])

    clients = [app.test_client() for app in apps]
    cookie = ""
    for turn in range(6):
        client = clients[turn % 2]
        if cookie:
            client.set_cookie("session", cookie)
        assert client.get("/n").text == str(turn + 1)
        cookie = client.get_cookie("session").value


def test_cookie_is_readable(app: Any) -> None:
    app.test_client().get("/set?user=ada")
    client = app.test_client()
    client.get("/set?user=ada")
    payload = client.get_cookie("session").value.split(".")[0]
    assert base64.urlsafe_b64decode(payload + "==") == b'{"user":"ada"}'


@pytest.mark.parametrize("digest", [hashlib.sha1, hashlib.sha256, hashlib.sha512])
@pytest.mark.parametrize("derivation", ["hmac", "concat", "django-concat", "none"])
@pytest.mark.parametrize("secret", ["short", b"\x00\xff" * 100])
def test_other_ways_to_sign_are_those_of_itsdangerous(digest: Any, derivation: str, secret: Any) -> None:
    class Other(SecureCookieSessionInterface):
        digest_method = staticmethod(digest)
        key_derivation = derivation
        salt = "other"

    app = duoflask.Flask("a")
    app.secret_key = secret
    theirs: Any = itsdangerous.URLSafeTimedSerializer(
        secret,
        salt="other",
        serializer=session_json_serializer,
        signer_kwargs={"key_derivation": derivation, "digest_method": digest},
    )
    ours: Any = Other().get_signing_serializer(app)
    assert theirs.loads(ours.dumps({"a": 1}), max_age=5) == {"a": 1}
    assert ours.loads(theirs.dumps({"a": 1}), max_age=5) == {"a": 1}


def test_serializer_is_itsdangerous_for_the_rest() -> None:
    ours, theirs = serializers()
    signed = ours.dumps({"a": 1}, salt="x")
    assert theirs.loads(signed, salt="x") == {"a": 1}
    assert ours.loads(signed, salt="x") == {"a": 1}
    content, moment = ours.loads(ours.dumps({"a": 1}), return_timestamp=True)
    assert content == {"a": 1}
    assert abs(moment - datetime.now(UTC)) < timedelta(seconds=5)
    assert ours.loads(theirs.dumps({"a": 1}).encode()) == {"a": 1}
    with pytest.raises(itsdangerous.BadSignature):
        ours.loads(signed)


# -- keys


def test_newest_key_signs_and_all_verify() -> None:
    app, _ = pair(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["older", "old"])
    ours = app.session_interface.get_signing_serializer(app)
    for key in ("older", "old", "new"):
        theirs = serializers(SECRET_KEY=key)[1]
        assert ours.loads(theirs.dumps({"k": key})) == {"k": key}
    assert serializers(SECRET_KEY="new")[1].loads(ours.dumps({"a": 1})) == {"a": 1}
    with pytest.raises(itsdangerous.BadSignature):
        ours.loads(serializers(SECRET_KEY="oldest")[1].dumps({}))


def test_keys_may_change_while_the_app_serves(app: Any, client: Callable[..., Any]) -> None:
    browser = client(app)
    browser.get("/set?a=1")
    app.config["SECRET_KEY"] = "another"
    assert browser.get("/get").json == {}
    app.config["SECRET_KEY_FALLBACKS"] = [SECRET]
    assert browser.get("/get").json == {"a": "1"}
    app.config["SECRET_KEY_FALLBACKS"].clear()
    assert browser.get("/get").json == {}


@pytest.mark.parametrize("key", [None, "", b""])
def test_without_a_key_the_session_is_empty_and_cannot_be_changed(client: Callable[..., Any], key: Any) -> None:
    app = duoflask.Flask("a")
    app.secret_key = key

    @app.route("/read")
    def read() -> str:
        return f"{session.get('a')} {'a' in session} {len(session)} {session.permanent}"

    @app.route("/write/<how>")
    async def write(how: str) -> str:
        changes: dict[str, Callable[[], Any]] = {
            "set": lambda: session.__setitem__("a", 1),
            "del": lambda: session.__delitem__("a"),
            "pop": lambda: session.pop("a"),
            "popitem": lambda: session.popitem(),
            "clear": lambda: session.clear(),
            "update": lambda: session.update(a=1),
            "setdefault": lambda: session.setdefault("a", 1),
            "ior": lambda: session.__ior__({"a": 1}),
            "permanent": lambda: setattr(session, "permanent", True),
            "regenerate": lambda: session.regenerate(),
            "lock": lambda: session.lock(),
        }
        with pytest.raises(RuntimeError, match=r"no secret key is set.*app\.secret_key"):
            changes[how]()
        return "raised"

    browser = client(app)
    assert browser.get("/read").text == "None False 0 False"
    for how in "set del pop popitem clear update setdefault ior permanent regenerate lock".split():  # noqa: SIM905
        response = browser.get(f"/write/{how}")
        assert response.text == "raised"
        assert set_cookies(response) == []


# -- when a cookie is set


def test_nothing_is_set_for_who_does_not_look(app: Any, client: Callable[..., Any]) -> None:
    opened: list[Any] = []

    class Watched(SecureCookieSessionInterface):
        def open_session(self, app: Any, request: Any) -> Any:
            opened.append(request)
            return super().open_session(app, request)

    app.session_interface = Watched()
    response = client(app).get("/plain", headers={"Cookie": "session=x"})
    assert opened == []
    assert "Vary" not in response.headers
    assert set_cookies(response) == []


def test_an_unchanged_session_is_not_sent_again(app: Any, client: Callable[..., Any]) -> None:
    browser = client(app)
    assert len(set_cookies(browser.get("/set?a=1"))) == 1
    response = browser.get("/get")
    assert response.json == {"a": "1"}
    assert set_cookies(response) == []
    assert response.headers["Vary"] == "Cookie"


def test_an_emptied_session_deletes_its_cookie(app: Any, client: Callable[..., Any]) -> None:
    browser = client(app)
    browser.get("/set?a=1")
    response = browser.get("/clear")
    assert set_cookies(response) == [
        "session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/",
    ]
    assert response.headers["Vary"] == "Cookie"
    assert browser.get_cookie("session") is None


CONFIGS: list[dict[str, Any]] = [
    {},
    {"SESSION_COOKIE_NAME": "__Host-s", "SESSION_COOKIE_SECURE": True},
    {"SESSION_COOKIE_DOMAIN": "example.com"},
    {"SESSION_COOKIE_PATH": "/x", "APPLICATION_ROOT": "/y"},
    {"APPLICATION_ROOT": "/y"},
    {"SESSION_COOKIE_HTTPONLY": False},
    {"SESSION_COOKIE_SAMESITE": "Lax"},
    {"SESSION_COOKIE_SAMESITE": "Strict", "SESSION_COOKIE_SECURE": True},
    {"SESSION_COOKIE_PARTITIONED": True, "SESSION_COOKIE_SECURE": True},
    {"PERMANENT_SESSION_LIFETIME": 60},
]


@pytest.mark.parametrize("permanent", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
def test_attributes_are_those_of_flask(config: dict[str, Any], permanent: bool, protocol: str) -> None:
    lines = []
    for _ in range(3):
        lines = []
        for app, module in zip(pair(**config), (duoflask, flask), strict=True):

            @app.route("/set")
            def set_it(module: Any = module) -> str:
                module.session["a"] = 1
                module.session.permanent = permanent
                return ""

            @app.route("/clear")
            def clear_it(module: Any = module) -> str:
                module.session["a"] = 1
                module.session.clear()
                return ""

            browser = app.test_client(**({"protocol": protocol} if module is duoflask else {}))
            lines.append([set_cookies(browser.get(f"http://example.com{path}")) for path in ("/set", "/clear")])
        if lines[0] == lines[1]:  # else a second has passed in between
            break
    assert lines[0] == lines[1]
    assert lines[0][0]


@pytest.mark.parametrize("refresh", [True, False])
def test_a_permanent_session_is_sent_again_by_who_looks(app: Any, client: Callable[..., Any], refresh: bool) -> None:
    app.config["SESSION_REFRESH_EACH_REQUEST"] = refresh
    browser = client(app)
    browser.get("/set?_permanent=1")
    assert len(set_cookies(browser.get("/get"))) == int(refresh)
    assert set_cookies(browser.get("/plain")) == []  # Flask opens the session for each request


def test_max_cookie_size_warns(app: Any, client: Callable[..., Any]) -> None:
    app.config["MAX_COOKIE_SIZE"] = 200
    browser = client(app)
    value = "".join(random.Random(1).choices("abcdefghijklmnop", k=300))
    with pytest.warns(
        UserWarning, match=r"the 'session' cookie is too large: \d+ bytes .*, and the limit is 200 bytes"
    ):
        browser.get(f"/set?a={value}")
    app.config["MAX_COOKIE_SIZE"] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        browser.get(f"/set?b={value}")


def test_session_may_be_changed_by_after_hooks(app: Any, client: Callable[..., Any]) -> None:
    @app.after_request
    async def count(response: Any) -> Any:
        session["n"] = session.get("n", 0) + 1
        return response

    browser = client(app)
    browser.get("/plain")
    browser.get("/nothing-here")
    assert browser.get("/get").json == {"n": 2}


# -- Vary


LOOKS: dict[str, Callable[[], Any]] = {
    "in": lambda: "a" in session,
    "not in": lambda: "a" not in session,
    "len": lambda: len(session),
    "get": lambda: session.get("a"),
    "index": lambda: session["a"],
    "iteration": lambda: list(session),
    "reversed": lambda: list(reversed(session)),
    "keys": lambda: session.keys(),
    "values": lambda: session.values(),
    "items": lambda: session.items(),
    "unpack": lambda: dict(**session),
    "or": lambda: session | {"b": 1},
    "ror": lambda: {"b": 1} | session,
    "equal": lambda: session == {},
    "bool": lambda: bool(session),
    "copy": lambda: session.copy(),
    "permanent": lambda: session.permanent,
    "modified": lambda: session.modified,
    "repr": lambda: repr(session),
    "json": lambda: json.dumps(session._get_current_object()),
    "setdefault": lambda: session.setdefault("a", 1),
    "pop": lambda: session.pop("zz", None),
    "flashes": lambda: __import__("duoflask.flashing").flashing.get_flashed_messages(),
}


def _match() -> Any:
    match session:
        case {"a": found}:
            return found
    raise AssertionError("a session is a mapping")


LOOKS["match"] = _match


@pytest.mark.parametrize("look", LOOKS)
def test_every_way_to_look_sets_vary(client: Callable[..., Any], look: str) -> None:
    app = duoflask.Flask("a")
    app.secret_key = SECRET
    app.add_url_rule("/", "view", lambda: str(LOOKS[look]()))
    browser = client(app)
    with browser.session_transaction() as kept:
        kept["a"] = 5
    assert browser.get("/").headers["Vary"] == "Cookie"


@pytest.mark.parametrize(
    ("lines", "merged"),
    [
        ([], "Cookie"),
        (["Accept"], "Accept, Cookie"),
        (["Accept", "Origin"], "Accept, Origin, Cookie"),
        (["Accept, Origin", "accept"], "Accept, Origin, Cookie"),
        (["cookie", "Accept"], "cookie, Accept"),
        (["*"], "*"),
        (["Accept", "*"], "Accept, *"),
    ],
)
def test_several_vary_lines_are_merged(client: Callable[..., Any], lines: list[str], merged: str) -> None:
    app = duoflask.Flask("a")
    app.secret_key = SECRET

    @app.route("/")
    def view() -> Any:
        session.get("a")
        response = duoflask.make_response("x")
        for line in lines:
            response.headers.add("Vary", line)
        return response

    assert client(app).get("/").headers.getlist("Vary") == [merged]


# -- what does not open


def signed(payload: bytes, key: str = SECRET, salt: str = "cookie-session", age: int = 0) -> str:
    """Sign a payload as itsdangerous does, whatever it is."""
    signer = itsdangerous.TimestampSigner(key, salt=salt, key_derivation="hmac", digest_method=hashlib.sha1)
    signer.get_timestamp = lambda: int(time.time()) - age  # type: ignore[method-assign]
    return signer.sign(payload).decode()


def encoded(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def _flip(draw: random.Random, cookie: str) -> str:
    place = draw.randrange(len(cookie))
    flipped = chr(ord(cookie[place]) ^ (1 << draw.randrange(7)))
    return cookie[:place] + flipped + cookie[place + 1 :]


def _nested(draw: random.Random, _: str) -> str:
    tag = draw.choice([" t", " di", " b", " m", " u", " d"])
    depth = draw.randrange(1, 1500)
    opening = f'{{"{tag}":' + draw.choice(["", "["])
    closing = ("]" if opening.endswith("[") else "") + "}"
    text = '{"a":' + opening * depth + draw.choice(["1", '"x"', "[]", "null"]) + closing * depth + "}"
    return signed(draw.choice([encoded(text.encode()), b"." + encoded(zlib.compress(text.encode()))]))


_ODD = ["5", '"x"', "[]", "null", "true", '{" t":5}', '{" b":5}', '{" b":"="}', '{" u":"x"}', '{" di":5}', '{" di":{}}']
_ODD += [
    '{" di":[]}',
    "[1]",
    '{"a":{" u":[]}}',
    '{"a":{" t":null}}',
    "NaN",
    "1e999",
    "{",
    "",
    '{" t":[]}',
    '{" m":"x"}',
]

CLASSES: dict[str, Callable[[random.Random, str], str]] = {
    "flipped bit": _flip,
    "truncated": lambda draw, cookie: cookie[: draw.randrange(len(cookie))],
    "cut at the front": lambda draw, cookie: cookie[draw.randrange(1, len(cookie)) :],
    "signature of another": lambda draw, cookie: (
        cookie.rpartition(".")[0] + "." + signed(encoded(b'{"n":%d}' % draw.randrange(10**9))).rpartition(".")[2]
    ),
    "other salt": lambda draw, _: signed(encoded(b'{"user":1}'), salt=f"salt{draw.random()}"),
    "other key": lambda draw, _: signed(encoded(b'{"user":1}'), key=f"key{draw.random()}"),
    "future": lambda draw, _: signed(encoded(b'{"user":1}'), age=-draw.randrange(60, 10**9)),
    "past": lambda draw, _: signed(encoded(b'{"user":1}'), age=draw.randrange(32 * 86400, 10**9)),
    "type confusion": lambda draw, _: signed(encoded(draw.choice(_ODD).encode())),
    "1 MB": lambda draw, _: base64.b64encode(draw.randbytes(3)).decode() * 250_000,
    "1 MB, signed": lambda draw, _: signed(encoded(b'{"a":"' + b"x" * 750_000 + b'"}')),
    "nested tags": _nested,
    "signed, no JSON": lambda draw, _: signed(
        draw.choice([encoded(draw.randbytes(30)), draw.randbytes(9).hex().encode()])
    ),
    "bomb": lambda draw, _: signed(
        b"." + encoded(zlib.compress(b'{"a":"' + b"x" * draw.randrange(131_100, 3_000_000) + b'"}'))
    ),
    "compressed badly": lambda draw, _: signed(b"." + encoded(zlib.compress(b'{"a":1}')[: draw.randrange(15)])),
    "timestamp": lambda draw, _: (
        itsdangerous.Signer(SECRET, salt="cookie-session", key_derivation="hmac", digest_method=hashlib.sha1)
        .sign(encoded(b'{"a":1}') + b"." + draw.choice([b"", b"!", b"A", b"AAAA" * 3000, b"\xff"]))
        .decode("latin-1")
    ),
    "no base64": lambda draw, _: "".join(chr(draw.randrange(33, 0x2FF)) for _ in range(draw.randrange(80))),
}


@pytest.mark.measures
@pytest.mark.parametrize("name", CLASSES)
def test_tampered_cookies_open_nothing_raise_nothing_and_cost_little(name: str) -> None:
    draw = random.Random(name)
    app, _ = pair()
    interface = app.session_interface
    costs = []
    with app.test_request_context() as ctx:
        genuine = interface.get_signing_serializer(app).dumps({"user": 1, "name": "ada"})
        assert interface.open_value(app, genuine) == {"user": 1, "name": "ada"}
        for _ in range(1000 if name not in ("1 MB", "1 MB, signed", "bomb") else 200):
            cookie = CLASSES[name](draw, genuine)
            if cookie == genuine:
                continue
            cost = []
            for _ in range(3):
                began = time.thread_time()
                opened = interface.open_value(app, cookie)
                cost.append(time.thread_time() - began)
            costs.append(min(cost))
            assert type(opened) is SecureCookieSession
            assert opened == {} and opened.new or name in ("type confusion", "nested tags"), cookie[:200]
            if name in ("type confusion", "nested tags"):
                assert "user" not in opened
        ctx.request  # noqa: B018
    costs.sort()
    assert costs[len(costs) * 19 // 20] < 0.001  # the rest is the machine's


@pytest.mark.parametrize("name", CLASSES)
def test_tampered_cookies_in_requests(app: Any, client: Callable[..., Any], name: str) -> None:
    draw = random.Random(name)
    genuine = signed(encoded(b'{"user":1}'))
    browser = client(app, use_cookies=False)
    for _ in range(5):
        cookie = CLASSES[name](draw, genuine)
        if not cookie.isascii() or any(ord(char) < 33 or char in ';",\\' for char in cookie) or cookie == genuine:
            continue
        response = browser.get("/get", headers={"Cookie": f"session={cookie}"})
        assert response.status_code == 200
        assert "user" not in response.json


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
@settings(max_examples=300)
def test_no_text_makes_the_session_fail(value: str) -> None:
    app, _ = pair()
    assert app.session_interface.open_value(app, value) == {}


def test_signature_in_another_spelling_is_refused() -> None:
    ours, theirs = serializers()
    cookie = ours.dumps({"a": 1})
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twin = cookie[:-1] + letters[letters.index(cookie[-1]) ^ 1]
    assert theirs.loads(twin) == {
        "a": 1
    }  # Flask compares what the text stands for: its last two bits count for nothing
    with pytest.raises(itsdangerous.BadTimeSignature):
        ours.loads(twin)


def test_cookie_of_16_kib_opens_and_a_longer_one_does_not() -> None:
    app, _ = pair()
    serializer = app.session_interface.get_signing_serializer(app)
    text = base64.b64encode(random.Random(1).randbytes(13_000)).decode()
    sizes = {}
    for cut in range(15_500, 17_000, 20):
        cookie = serializer.dumps({"a": text[:cut]})
        sizes[len(cookie)] = bool(app.session_interface.open_value(app, cookie))
    assert all(opens is (size <= 16_384) for size, opens in sizes.items())
    assert {True, False} == set(sizes.values())


def test_session_ends_with_its_lifetime(app: Any, client: Callable[..., Any]) -> None:
    browser = client(app)
    for age, content in ((0, {"a": 1}), (31 * 86400 - 5, {"a": 1}), (31 * 86400 + 5, {}), (-5, {})):
        browser.set_cookie("session", signed(encoded(b'{"a":1}'), age=age))
        assert browser.get("/get").json == content


# -- the session itself


def test_modified_is_set_by_changes_only() -> None:
    changes: list[tuple[Callable[[Any], Any], bool]] = [
        (lambda s: s.__setitem__("b", 1), True),
        (lambda s: s.__delitem__("a"), True),
        (lambda s: s.clear(), True),
        (lambda s: s.popitem(), True),
        (lambda s: s.update(b=1), True),
        (lambda s: s.pop("a"), True),
        (lambda s: s.pop("b", None), False),
        (lambda s: s.setdefault("b", 1), True),
        (lambda s: s.setdefault("a", 1), False),
        (lambda s: s.__ior__({"b": 1}), True),
        (lambda s: s.get("a"), False),
        (lambda s: "a" in s, False),
        (lambda s: setattr(s, "permanent", True), True),
        (lambda s: s.regenerate(), True),
    ]
    for change, modified in changes:
        made = SecureCookieSession({"a": 1})
        change(made)
        assert made.modified is modified


def test_accessed_new_and_permanent(app: Any) -> None:
    with app.test_request_context() as ctx:
        assert ctx._session is None
        opened = app.session_interface.open_session(app, ctx.request)
        assert (opened.accessed, opened.new, opened.modified, opened.permanent) == (False, True, False, False)
        assert session.accessed is True
        session.permanent = True
        assert dict(session) == {"_permanent": True}
        assert session.on_update is not None


def test_cookie_session_cannot_be_locked(app: Any) -> None:
    with app.test_request_context(), pytest.raises(RuntimeError, match=r"SESSION_STORE.*'sqlite'"):
        session.lock()


def test_null_session_is_known(app: Any) -> None:
    interface = app.session_interface
    null = interface.make_null_session(app)
    assert isinstance(null, NullSession)
    assert isinstance(null, SecureCookieSession)
    assert interface.is_null_session(null)
    assert not interface.is_null_session(SecureCookieSession())


def test_class_attributes_are_those_of_flask() -> None:
    ours, theirs = SecureCookieSessionInterface, flask.sessions.SecureCookieSessionInterface
    assert {name for name in dir(theirs) if name[0] != "_"} <= set(dir(ours))
    for name in ("salt", "key_derivation", "pickle_based"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.digest_method(b"x").digest() == hashlib.sha1(b"x").digest()
    assert duoflask.Flask.session_interface.salt == "cookie-session"  # type: ignore[attr-defined]


def test_another_request_class_with_cookies_of_its_own(client: Callable[..., Any]) -> None:
    app = duoflask.Flask("a")
    app.secret_key = SECRET

    class Renamed(duoflask.Request):
        @property
        def cookies(self) -> Any:  # type: ignore[override]
            return {"session": self.headers["X-Session"]}

    app.request_class = Renamed
    app.add_url_rule("/", "view", lambda: dict(session))
    assert client(app).get("/", headers={"X-Session": signed(encoded(b'{"a":1}'))}).json == {"a": 1}


@pytest.mark.parametrize("headers", [["a=1; session={}"], ["session={}; session=x"], ["a=1", "session={}"]])
def test_cookie_among_others_and_on_a_line_of_its_own(app: Any, channel: Any, headers: list[str]) -> None:
    import anyio

    exchange = channel("/get")
    exchange.scope["headers"] += [
        (b"cookie", header.format(signed(encoded(b'{"a":1}'))).encode()) for header in headers
    ]
    anyio.run(exchange.serve, app)
    assert json.loads(exchange.text) == {"a": 1}


@pytest.fixture
def counted(app: Any) -> Iterator[list[str]]:
    """How often the serializer reads a cookie."""
    reads: list[str] = []
    original = type(app.session_interface.get_signing_serializer(app)).loads

    def loads(self: Any, s: Any, *args: Any, **kwargs: Any) -> Any:
        reads.append(s)
        return original(self, s, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("duoflask.sessions.signing.KeptSerializer.loads", loads)
        yield reads


def test_session_is_opened_once_and_at_the_first_look(app: Any, client: Callable[..., Any], counted: list[str]) -> None:
    browser = client(app)
    browser.get("/set?a=1")
    assert counted == []
    browser.get("/plain")
    assert counted == []
    browser.get("/get")
    assert len(counted) == 1


def test_secret_key_may_be_a_constant_of_a_subclass(client: Callable[..., Any]) -> None:
    class App(duoflask.Flask):
        secret_key = SECRET  # type: ignore[assignment]
        testing = True  # type: ignore[assignment]

    app = App("a")

    @app.route("/")
    def count() -> str:
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    browser = client(app)
    assert [browser.get("/").text for _ in range(3)] == ["1", "2", "3"]
    with app.test_request_context():
        session["a"] = 1
