"""What a name of Flask, Werkzeug or Quart becomes, and what is said of one that becomes nothing. Data and look-ups."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ..names_of_flask import MODULES, places

__all__ = [
    "ADAPTERS",
    "AWAITED_CALLS",
    "QUART_ATTRIBUTES",
    "QUART_KEYS",
    "QUART_RUN",
    "VERBS",
    "Place",
    "advice",
    "extension",
    "homes",
    "is_module",
    "place_of",
]

_FLASK: Final = MODULES["flask"]["duoflask"]
_TEMPLATING: Final = "render_template render_template_string stream_template stream_template_string"
_WEBSOCKETS: Final = "copy_current_websocket_context has_websocket_context"
_SIGNALS: Final = (
    "got_background_exception got_serving_exception got_websocket_exception websocket_finished websocket_received "
    "websocket_sent websocket_started websocket_tearing_down"
)
_QUART: Final[dict[str, dict[str, str]]] = {
    "quart": {
        "duoflask": " ".join(
            [
                "Quart=DuoFlask Websocket websocket got_websocket_exception websocket_finished websocket_started",
                f"websocket_tearing_down {_WEBSOCKETS}",
                *(name for name in _FLASK.split() if name != "Flask"),
            ]
        ),
        "duoflask.typing": "ResponseReturnValue",
    },
    "quart.app": {"duoflask": "Quart=DuoFlask"},
    "quart.blueprints": {"duoflask": "Blueprint"},
    "quart.cli": {
        "duoflask.cli": (
            "AppGroup NoAppException QuartGroup=FlaskGroup ScriptInfo load_dotenv pass_script_info with_appcontext"
        )
    },
    "quart.config": {"duoflask.config": "Config ConfigAttribute"},
    "quart.ctx": {
        "duoflask.ctx": (
            "AppContext RequestContext after_this_request copy_current_request_context has_app_context "
            "has_request_context"
        ),
        "duoflask.websocket_context": f"WebsocketContext after_this_websocket {_WEBSOCKETS}",
    },
    "quart.datastructures": {"duoflask.datastructures": "FileStorage"},
    "quart.globals": {"duoflask.globals": "app_ctx current_app g request request_ctx session websocket"},
    "quart.helpers": {
        "duoflask": (
            "abort flash get_flashed_messages get_template_attribute make_response redirect send_file "
            "send_from_directory stream_with_context url_for"
        ),
        "duoflask.helpers": "get_debug_flag get_load_dotenv",
    },
    "quart.json": MODULES["flask.json"],
    "quart.json.provider": MODULES["flask.json.provider"],
    "quart.json.tag": MODULES["flask.json.tag"],
    "quart.sessions": MODULES["flask.sessions"],
    "quart.signals": {"duoflask.signals": f"{MODULES['flask.signals']['duoflask.signals']} {_SIGNALS}"},
    "quart.templating": {"duoflask.templating": _TEMPLATING},
    "quart.testing": {
        "duoflask.testing": "QuartClient=AsyncClient QuartCliRunner=FlaskCliRunner WebsocketResponseError"
    },
    "quart.typing": MODULES["flask.typing"],
    "quart.views": {"duoflask.views": "MethodView View http_method_funcs"},
    "quart.wrappers": {"duoflask": "Request Response Websocket"},
}
_MOVED: Final = {
    "markupsafe": (
        "flask.Markup flask.escape quart.Markup quart.escape werkzeug.utils.escape jinja2.Markup jinja2.escape"
    ),
    "duoflask.http.paths": "werkzeug.secure_filename",
    "duoflask.middleware": "werkzeug.wsgi.SharedDataMiddleware werkzeug.wsgi.DispatcherMiddleware",
}


def _tables() -> dict[str, dict[str, tuple[str, str]]]:
    tables = {}
    for module, table in {**MODULES, **_QUART}.items():
        tables[module] = places({home: names for home, names in table.items() if home})  # under "" stand modules
    for home, names in _MOVED.items():
        for full in names.split():
            module, _, name = full.rpartition(".")
            tables.setdefault(module, {}).setdefault(name, (home, name))
    return tables


_TABLES: Final = _tables()

# What is `await`ed in Quart and a plain call here.
AWAITED_CALLS: Final = frozenset({*_TEMPLATING.split(), "flash", "make_response", "send_file", "send_from_directory"})

# Methods of test clients.
VERBS: Final = frozenset({"delete", "get", "head", "open", "options", "patch", "post", "put", "trace"})

# Attributes that Quart's objects have and ours do not, whatever the object is called.
_STEPS: Final = (
    "requests and WebSockets go through no such method; use before_..., after_... and errorhandler functions"
)
_CONNECTIONS: Final = "there is no such class; wrap app.asgi_app"
_BODIES: Final = "there is no such class; return an iterator or a file"
QUART_ATTRIBUTES: Final = {
    "test_app": "write 'async with app.async_test_client() as client': it runs the start-up functions too",
    "test_app_class": "there is no such class; app.async_test_client() runs the start-up functions too",
    "event_class": "write anyio.Event",
    "lock_class": "write anyio.Lock",
    "body_class": "there is no such class; iterate over request.stream, on a rule with stream_body=True",
    "send_push_promise": "browsers have dropped HTTP/2 push: write duoflask.early_hints([...])",
    "iter_encode": "write iter_encoded",
    **dict.fromkeys(("asgi_http_class", "asgi_lifespan_class", "asgi_websocket_class"), _CONNECTIONS),
    **dict.fromkeys(("data_body_class", "file_body_class", "io_body_class", "iterable_body_class"), _BODIES),
    **dict.fromkeys(
        (
            "dispatch_websocket",
            "do_teardown_websocket",
            "finalize_websocket",
            "full_dispatch_websocket",
            "handle_request",
            "handle_websocket",
            "handle_websocket_exception",
            "postprocess_websocket",
            "preprocess_websocket",
        ),
        _STEPS,
    ),
}
# Keys of Quart's configuration that nothing reads here.
QUART_KEYS: Final = {
    "BODY_TIMEOUT": "the server has a limit for slow bodies ('duoflask run --body-timeout')",
    "PREFER_SECURE_URLS": "write PREFERRED_URL_SCHEME = 'https'",
    "RESPONSE_TIMEOUT": "REQUEST_TIMEOUT limits the time up to the response; slow readers are the server's business",
}
# Arguments of Quart.run(), and what app.run() takes instead.
QUART_RUN: Final = {
    "ca_certs": "make an ssl.SSLContext that asks for certificates, and write ssl_context=context",
    "certfile": "write ssl_context=(certfile, keyfile)",
    "keyfile": "write ssl_context=(certfile, keyfile)",
    "loop": "leave it out, or serve on a loop of your own by 'await app.run_task(...)'",
}

_CONTEXT: Final = "write 'from duoflask.globals import {}': the one context, whose attributes are the same"
_APP_CONTEXT: Final = "a task inherits the context; for a thread use contextvars.copy_context().run"
_PUSH: Final = f"{QUART_ATTRIBUTES['send_push_promise']}, which sends the browser a Link field early"
_QUOTE: Final = "write urllib.parse.{}"
_ADVICE: Final = {
    "flask._request_ctx_stack": _CONTEXT.format("request_ctx") + "; duoflask._request_ctx_stack.top answers as well",
    "flask._app_ctx_stack": _CONTEXT.format("app_ctx") + "; duoflask._app_ctx_stack.top answers as well",
    "flask.safe_join": "write duoflask.http.paths.safe_join: it returns None for a path outside, and raises nothing",
    "flask.signals_available": "signals are always there: write True",
    "flask.json.JSONEncoder": "write a DefaultJSONProvider with a function 'default', and set app.json",
    "flask.json.JSONDecoder": "write a DefaultJSONProvider with a function 'loads', and set app.json",
    "flask.helpers.locked_cached_property": "write duoflask.http.descriptors.cached_property",
    "flask.helpers.safe_join": "write duoflask.http.paths.safe_join: it returns None for a path outside",
    "flask.ext": "import the extension by its own name: flask_login for flask.ext.login",
    "quart.utils.run_sync": "a 'def' function runs in a thread by itself; call others with app.sync_to_async(function)",
    "quart.utils.run_sync_iterable": "return the iterator: it runs in a thread",
    "quart.copy_current_app_context": _APP_CONTEXT,
    "quart.ctx.copy_current_app_context": _APP_CONTEXT,
    "quart.make_push_promise": _PUSH,
    "quart.helpers.make_push_promise": _PUSH,
    "quart.globals.websocket_ctx": _CONTEXT.format("app_ctx"),
    "quart.asgi": _CONNECTIONS,
    "quart.testing.TestApp": QUART_ATTRIBUTES["test_app"],
    "quart.typing": "duoflask.typing has Flask's names; write the Callable itself",
    "werkzeug.urls.url_quote": _QUOTE.format("quote"),
    "werkzeug.urls.url_quote_plus": _QUOTE.format("quote_plus"),
    "werkzeug.urls.url_unquote": _QUOTE.format("unquote"),
    "werkzeug.urls.url_unquote_plus": _QUOTE.format("unquote_plus"),
    "werkzeug.urls.url_encode": _QUOTE.format("urlencode"),
    "werkzeug.urls.url_decode": _QUOTE.format("parse_qs, or request.args"),
    "werkzeug.urls.url_parse": _QUOTE.format("urlsplit"),
    "werkzeug.urls.url_unparse": _QUOTE.format("urlunsplit"),
    "werkzeug.urls.url_join": _QUOTE.format("urljoin"),
    "werkzeug.urls.url_fix": "write duoflask.http.uri.iri_to_uri",
    "werkzeug.security.safe_str_cmp": "write hmac.compare_digest",
    "werkzeug.security.pbkdf2_hex": "write hashlib.pbkdf2_hmac(...).hex()",
    "werkzeug.security.pbkdf2_bin": "write hashlib.pbkdf2_hmac",
    "werkzeug.wrappers.BaseRequest": "write duoflask.Request",
    "werkzeug.wrappers.BaseResponse": "write duoflask.Response",
    "werkzeug.contrib": "it is gone from Werkzeug since 1.0: duoflask.middleware has ProxyFix",
    "werkzeug.debug": "set debug mode: 'duoflask --debug run'",
    "quart_cors": "write duoflask.middleware.CORSMiddleware.install(app, ...)",
    "quart_csrf": "write duoflask.csrf",
    "quart_auth": "use flask_login, with 'import duoflask.flask_patch' first",
    "quart_flask_patch": "write 'import duoflask.flask_patch'",
    "quart_trio": "write DuoFlask: it runs on trio, too, where the server does ('hypercorn -k trio asgi:hello:app')",
    "quart_session": "set SESSION_STORE: sessions on the server are built in",
}

_NOT_NEEDED: Final = "not needed: the app itself is an ASGI and a WSGI application; name it to the server"
# Modules of adapters between WSGI and ASGI.
ADAPTERS: Final = {
    **dict.fromkeys(("asgiref.wsgi", "a2wsgi", "uvicorn.middleware.wsgi", "hypercorn.middleware.wsgi"), _NOT_NEEDED),
    "hypercorn.middleware": _NOT_NEEDED,
    "starlette.middleware.wsgi": f"{_NOT_NEEDED}; app.mount() takes a Starlette application below a prefix",
    "fastapi.middleware.wsgi": f"{_NOT_NEEDED}; app.mount() takes a FastAPI application below a prefix",
    "asgiref.sync": "seldom needed: hooks and views may be 'async def', and a 'def' one runs in a thread under ASGI",
}

_FLASK_WORD_RE: Final = re.compile(r"(?:^|_)flask(?:$|_)|flaskparser$")
_OTHER_EXTENSIONS: Final = frozenset({"apiflask", "connexion", "dash", "eve", "flasgger"})


class Place(NamedTuple):
    """Where a name stands here."""

    module: str
    name: str


def is_module(full: str) -> bool:
    """Say whether a dotted name is a module of Flask, Werkzeug or Quart."""
    return full in _TABLES


def place_of(module: str, name: str) -> Place | None:
    """Return what has the place of a module's name; None if nothing has."""
    found = _TABLES.get(module, {}).get(name)
    return None if found is None else Place(*found)


def homes(module: str) -> list[str]:
    """Return the modules that hold the names of one of Flask's; the one of the same name alone, if it is among them."""
    found = {home for home, _ in _TABLES.get(module, {}).values() if home != "markupsafe"}
    same = "duoflask." + module.partition(".")[2]
    return [same] if same in found else sorted(found)


def advice(full: str) -> str:
    """Say what to write instead of a dotted name that has no place here."""
    parts = full.split(".")
    for end in range(len(parts), 0, -1):
        known = _ADVICE.get(".".join(parts[:end]))
        if known is None and parts[0] == "quart":
            known = _ADVICE.get(".".join(["flask", *parts[1:end]]))
        if known is not None:
            return f"{full}: {known}"
    if parts[0].startswith("quart_"):
        return (
            f"{full}: Quart's extensions do not work here; look for Flask's, with 'import duoflask.flask_patch' first"
        )
    return f"{full}: duoflask has no such name"


def extension(module: str) -> bool:
    """Say whether a dotted module looks like one that imports Flask."""
    parts = module.split(".")
    if parts[0] in ("flask", "duoflask", "quart_flask_patch"):
        return False
    return parts[0] in _OTHER_EXTENSIONS or any(_FLASK_WORD_RE.search(part) for part in parts)
