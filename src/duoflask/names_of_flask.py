"""Which names stand where, in Flask 3.1 and Werkzeug 3.1 and here. Data, and how it is read.

Owns the tables of `flask_patch` and `migrate`. Imports nothing of what it names.

For each module that is stood in for: our modules, and the names taken from each. `here=there` renames; under "" stand
modules. What Flask 3.1 no longer has is left out on purpose: extensions ask for it to find out which Flask they run on.
"""

from __future__ import annotations

from typing import Final

from .versions import FLASK_VERSION, WERKZEUG_VERSION

__all__ = ["MODULES", "VERSIONS", "places"]

VERSIONS: Final = {"flask": FLASK_VERSION, "werkzeug": WERKZEUG_VERSION}

_SIGNALS: Final = (
    "appcontext_popped appcontext_pushed appcontext_tearing_down before_render_template got_request_exception "
    "message_flashed request_finished request_started request_tearing_down template_rendered"
)
_ERRORS: Final = (
    "BadGateway BadHost BadRequest BadRequestKeyError ClientDisconnected Conflict ExpectationFailed FailedDependency "
    "Forbidden GatewayTimeout Gone HTTPException HTTPVersionNotSupported ImATeapot InternalServerError LengthRequired "
    "Locked MethodNotAllowed MisdirectedRequest NotAcceptable NotFound NotImplemented PreconditionFailed "
    "PreconditionRequired RequestEntityTooLarge RequestHeaderFieldsTooLarge RequestTimeout RequestURITooLarge "
    "RequestedRangeNotSatisfiable SecurityError ServiceUnavailable TooManyRequests Unauthorized "
    "UnavailableForLegalReasons UnprocessableEntity UnsupportedMediaType default_exceptions"
)
_STRUCTURES: Final = {
    "accept": "Accept CharsetAccept LanguageAccept MIMEAccept",
    "auth": "Authorization WWWAuthenticate",
    "cache_control": "RequestCacheControl ResponseCacheControl",
    "csp": "ContentSecurityPolicy",
    "etag": "ETags",
    "file_storage": "FileMultiDict FileStorage",
    "headers": "EnvironHeaders Headers",
    "mixins": "ImmutableDictMixin ImmutableHeadersMixin ImmutableListMixin ImmutableMultiDictMixin UpdateDictMixin",
    "range": "ContentRange IfRange Range",
    "structures": (
        "CallbackDict CombinedMultiDict HeaderSet ImmutableDict ImmutableList ImmutableMultiDict "
        "ImmutableOrderedMultiDict ImmutableTypeConversionDict MultiDict OrderedMultiDict TypeConversionDict "
        "_ImmutableOrderedMultiDict=ImmutableOrderedMultiDict _OrderedMultiDict=OrderedMultiDict iter_multi_items"
    ),
}
_HTTP: Final = (
    "COEP COOP HTTP_STATUS_CODES dump_age dump_cookie dump_csp_header dump_header dump_options_header generate_etag "
    "http_date is_byte_range_valid is_entity_header is_hop_by_hop_header is_resource_modified parse_accept_header "
    "parse_age parse_cache_control_header parse_content_range_header parse_cookie parse_csp_header parse_date "
    "parse_dict_header parse_etags parse_if_range_header parse_list_header parse_options_header parse_range_header "
    "parse_set_header quote_etag quote_header_value remove_entity_headers remove_hop_by_hop_headers unquote_etag "
    "unquote_header_value"
)
_CONVERTERS: Final = (
    "AnyConverter BaseConverter FloatConverter IntegerConverter PathConverter UUIDConverter UnicodeConverter "
    "ValidationError"
)
_ROUTING_ERRORS: Final = (
    "BuildError NoMatch RequestAliasRedirect RequestPath RequestRedirect RoutingException WebsocketMismatch"
)
_RULES: Final = (
    "EndpointPrefix Rule RuleFactory RuleTemplate RuleTemplateFactory Subdomain Submount parse_converter_args"
)
_PROXIES: Final = "app_ctx current_app g request request_ctx session"

_FLASK: Final[dict[str, dict[str, str]]] = {
    "flask": {
        "duoflask": (
            "Blueprint Config Flask Request Response abort after_this_request copy_current_request_context current_app "
            "flash g get_flashed_messages get_template_attribute has_app_context has_request_context json jsonify "
            "make_response redirect render_template render_template_string request send_file send_from_directory "
            f"session stream_template stream_template_string stream_with_context url_for {_SIGNALS}"
        ),
        "duoflask.versions": "__version__=FLASK_VERSION",
        "": "json=flask.json",
    },
    "flask.app": {
        "duoflask.app": "App=Flask Flask",
        "duoflask.config": "get_debug_flag get_load_dotenv",
        "duoflask.ctx": "AppContext RequestContext",
        "duoflask.exceptions": "BadRequestKeyError HTTPException InternalServerError",
        "duoflask.files": "send_from_directory",
        "duoflask.flashing": "get_flashed_messages",
        "duoflask.globals": "_cv_app _cv_request current_app g request request_ctx session",
        "duoflask.http.headers": "Headers",
        "duoflask.http.immutable": "ImmutableDict",
        "duoflask.request": "Request",
        "duoflask.response": "Response",
        "duoflask.routing": "BuildError MapAdapter RequestRedirect RoutingException Rule",
        "duoflask.sessions": "SecureCookieSessionInterface SessionInterface",
        "duoflask.serving": "is_running_from_reloader",
        "duoflask.signals": (
            "appcontext_tearing_down got_request_exception request_finished request_started request_tearing_down"
        ),
        "duoflask.templating": "Environment",
        "": "cli=flask.cli click",
    },
    "flask.blueprints": {
        "duoflask.blueprints": "Blueprint BlueprintSetupState",
        "duoflask.command_groups": "AppGroup",
        "duoflask.files": "send_from_directory",
        "duoflask.globals": "current_app",
    },
    "flask.cli": {
        "duoflask.cli": (
            "AppGroup CertParamType FlaskGroup NoAppException ScriptInfo SeparatedPathType cli find_app_by_string "
            "find_best_app get_version load_dotenv locate_app main pass_script_info prepare_import routes_command "
            "run_command shell_command show_server_banner version_option with_appcontext"
        ),
        "duoflask.config": "get_debug_flag get_load_dotenv",
        "duoflask.globals": "current_app",
        "duoflask.imports": "import_string",
        "duoflask.serving": "is_running_from_reloader run_simple",
        "": "click",
    },
    "flask.config": {"duoflask.config": "Config ConfigAttribute"},
    "flask.ctx": {
        "duoflask.ctx": (
            "AppContext RequestContext after_this_request copy_current_request_context has_app_context "
            "has_request_context"
        ),
        "duoflask.app_globals": "_AppCtxGlobals",
        "duoflask.exceptions": "HTTPException",
        "duoflask.globals": "_cv_app _cv_request",
        "duoflask.signals": "appcontext_popped appcontext_pushed",
    },
    "flask.debughelpers": {
        "duoflask.debughelpers": (
            "DebugFilesKeyError FormDataRoutingRedirect UnexpectedUnicodeError attach_enctype_error_multidict"
        ),
        "duoflask.templating": "explain_template_loading_attempts",
    },
    "flask.globals": {"duoflask.globals": f"{_PROXIES} _cv_app _cv_request", "duoflask.local": "LocalProxy"},
    "flask.helpers": {
        "duoflask.helpers": (
            "abort flash get_debug_flag get_flashed_messages get_load_dotenv get_root_path make_response redirect "
            "send_file send_from_directory stream_with_context url_for"
        ),
        "duoflask.templating": "get_template_attribute",
        "duoflask.globals": "_cv_app _cv_request current_app request request_ctx session",
        "duoflask.response": "BaseResponse",
        "duoflask.signals": "message_flashed",
        "": "werkzeug",
    },
    "flask.json": {
        "duoflask.json": "dump dumps jsonify load loads",
        "duoflask.globals": "current_app",
        "": "_json=json",
    },
    "flask.json.provider": {"duoflask.json.provider": "DefaultJSONProvider JSONProvider", "": "json"},
    "flask.json.tag": {
        "duoflask.json.tag": (
            "JSONTag PassDict PassList TagBytes TagDateTime TagDict TagMarkup TagTuple TagUUID TaggedJSONSerializer"
        )
    },
    "flask.logging": {
        "duoflask.logging": "create_logger default_handler has_level_handler wsgi_errors_stream",
        "duoflask.globals": "request",
        "duoflask.local": "LocalProxy",
    },
    "flask.sansio": {},
    "flask.sansio.app": {"duoflask.app": "App=Flask"},
    "flask.sansio.blueprints": {"duoflask.blueprints": "Blueprint BlueprintSetupState"},
    "flask.sansio.scaffold": {
        "duoflask.scaffold": "Scaffold _endpoint_from_view_func setupmethod",
        "duoflask.helpers": "get_root_path",
    },
    "flask.sessions": {
        "duoflask.sessions": (
            "NullSession SecureCookieSession SecureCookieSessionInterface SessionInterface SessionMixin "
            "session_json_serializer"
        ),
        "duoflask.http.callback_dict": "CallbackDict",
        "duoflask.json.tag": "TaggedJSONSerializer",
        "itsdangerous": "BadSignature URLSafeTimedSerializer",
    },
    "flask.signals": {"duoflask.signals": f"Namespace {_SIGNALS}"},
    "flask.templating": {
        "duoflask.templating": (
            "DispatchingJinjaLoader Environment _render _stream render_template render_template_string stream_template "
            "stream_template_string"
        ),
        "duoflask.globals": "_cv_app _cv_request current_app request",
        "duoflask.helpers": "stream_with_context",
        "duoflask.signals": "before_render_template template_rendered",
        "jinja2": "BaseLoader Template TemplateNotFound",
    },
    "flask.testing": {
        "duoflask.testing": "Client EnvironBuilder FlaskCliRunner FlaskClient=Client",
        "duoflask.app_loading": "ScriptInfo",
        "duoflask.sessions": "SessionMixin",
    },
    "flask.typing": {
        "duoflask.typing": (
            "AfterRequestCallable AppOrBlueprintKey BeforeFirstRequestCallable BeforeRequestCallable "
            "ErrorHandlerCallable HeaderValue HeadersValue ResponseClass ResponseReturnValue ResponseValue "
            "RouteCallable ShellContextProcessorCallable TeardownCallable TemplateContextProcessorCallable "
            "TemplateFilterCallable TemplateGlobalCallable TemplateTestCallable URLDefaultCallable "
            "URLValuePreprocessorCallable"
        )
    },
    "flask.views": {
        "duoflask.views": "MethodView View http_method_funcs",
        "duoflask.globals": "current_app request",
    },
    "flask.wrappers": {
        "duoflask.exceptions": "BadRequest HTTPException",
        "duoflask.globals": "current_app",
        "duoflask.request": "Request RequestBase=Request",
        "duoflask.response": "Response ResponseBase=BaseResponse",
        "": "json=flask.json",
    },
}

_WERKZEUG: Final[dict[str, dict[str, str]]] = {
    "werkzeug": {
        "duoflask.request": "Request",
        "duoflask.response": "Response=BaseResponse",
        "duoflask.serving": "run_simple",
        "duoflask.testing": "Client",
    },
    "werkzeug._internal": {
        "duoflask.serving": "_log",
        "duoflask.http.environ": "_wsgi_decoding_dance=wsgi_decoded _wsgi_encoding_dance=wsgi_encoded",
    },
    "werkzeug._reloader": {"duoflask.serving": "run_with_reloader"},
    "werkzeug.datastructures": {"duoflask.datastructures": " ".join(_STRUCTURES.values())},
    **{f"werkzeug.datastructures.{name}": {"duoflask.datastructures": names} for name, names in _STRUCTURES.items()},
    "werkzeug.debug": {"duoflask.debug": "DebugTraceback DebuggedApplication"},
    "werkzeug.debug.tbtools": {"duoflask.debug": "DebugTraceback"},
    "werkzeug.exceptions": {"duoflask.exceptions": f"Aborter _aborter abort {_ERRORS}"},
    "werkzeug.formparser": {
        "duoflask.http.forms": (
            "FormDataParser MultiPartParser SpooledTemporaryFile default_stream_factory parse_form_data"
        )
    },
    "werkzeug.http": {"duoflask.http": _HTTP},
    "werkzeug.local": {"duoflask.local": "Local LocalManager LocalProxy LocalStack release_local"},
    "werkzeug.middleware": {},
    "werkzeug.middleware.dispatcher": {"duoflask.middleware": "DispatcherMiddleware"},
    "werkzeug.middleware.http_proxy": {"duoflask.middleware.http_proxy": "ProxyMiddleware"},
    "werkzeug.middleware.lint": {"duoflask.middleware.lint": "HTTPWarning LintMiddleware WSGIWarning"},
    "werkzeug.middleware.profiler": {"duoflask.middleware.profiler": "Profile ProfilerMiddleware"},
    "werkzeug.middleware.proxy_fix": {"duoflask.middleware": "ProxyFix"},
    "werkzeug.middleware.shared_data": {"duoflask.middleware": "SharedDataMiddleware"},
    "werkzeug.routing": {
        "duoflask.routing": f"Map MapAdapter StateMachineMatcher {_CONVERTERS} {_ROUTING_ERRORS} {_RULES}"
    },
    "werkzeug.routing.converters": {"duoflask.routing": _CONVERTERS},
    "werkzeug.routing.exceptions": {"duoflask.routing": _ROUTING_ERRORS},
    "werkzeug.routing.map": {"duoflask.routing": "Map MapAdapter"},
    "werkzeug.routing.matcher": {"duoflask.routing": "StateMachineMatcher"},
    "werkzeug.routing.rules": {"duoflask.routing": _RULES},
    "werkzeug.sansio": {},
    "werkzeug.sansio.http": {"duoflask.http": "is_resource_modified parse_cookie"},
    "werkzeug.sansio.multipart": {
        "duoflask.http.multipart_events": (
            "Data Epilogue Event Field File MultipartDecoder MultipartEncoder NeedData Preamble"
        )
    },
    "werkzeug.sansio.request": {"duoflask.http.standalone": "Request=StandaloneRequest"},
    "werkzeug.sansio.response": {"duoflask.response_fields": "Response=ResponseFields"},
    "werkzeug.sansio.utils": {
        "duoflask.http.standalone": "get_host=host_or_nothing",
        "duoflask.http.uri": "get_current_url host_is_trusted",
        "duoflask.http.environ": "get_content_length=content_length_of",
    },
    "werkzeug.security": {
        "duoflask.security": "DEFAULT_PBKDF2_ITERATIONS SALT_CHARS check_password_hash gen_salt generate_password_hash",
        "duoflask.http.paths": "safe_join",
    },
    "werkzeug.serving": {
        "duoflask.serving": (
            "BaseWSGIServer LISTEN_QUEUE ThreadedWSGIServer WSGIRequestHandler _log connection_dropped_errors "
            "generate_adhoc_ssl_context generate_adhoc_ssl_pair get_interface_ip get_sockaddr is_running_from_reloader "
            "is_ssl_error load_ssl_context make_server make_ssl_devcert run_simple select_address_family"
        )
    },
    "werkzeug.test": {
        "duoflask.testing": (
            "Client ClientRedirectError Cookie EnvironBuilder=PlainEnvironBuilder TestResponse create_environ "
            "encode_multipart run_wsgi_app stream_encode_multipart"
        )
    },
    "werkzeug.urls": {"duoflask.http.uri": "iri_to_uri uri_to_iri"},
    "werkzeug.user_agent": {"duoflask.http.user_agent": "UserAgent"},
    "werkzeug.utils": {
        "duoflask.file_for_environ": "send_file send_from_directory",
        "duoflask.http.descriptors": "cached_property",
        "duoflask.http.header_property": "environ_property header_property",
        "duoflask.http.paths": "safe_join secure_filename",
        "duoflask.imports": "ImportStringError find_modules import_string",
        "duoflask.urls": "append_slash_redirect redirect",
        "duoflask.http.wire": "get_content_type=content_type_of",
    },
    "werkzeug.wrappers": {
        "duoflask.request": "Request",
        "duoflask.response": "Response=BaseResponse",
        "duoflask.response_body": "ResponseStream",
    },
    "werkzeug.wrappers.request": {
        "duoflask.request": "Request",
        "duoflask.exceptions": "BadRequest UnsupportedMediaType",
    },
    "werkzeug.wrappers.response": {
        "duoflask.response": "Response=BaseResponse",
        "duoflask.response_body": "ResponseStream",
    },
    "werkzeug.wsgi": {
        "duoflask.http.body": "LimitedStream",
        "duoflask.http.uri": "host_is_trusted",
        "duoflask.http.environ": (
            "ClosingIterator FileWrapper get_content_length get_current_url get_host get_input_stream get_path_info "
            "responder wrap_file"
        ),
    },
}

MODULES: Final = {**_FLASK, **_WERKZEUG}


def places(table: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Each name's module and attribute there; `here=there` renames, and a name alone in "" is a module."""
    found = {}
    for module, names in table.items():
        for entry in names.split():
            name, _, attribute = entry.partition("=")
            found[name] = (module, attribute or name) if module else (attribute or name, "")
    return found
