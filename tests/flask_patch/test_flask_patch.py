"""What `flask` and `werkzeug` are after `import duoflask.flask_patch`, each case in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final

import pytest

import duoflask

# Has Flask and Werkzeug look as if they were not installed: neither found nor known to importlib.metadata.
NOT_INSTALLED: Final = """
import sys
from importlib.machinery import PathFinder
from importlib.metadata import MetadataPathFinder

find_spec, find_distributions = PathFinder.find_spec, MetadataPathFinder.find_distributions

def hidden_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in ("flask", "werkzeug") else find_spec(name, path, target)

def hidden_distributions(context):
    for found in find_distributions(context):
        if found.metadata["Name"].lower() not in ("flask", "werkzeug"):
            yield found

PathFinder.find_spec, MetadataPathFinder.find_distributions = hidden_spec, hidden_distributions
"""

# What extensions and applications import of Flask and Werkzeug.
NAMES: Final = """
flask: Blueprint Config Flask Request Response __version__ abort after_this_request appcontext_popped
flask: appcontext_pushed appcontext_tearing_down before_render_template copy_current_request_context current_app
flask: flash g get_flashed_messages get_template_attribute got_request_exception has_app_context
flask: has_request_context json jsonify make_response message_flashed redirect render_template
flask: render_template_string request request_finished request_started request_tearing_down send_file
flask: send_from_directory session stream_template stream_template_string stream_with_context template_rendered
flask: url_for
flask.app: App Flask Rule
flask.blueprints: Blueprint BlueprintSetupState
flask.cli: AppGroup CertParamType FlaskGroup NoAppException ScriptInfo SeparatedPathType cli click
flask.cli: find_app_by_string find_best_app get_version load_dotenv locate_app main pass_script_info prepare_import
flask.cli: routes_command run_command shell_command show_server_banner version_option with_appcontext
flask.config: Config ConfigAttribute
flask.ctx: AppContext RequestContext _AppCtxGlobals after_this_request copy_current_request_context has_app_context
flask.ctx: has_request_context
flask.debughelpers: DebugFilesKeyError FormDataRoutingRedirect UnexpectedUnicodeError
flask.debughelpers: attach_enctype_error_multidict explain_template_loading_attempts
flask.globals: _cv_app _cv_request app_ctx current_app g request request_ctx session
flask.helpers: abort flash get_debug_flag get_flashed_messages get_load_dotenv get_root_path get_template_attribute
flask.helpers: make_response redirect send_file send_from_directory stream_with_context url_for
flask.json: _json dump dumps jsonify load loads
flask.json.provider: DefaultJSONProvider JSONProvider
flask.json.tag: JSONTag PassDict PassList TagBytes TagDateTime TagDict TagMarkup TagTuple TagUUID
flask.json.tag: TaggedJSONSerializer
flask.logging: create_logger default_handler has_level_handler wsgi_errors_stream
flask.sansio.app: App
flask.sansio.blueprints: Blueprint BlueprintSetupState
flask.sansio.scaffold: Scaffold _endpoint_from_view_func setupmethod
flask.sessions: NullSession SecureCookieSession SecureCookieSessionInterface SessionInterface SessionMixin
flask.sessions: session_json_serializer
flask.signals: Namespace before_render_template got_request_exception message_flashed request_started
flask.templating: DispatchingJinjaLoader Environment _render render_template render_template_string stream_template
flask.templating: stream_template_string
flask.testing: EnvironBuilder FlaskCliRunner FlaskClient
flask.typing: AfterRequestCallable AppOrBlueprintKey BeforeRequestCallable ErrorHandlerCallable HeaderValue
flask.typing: HeadersValue ResponseClass ResponseReturnValue ResponseValue RouteCallable TeardownCallable
flask.views: MethodView View http_method_funcs
flask.wrappers: Request Response
werkzeug: Client Request Response run_simple
werkzeug._internal: _log
werkzeug._reloader: run_with_reloader
werkzeug.datastructures: Accept Authorization CallbackDict CharsetAccept CombinedMultiDict ContentRange
werkzeug.datastructures: ContentSecurityPolicy ETags EnvironHeaders FileMultiDict FileStorage HeaderSet Headers
werkzeug.datastructures: IfRange ImmutableDict ImmutableList ImmutableMultiDict LanguageAccept MIMEAccept MultiDict
werkzeug.datastructures: Range RequestCacheControl ResponseCacheControl TypeConversionDict WWWAuthenticate
werkzeug.datastructures: iter_multi_items
werkzeug.datastructures.structures: MultiDict
werkzeug.debug: DebuggedApplication
werkzeug.debug.tbtools: DebugTraceback
werkzeug.exceptions: Aborter BadRequest BadRequestKeyError ClientDisconnected Conflict Forbidden HTTPException
werkzeug.exceptions: InternalServerError MethodNotAllowed NotAcceptable NotFound PreconditionFailed
werkzeug.exceptions: PreconditionRequired RequestEntityTooLarge SecurityError TooManyRequests Unauthorized
werkzeug.exceptions: UnsupportedMediaType _aborter abort default_exceptions
werkzeug.formparser: FormDataParser MultiPartParser default_stream_factory parse_form_data
werkzeug.http: HTTP_STATUS_CODES dump_cookie dump_header dump_options_header generate_etag http_date
werkzeug.http: is_resource_modified parse_accept_header parse_cookie parse_date parse_dict_header parse_etags
werkzeug.http: parse_list_header parse_options_header parse_range_header parse_set_header quote_etag unquote_etag
werkzeug.local: Local LocalManager LocalProxy LocalStack release_local
werkzeug.middleware.dispatcher: DispatcherMiddleware
werkzeug.middleware.profiler: ProfilerMiddleware
werkzeug.middleware.proxy_fix: ProxyFix
werkzeug.middleware.shared_data: SharedDataMiddleware
werkzeug.routing: AnyConverter BaseConverter BuildError EndpointPrefix FloatConverter IntegerConverter Map
werkzeug.routing: MapAdapter PathConverter RequestRedirect RoutingException Rule RuleFactory RuleTemplate Subdomain
werkzeug.routing: Submount UUIDConverter UnicodeConverter ValidationError
werkzeug.security: check_password_hash gen_salt generate_password_hash safe_join
werkzeug.serving: BaseWSGIServer LISTEN_QUEUE ThreadedWSGIServer WSGIRequestHandler connection_dropped_errors
werkzeug.serving: get_interface_ip get_sockaddr is_running_from_reloader make_server run_simple
werkzeug.serving: select_address_family
werkzeug.test: Client ClientRedirectError Cookie EnvironBuilder TestResponse create_environ encode_multipart
werkzeug.test: run_wsgi_app stream_encode_multipart
werkzeug.urls: iri_to_uri uri_to_iri
werkzeug.utils: ImportStringError append_slash_redirect cached_property environ_property find_modules
werkzeug.utils: get_content_type header_property import_string redirect safe_join secure_filename send_file
werkzeug.utils: send_from_directory
werkzeug.wrappers: Request Response
werkzeug.wrappers.request: UnsupportedMediaType
werkzeug.wsgi: ClosingIterator FileWrapper LimitedStream get_content_length get_current_url get_host
werkzeug.wsgi: get_input_stream get_path_info responder wrap_file
"""

# What Flask 3.1 and Werkzeug 3.1 no longer have: where it exists, extensions take the path for an older Flask.
ABSENT: Final = """
flask: Markup Module _app_ctx_stack _request_ctx_stack before_first_request escape ext globals_ helpers_ websocket
flask: DuoFlask _render_template async_to_sync
flask.globals: _app_ctx_stack _request_ctx_stack
flask.helpers: _endpoint_from_view_func locked_cached_property safe_join total_seconds
flask.json: JSONDecoder JSONEncoder htmlsafe_dumps
flask.sessions: total_seconds
flask.signals: signals_available
werkzeug: cached_property secure_filename url_encode
werkzeug.debug.tbtools: get_current_traceback
werkzeug.http: parse_authorization_header parse_www_authenticate_header
werkzeug.urls: url_decode url_encode url_parse url_quote
werkzeug.utils: escape
werkzeug.wrappers: BaseRequest BaseResponse
werkzeug.wsgi: DispatcherMiddleware
"""
ABSENT_MODULES: Final = [
    "flask._compat",
    "flask.ext",
    "flask.exthook",
    "flask.module",
    "flask.sansio.globals",
    "flask.scaffold",
    "werkzeug.contrib",
    "werkzeug.contrib.fixers",
    "werkzeug.exceptions.http",
    "werkzeug.useragents",
    "werkzeug.wrappers.base_response",
]


def run(code: str, *options: str, **environ: str) -> str:
    """Run code in a new process; return what it printed."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(Path(duoflask.__file__).parents[1]), **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def table(text: str) -> str:
    """A table as the source of a list of pairs."""
    lines = [line.split(": ") for line in text.strip().splitlines()]
    return repr([(module, names.split()) for module, names in lines])


@pytest.mark.parametrize("before", ["", NOT_INSTALLED], ids=["installed", "not installed"])
def test_every_name_resolves_to_ours(before: str) -> None:
    code = f"""
import importlib
import duoflask.flask_patch

for module, names in {table(NAMES)}:
    found = importlib.import_module(module)
    for name in names:
        namespace = {{}}
        exec(f"from {{module}} import {{name}}", namespace)
        assert namespace[name] is getattr(found, name), (module, name)
        assert name in dir(found), (module, name)

import sys
for name, module in sys.modules.items():
    if name.partition(".")[0] in ("flask", "werkzeug"):
        assert getattr(module, "__file__", None) is None, name
print("all")
"""
    assert run(before + code) == "all"


@pytest.mark.parametrize("before", ["", NOT_INSTALLED], ids=["installed", "not installed"])
def test_names_of_older_versions_stay_absent(before: str) -> None:
    code = f"""
import importlib
import duoflask.flask_patch

for module, names in {table(ABSENT)}:
    found = importlib.import_module(module)
    for name in names:
        assert not hasattr(found, name), (module, name)
        try:
            exec(f"from {{module}} import {{name}}", {{}})
        except ImportError as error:
            assert name in str(error) and module in str(error), error
        else:
            raise AssertionError((module, name))
for module in {ABSENT_MODULES!r}:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        assert error.name in (module, module.rpartition(".")[0]), (module, error.name)
    else:
        raise AssertionError(module)
print("none")
"""
    assert run(before + code) == "none"


def test_isinstance_and_except_clauses_meet_the_same_classes() -> None:
    code = """
    import duoflask.flask_patch
    import duoflask, duoflask.exceptions, duoflask.testing, duoflask.views
    import flask, flask.views, flask.testing
    import werkzeug, werkzeug.exceptions, werkzeug.wrappers
    from flask.sansio.app import App
    from werkzeug.datastructures import ImmutableMultiDict
    from werkzeug.local import LocalProxy

    assert flask.Flask is duoflask.Flask and flask.Blueprint is duoflask.Blueprint
    assert flask.views.View is duoflask.views.View
    app = flask.Flask("a")

    @app.route("/")
    def index():
        assert isinstance(flask.current_app, flask.Flask) and isinstance(flask.current_app, App)
        assert isinstance(flask.request, flask.Request) and isinstance(flask.request, werkzeug.Request)
        assert isinstance(flask.request.args, ImmutableMultiDict)
        assert isinstance(flask.request, LocalProxy) or hasattr(flask.request, "_get_current_object")
        made = flask.make_response("")
        assert isinstance(made, flask.Response) and isinstance(made, werkzeug.wrappers.Response)
        try:
            flask.abort(404)
        except werkzeug.exceptions.NotFound as error:
            assert isinstance(error, werkzeug.exceptions.HTTPException)
            assert isinstance(error, duoflask.HTTPException)
        return "ok"

    for protocol in ("wsgi", "asgi"):
        with app.test_client(protocol=protocol) as client:
            assert isinstance(client, flask.testing.FlaskClient)
            response = client.get("/")
            assert response.text == "ok", response.text
            assert isinstance(response, werkzeug.Response) and isinstance(response, flask.Response)
    print("same")
    """
    assert run(code) == "same"


@pytest.mark.parametrize("early", ["flask", "werkzeug", "flask.json.tag", "werkzeug.exceptions"])
def test_importing_flask_before_is_an_error_that_says_so(early: str) -> None:
    code = f"""
    import {early}
    try:
        import duoflask.flask_patch
    except ImportError as error:
        print(error)
    """
    message = run(code)
    assert "duoflask.flask_patch was imported after" in message
    assert "write 'import duoflask.flask_patch' above every other import" in message


def test_a_second_import_and_a_second_call_change_nothing() -> None:
    code = """
    import sys
    import duoflask.flask_patch
    import flask
    before = list(sys.meta_path)
    duoflask.flask_patch.install()
    import importlib
    importlib.reload(duoflask.flask_patch)
    assert sys.meta_path == before
    assert sys.modules["flask"] is flask and flask.Flask is duoflask.Flask
    """
    run(code)


@pytest.mark.parametrize("before", ["", NOT_INSTALLED], ids=["installed", "not installed"])
def test_metadata_names_the_versions_whose_interface_this_is(before: str) -> None:
    code = """
import duoflask.flask_patch
import importlib.metadata as metadata

import flask
print(metadata.version("flask"), metadata.version("Flask"), metadata.version("werkzeug"), flask.__version__)
print(metadata.metadata("flask")["Name"].lower(), metadata.distribution("Werkzeug").version)
for unknown in ("flask-no-such-extension", "flaskr-nothing"):
    try:
        metadata.version(unknown)
    except metadata.PackageNotFoundError:
        pass
    else:
        raise AssertionError(unknown)
assert metadata.version("click")
metadata.entry_points(group="flask.commands")
"""
    assert run(before + code).split() == ["3.1.3", "3.1.3", "3.1.9", "3.1.3", "flask", "3.1.9"]


def test_metadata_of_another_installed_version_is_not_believed(tmp_path: Path) -> None:
    for name, version in (("flask", "1.1.2"), ("werkzeug", "1.0.0")):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    code = f"""
    import sys
    sys.path.insert(0, {str(tmp_path)!r})
    import duoflask.flask_patch
    import importlib.metadata as metadata
    print(metadata.version("flask"), metadata.version("werkzeug"))
    """
    assert run(code) == "3.1.3 3.1.9"


def test_what_is_replaced_for_a_test_is_what_runs_and_is_put_back() -> None:
    code = """
    import duoflask.flask_patch
    from unittest import mock
    import pytest
    import flask, duoflask, duoflask.helpers, duoflask.http.paths

    original = duoflask.helpers.url_for
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("flask.helpers.url_for", lambda *args: "replaced")
    assert duoflask.helpers.url_for("x") == flask.helpers.url_for("x") == "replaced"
    monkeypatch.undo()
    assert duoflask.helpers.url_for is flask.helpers.url_for is original

    with mock.patch("flask.helpers.url_for") as fake:
        assert duoflask.helpers.url_for is flask.helpers.url_for is fake
    assert duoflask.helpers.url_for is flask.helpers.url_for is original

    original = duoflask.http.paths.secure_filename
    with mock.patch("flask.helpers.werkzeug.utils.secure_filename") as fake:
        assert duoflask.http.paths.secure_filename is fake
    assert duoflask.http.paths.secure_filename is original

    # a name that duoflask has not is set on the stand-in alone
    monkeypatch.setattr(flask, "brand_new", 1, raising=False)
    assert flask.brand_new == 1 and not hasattr(duoflask, "brand_new")
    monkeypatch.undo()
    assert not hasattr(flask, "brand_new")
    """
    run(code)


def test_an_import_with_a_star_brings_the_public_names() -> None:
    code = """
    import duoflask.flask_patch
    from flask import *
    from werkzeug.exceptions import *
    assert Flask and request is not None and NotFound
    print(len([name for name in dir() if name[0] != "_"]) > 70)
    """
    assert run(code) == "True"


def test_submodules_are_attributes_and_modules() -> None:
    code = """
    import duoflask.flask_patch
    import types
    import flask, werkzeug
    assert flask.json.provider.DefaultJSONProvider and flask.sansio.app.App
    assert werkzeug.datastructures.structures.MultiDict and werkzeug.exceptions.NotFound
    import flask.json.tag as tag
    assert isinstance(tag, types.ModuleType) and tag.__name__ == "flask.json.tag"
    assert repr(flask) and flask.__doc__ and flask.__spec__.name == "flask"
    """
    run(code)


def test_extension_that_was_written_for_flask_runs_unmodified(tmp_path: Path) -> None:
    (tmp_path / "flask_greeting.py").write_text(
        textwrap.dedent("""
            from flask import Blueprint, current_app, g
            from flask.signals import Namespace, request_started
            from werkzeug.local import LocalProxy

            greeted = Namespace().signal("greeted")
            greeter = LocalProxy(lambda: current_app.extensions["greeting"])

            class Greeting:
                def __init__(self, app=None):
                    self.count = 0
                    if app is not None:
                        self.init_app(app)

                def init_app(self, app):
                    app.extensions["greeting"] = self
                    app.config.setdefault("GREETING", "hello")
                    app.before_request(self.remember)
                    app.context_processor(lambda: {"greeting": app.config["GREETING"]})
                    app.register_blueprint(bp)

                def remember(self):
                    self.count += 1
                    g.greeting = current_app.config["GREETING"]

            bp = Blueprint("greeting", __name__, url_prefix="/greeting")

            @bp.route("/")
            def index():
                greeted.send(current_app._get_current_object())
                return f"{g.greeting} {greeter.count}"
        """)
    )
    code = """
    import duoflask.flask_patch
    from flask import Flask, render_template_string
    from flask_greeting import Greeting, greeted

    app = Flask("a")
    Greeting(app)
    seen = []
    greeted.connect(seen.append, app, weak=False)

    @app.route("/page")
    async def page():
        return render_template_string("{{ greeting }}, you")

    for number, protocol in enumerate(("wsgi", "asgi")):
        client = app.test_client(protocol=protocol)
        assert client.get("/greeting/").text == f"hello {2 * number + 1}"
        assert client.get("/page").text == "hello, you"
        client.close()
    print(seen == [app, app])
    """
    path = os.pathsep.join([str(Path(duoflask.__file__).parents[1]), str(tmp_path)])
    assert run(code, PYTHONPATH=path) == "True"


def test_as_a_pytest_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import flask, duoflask\n\ndef test_flask():\n    assert flask.Flask is duoflask.Flask\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "duoflask.flask_patch", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(duoflask.__file__).parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr


def test_importing_the_stand_ins_imports_nothing_heavy() -> None:
    code = """
    import sys
    import duoflask
    before = set(sys.modules)
    import duoflask.flask_patch, flask, werkzeug, flask.globals
    new = {name for name in set(sys.modules) - before if name.partition(".")[0] not in ("flask", "werkzeug")}
    assert not new & {"jinja2", "ssl", "sqlite3", "h11", "duoflask.server"}, new
    """
    run(code)
