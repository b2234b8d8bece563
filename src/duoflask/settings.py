"""An app's settings: its classes, its configuration, and what is worked out from them once and kept until they change.

Knows no request. Floor 6: a plan is made of what stands here.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final, cast

from .app_globals import _AppCtxGlobals
from .background import Background
from .bridge import DEFAULT_WORKER_THREADS, Workers, new_lock
from .config import Config, ConfigAttribute, get_debug_flag
from .dispatch import Steps
from .exceptions import Aborter
from .folders import instance_path_of
from .http.body import DEFAULT_MAX_SPOOLED_BODY
from .json.provider import DefaultJSONProvider, JSONProvider
from .lazy import LazyModule
from .limits import Limits
from .overrides import OverridePoints
from .plans import OVERRIDE_POINTS, Plan, WebsocketPlan, overridden
from .registration import Registration
from .registries import told_while_alive
from .request import Request
from .response import Response
from .routing import Map, Rule
from .sessions import ChosenInterface
from .timeouts import check_timeout
from .typing import App
from .unmatched import prefix_map

if TYPE_CHECKING:
    import logging

    from . import logging as app_logging, testing, websocket_object as websockets
else:
    app_logging = LazyModule(f"{__package__}.logging")
    websockets = LazyModule(f"{__package__}.websocket_object")

__all__ = ["Settings"]


def _as_timedelta(value: timedelta | int) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


class _StockWebsocket:
    """The class of WebSockets, imported at the first look; a subclass or an app may set another."""

    def __get__(self, instance: Any, owner: type) -> Any:
        return websockets.Websocket


class Settings(OverridePoints, Registration):
    """What an app is configured with."""

    request_class: type[Request] = Request
    response_class: type[Response] = Response
    aborter_class: type[Aborter] = Aborter
    app_ctx_globals_class: type[Any] = _AppCtxGlobals
    config_class: type[Config] = Config
    json_provider_class: type[JSONProvider] = DefaultJSONProvider
    url_rule_class: type[Rule] = Rule
    url_map_class: type[Map] = Map
    test_client_class: type[testing.Client] | None = None
    websocket_class: type[websockets.Websocket] = cast("type[websockets.Websocket]", _StockWebsocket())
    test_cli_runner_class: type[testing.FlaskCliRunner] | None = None
    session_interface = ChosenInterface()

    testing = ConfigAttribute[bool]("TESTING")
    secret_key = ConfigAttribute["str | bytes | None"]("SECRET_KEY")
    permanent_session_lifetime = ConfigAttribute[timedelta]("PERMANENT_SESSION_LIFETIME", get_converter=_as_timedelta)

    default_config: ClassVar[dict[str, Any]] = {
        "DEBUG": None,
        "TESTING": False,
        "PROPAGATE_EXCEPTIONS": None,
        "SECRET_KEY": None,
        "SECRET_KEY_FALLBACKS": None,
        "PERMANENT_SESSION_LIFETIME": timedelta(days=31),
        "USE_X_SENDFILE": False,
        "TRUSTED_HOSTS": None,
        "SERVER_NAME": None,
        "APPLICATION_ROOT": "/",
        "SESSION_COOKIE_NAME": "session",
        "SESSION_COOKIE_DOMAIN": None,
        "SESSION_COOKIE_PATH": None,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SECURE": False,
        "SESSION_COOKIE_PARTITIONED": False,
        "SESSION_COOKIE_SAMESITE": None,
        "SESSION_REFRESH_EACH_REQUEST": True,
        "SESSION_STORE": None,
        "SESSION_STORE_TIMEOUT": 2.0,
        "SESSION_KEY_PREFIX": "session:",
        "MAX_CONTENT_LENGTH": None,
        "MAX_FORM_MEMORY_SIZE": 500_000,
        "MAX_FORM_PARTS": 1_000,
        "MAX_SPOOLED_BODY": DEFAULT_MAX_SPOOLED_BODY,
        "SEND_FILE_MAX_AGE_DEFAULT": None,
        "TRAP_BAD_REQUEST_ERRORS": None,
        "TRAP_HTTP_EXCEPTIONS": False,
        "EXPLAIN_TEMPLATE_LOADING": False,
        "PREFERRED_URL_SCHEME": "http",
        "TEMPLATES_AUTO_RELOAD": None,
        "MAX_COOKIE_SIZE": 4093,
        "PROVIDE_AUTOMATIC_OPTIONS": True,
        "WORKER_THREADS": DEFAULT_WORKER_THREADS,
        "LIVE_RELOAD": True,
        "DEBUG_TRUSTED_HOSTS": None,
        "REQUEST_TIMEOUT": None,
        "BACKGROUND_TASK_SHUTDOWN_TIMEOUT": 5,
        "CANCEL_ON_DISCONNECT": True,
        "WEBSOCKET_MAX_MESSAGE_SIZE": 1 << 24,
        "WEBSOCKET_PING_INTERVAL": 20.0,
    }

    url_map: Map
    subdomain_matching: bool
    instance_path: str
    root_path: str
    config: Config
    _workers: Workers
    _background: Background

    def _keep_nothing(self) -> None:
        """Start with nothing worked out."""
        self._plans: dict[Any, Plan] = {}
        self._known: dict[str, dict[str, tuple[Rule, Plan]]] = {}  # static paths that have been matched, by method
        self._find: Callable[[str, str], tuple[Rule, dict[str, Any]] | None] | None = None
        self._prefixes: Map | None = None  # of the blueprints that answer what no rule matches
        self._limits = Limits()
        self._replaced: frozenset[str] = frozenset()
        self._steps = Steps(frozenset())
        self._quick_response: Callable[..., Response] | None = None
        self._text_type = Response._default_headers
        # What is worked out is stale while the version that it was made of is not the version of now.
        self._refreshed: object | None = None
        self._version = object()
        self._refreshing = new_lock()
        self._unprepared = True
        self._signing: tuple[Any, Any] | None = None  # the session cookie's serializer, and what it was made of
        self._session_colours: tuple[Any, tuple[bool, bool]] | None = None
        self._mounts: Any = None  # `mounting.Mounts`, from the first `mount` on

    # -- folders

    def auto_find_instance_path(self) -> str:
        """The instance folder of an app that is given none: `instance` beside its module or package."""
        return instance_path_of(self.import_name, self.name)

    def _checked_instance_path(self, path: str | None) -> str:
        if path is None:
            return self.auto_find_instance_path()
        if not os.path.isabs(path):
            raise ValueError(f"invalid instance_path; it must be absolute; got {path!r}")
        return path

    def open_instance_resource(self, resource: str, mode: str = "rb", encoding: str | None = "utf-8") -> IO[Any]:
        """Open a file of the instance folder, for reading or writing.

        Args:
            resource: Its path below `instance_path`.
            mode: As for `open`.
            encoding: Of a file in text mode.

        Raises:
            OSError: The file cannot be opened.
        """
        return open(os.path.join(self.instance_path, resource), mode, encoding=None if "b" in mode else encoding)

    def _add_static_route(self, host: str | None) -> None:
        """Serve the static folder, if there is one, as the endpoint `static`.

        Raises:
            AssertionError: A host without host matching, or the reverse.
        """
        if not self.has_static_folder:
            return
        if bool(host) is not self.url_map.host_matching:
            raise AssertionError(
                "Invalid static_host/host_matching combination: static files are served on one host exactly if whole "
                "hosts are matched. Pass static_host='...' with host_matching=True, or static_folder=None."
            )
        this = weakref.ref(self)  # the app must not be part of a cycle

        def static(**values: Any) -> Response:
            return this().send_static_file(**values)  # type: ignore[union-attr]

        self.add_url_rule(f"{self.static_url_path}/<path:filename>", "static", static, host=host)

    # -- configuration

    def make_config(self, instance_relative: bool = False) -> Config:
        """Make the configuration."""
        root = self.instance_path if instance_relative else self.root_path
        defaults = dict(self.default_config)
        defaults["DEBUG"] = get_debug_flag()
        return self.config_class(root, defaults)

    def make_aborter(self) -> Aborter:
        """Make the object that `abort` calls."""
        return self.aborter_class()

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name of the app: that of its module, or of the file that is run."""
        if self.import_name == "__main__":
            path = getattr(sys.modules["__main__"], "__file__", None)
            return "__main__" if path is None else os.path.splitext(os.path.basename(path))[0]
        return self.import_name

    @property
    def logger(self) -> logging.Logger:
        """The logger of the app's name, with a handler for stderr if logging is not configured."""
        logger = self.__dict__.get("_logger")
        if logger is None:
            logger = self.__dict__["_logger"] = app_logging.create_logger(self)
        return logger

    @logger.setter
    def logger(self, value: logging.Logger) -> None:
        self.__dict__["_logger"] = value

    @property
    def debug(self) -> bool:
        """Whether debug mode is on: `config["DEBUG"]`."""
        return self.config["DEBUG"]  # type: ignore[no-any-return]

    @debug.setter
    def debug(self, value: bool) -> None:
        self.config["DEBUG"] = value
        if self.config["TEMPLATES_AUTO_RELOAD"] is None and "jinja_env" in self.__dict__:
            self.jinja_env.auto_reload = value

    # -- what is kept until registries or configuration change

    def _registry_changed(self) -> None:
        self._plans = {}
        self._known = {}
        self._find = None
        self._version = object()

    def _config_changed(self) -> None:
        """Told by the configuration; a number of threads that cannot be is an error where it is set."""
        self._registry_changed()
        self._workers.limit = self.config["WORKER_THREADS"]
        check_timeout(self.config.get("REQUEST_TIMEOUT"))
        if self._background._workers is not None:
            self._background._workers.limit = self.config["WORKER_THREADS"]
        if self._mounts is not None:
            self._mounts.workers.limit = self.config["WORKER_THREADS"]
        self._unprepared = True  # it may have got another session store

    def _first_request_changed(self) -> None:
        self._unprepared = True

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in OVERRIDE_POINTS or name in _KEPT_FROM:
            self._registry_changed()
        elif name == "session_interface":
            self._unprepared = True

    def _refresh(self) -> None:
        """Work out what of the app's settings every request needs.

        Nobody uses it before it is whole, and a change meanwhile leaves it stale: the version is taken first, set last.
        """
        with self._refreshing:
            version = self._version
            self._work_out()
            self._refreshed = version

    def _work_out(self) -> None:
        config = self.config
        self._replaced = overridden(cast("App", self), OverridePoints)
        self._steps = Steps(self._replaced)
        self._limits = Limits(
            config["MAX_CONTENT_LENGTH"],
            config["MAX_FORM_MEMORY_SIZE"],
            config["MAX_FORM_PARTS"],
            config["MAX_SPOOLED_BODY"],
        )
        kind = type(self)
        plain = (
            not self.url_map.host_matching
            and not self.subdomain_matching
            and config["TRUSTED_HOSTS"] is None
            and self.request_class.trusted_hosts is None
            and not self.url_map.default_subdomain
            and kind.create_url_adapter is OverridePoints.create_url_adapter
            and "create_url_adapter" not in self.__dict__
            and type(self.url_map).bind_to_environ is Map.bind_to_environ
        )
        self._find = self.url_map.find if plain else None
        self._prefixes = prefix_map(cast("App", self))
        self.url_map.on_change = told_while_alive(self._registry_changed)
        # PERF: the constructor costs 600 ns, of_body 110; only a class that does not see the difference gets it.
        own = self.response_class
        stock = own.__init__ is Response.__init__ and own.__new__ is object.__new__ and own.default_status == 200
        stock = stock and own.set_data is Response.set_data and own._has_usual_head
        self._quick_response = own.of_body if stock else None
        self._text_type = own._default_headers

    def _plan(self, endpoint: Any) -> Plan:
        """The plan of an endpoint, made at its first request."""
        if self._refreshed is not self._version:
            self._refresh()
        # A change while the plan is made replaces the dictionary: a stale plan must not get into the new one.
        plans = self._plans
        plan = plans.get(endpoint)
        if plan is None:
            plan = plans[endpoint] = Plan(cast("App", self), endpoint)
        return plan

    def _websocket_plan(self, endpoint: Any, handled_by: tuple[str, ...] = ()) -> WebsocketPlan:
        """The plan of an endpoint's WebSockets, made at its first one."""
        if self._refreshed is not self._version:
            self._refresh()
        plans: dict[Any, Any] = self._plans  # see `_plan`
        key = (WebsocketPlan, endpoint, handled_by)
        plan = plans.get(key)
        if plan is None:
            plan = plans[key] = WebsocketPlan(cast("App", self), endpoint, handled_by)
        return cast("WebsocketPlan", plan)

    def _limits_of(self, rule: Rule | None) -> Limits:
        """How much of a body may be read for a rule."""
        if self._refreshed is not self._version:
            self._refresh()
        own = getattr(rule, "max_content_length", None)
        if own is None:
            return self._limits
        usual = self._limits  # PERF: dataclasses.replace() takes 4 us more
        return Limits(own, usual.max_form_memory_size, usual.max_form_parts, usual.max_spooled_body)


# Attributes whose change, on an app, drops what was worked out from them.
_KEPT_FROM: Final = frozenset(
    {"config", "create_url_adapter", "json", "request_class", "response_class", "subdomain_matching", "url_map"}
)
