"""Requests to send: from a test's arguments to a WSGI environ.

Owns the builders. Takes an app for its configuration only and calls nothing of it but `json.dumps`.
"""

from __future__ import annotations

import json as _json
import sys
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import IO, Any, ClassVar, TypeVar
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

from ..http.headers import Headers
from ..http.multidict import MultiDict
from ..request import Request
from ..typing import Scope, WSGIEnvironment
from .body import BodyParts, encode_form
from .multipart import iter_fields
from .scope import make_scope, read_body

__all__ = ["EnvironBuilder", "PlainEnvironBuilder", "create_environ"]

_B = TypeVar("_B", bound="PlainEnvironBuilder")
_PATH_SAFE = "%!$&'()*+,/:;=@"


class PlainEnvironBuilder(BodyParts):
    """Build a WSGI environ, or an ASGI scope and a body, from a request's parts.

    The arguments are Werkzeug's. Until `get_environ` is called the parts may be changed as attributes.

    Args:
        path: The path, percent-encoded or not, with or without a query.
        base_url: Scheme, host and the path that the app is mounted at.
        query_string: Text, or a mapping that is encoded.
        method: The request method.
        input_stream: The body as a stream; excludes `data`.
        content_type: The Content-Type field.
        content_length: The Content-Length field; counted by default.
        errors_stream: `wsgi.errors`; `sys.stderr` by default.
        multithread: `wsgi.multithread`.
        multiprocess: `wsgi.multiprocess`.
        run_once: `wsgi.run_once`.
        headers: Header fields.
        data: Text or bytes, a file, or a mapping of form fields and files (a file, or a tuple of file,
            name, type).
        environ_base: What the environ starts from.
        environ_overrides: What is put over it in the end.
        mimetype: Like `content_type`, with a charset where text needs one.
        json: Serialized as `data`.
        auth: User and password for Basic authorization, or an object with `to_header()`.
    """

    server_protocol = "HTTP/1.1"
    wsgi_version = (1, 0)
    request_class: ClassVar[type[Request]] = Request
    json_dumps: ClassVar[Callable[..., str]] = staticmethod(_json.dumps)

    def __init__(
        self,
        path: str = "/",
        base_url: str | None = None,
        query_string: Mapping[str, Any] | str | None = None,
        method: str = "GET",
        input_stream: IO[bytes] | None = None,
        content_type: str | None = None,
        content_length: int | None = None,
        errors_stream: IO[str] | None = None,
        multithread: bool = False,
        multiprocess: bool = False,
        run_once: bool = False,
        headers: Headers | Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        data: Any = None,
        environ_base: Mapping[str, Any] | None = None,
        environ_overrides: Mapping[str, Any] | None = None,
        mimetype: str | None = None,
        json: Any = None,
        auth: Any = None,
    ) -> None:
        self._set_target(path, base_url, query_string)
        self.method = method
        self.headers = Headers(headers)  # a copy: content_type and others are set in it
        if content_type is not None:
            self.content_type = content_type
        self.errors_stream = sys.stderr if errors_stream is None else errors_stream
        self.multithread = multithread
        self.multiprocess = multiprocess
        self.run_once = run_once
        self.environ_base = environ_base
        self.environ_overrides = environ_overrides
        self.input_stream = input_stream
        if content_length is not None:
            self.content_length = content_length
        if auth is not None:
            self.headers["Authorization"] = _authorization(auth)
        if json is not None:
            if data is not None:
                raise TypeError("a request has one body; got both 'json' and 'data'")
            data = self.json_dumps(json)
            if self.content_type is None:
                self.content_type = "application/json"
        if data:
            self._set_data(data)
        if mimetype is not None:
            self.mimetype = mimetype

    def _set_target(self, path: str, base_url: str | None, query_string: Mapping[str, Any] | str | None) -> None:
        if query_string is not None and "?" in path:
            raise ValueError(f"a request has one query; got {path!r} and the argument 'query_string'")
        parts = urlsplit(path)
        if query_string is None and "?" in path:
            query_string = parts.query
        self.path = quote(parts.path, safe=_PATH_SAFE)
        self.request_uri = path
        self.base_url = base_url
        self._args: MultiDict[str, Any] | None = None
        self._query_string: str | None = None
        if isinstance(query_string, str):
            self._query_string = query_string
        else:
            self._args = query_string if isinstance(query_string, MultiDict) else MultiDict(query_string or ())

    def _set_data(self, data: Any) -> None:
        if self.input_stream is not None:
            raise TypeError("a request has one body; got both 'input_stream' and 'data'")
        if hasattr(data, "read"):
            data = data.read()
        if isinstance(data, str):
            data = data.encode()
        if isinstance(data, (bytes, bytearray)):
            self.input_stream = BytesIO(data)
            if self.content_length is None:
                self.content_length = len(data)
            return
        for key, value in iter_fields(data):
            if isinstance(value, tuple):
                self.files.add_file(key, *value)
            elif hasattr(value, "read"):
                self.files.add_file(key, value)
            else:
                self.form.add(key, value)

    @classmethod
    def from_environ(cls: type[_B], environ: WSGIEnvironment, **kwargs: Any) -> _B:
        """Turn an environ into a builder; keyword arguments win over what it holds."""
        headers = Headers(
            (key[5:].replace("_", "-").title(), value)
            for key, value in environ.items()
            if key.startswith("HTTP_") and isinstance(value, str)
        )
        host = headers.pop("Host", None) or environ.get("SERVER_NAME", "localhost")
        parts: dict[str, Any] = {
            "path": _quoted(environ.get("PATH_INFO", "")),
            "base_url": _join_base(environ["wsgi.url_scheme"], host, _quoted(environ.get("SCRIPT_NAME", ""))),
            "query_string": _decoded(environ.get("QUERY_STRING", "")),
            "method": environ["REQUEST_METHOD"],
            "input_stream": environ.get("wsgi.input"),
            "content_type": environ.get("CONTENT_TYPE") or None,
            "content_length": int(environ["CONTENT_LENGTH"]) if environ.get("CONTENT_LENGTH") else None,
            "errors_stream": environ.get("wsgi.errors"),
            "multithread": environ.get("wsgi.multithread", False),
            "multiprocess": environ.get("wsgi.multiprocess", False),
            "run_once": environ.get("wsgi.run_once", False),
            "headers": headers,
        }
        parts.update(kwargs)
        return cls(**parts)

    # -- target

    @property
    def base_url(self) -> str:
        """Scheme, host and the path that the app is mounted at."""
        return _join_base(self.url_scheme, self.host, self.script_root)

    @base_url.setter
    def base_url(self, value: str | None) -> None:
        parts = urlsplit("http://localhost" if value is None else value)
        if parts.query or parts.fragment:
            raise ValueError(f"invalid base_url; expected neither a query nor a fragment; got {value!r}")
        self.url_scheme = parts.scheme
        self.host = _ascii_host(parts.netloc)
        self.script_root = quote(parts.path, safe=_PATH_SAFE).rstrip("/")

    @property
    def server_name(self) -> str:
        """The host without its port."""
        return self._host_and_port()[0]

    @property
    def server_port(self) -> int:
        """The host's port, or the scheme's."""
        port = self._host_and_port()[1]
        if port.isascii() and port.isdecimal():
            return int(port)
        return 443 if self.url_scheme == "https" else 80

    def _host_and_port(self) -> tuple[str, str]:
        if self.host.startswith("["):  # an IPv6 address has colons of its own (RFC 3986 3.2.2)
            name, bracket, rest = self.host.partition("]")
            return name + bracket, rest.lstrip(":")
        name, _, port = self.host.partition(":")
        return name, port

    @property
    def query_string(self) -> str:
        """The query without its question mark."""
        if self._query_string is not None:
            return self._query_string
        return encode_form(self._args) if self._args else ""

    @query_string.setter
    def query_string(self, value: str | None) -> None:
        self._query_string = value
        self._args = None

    @property
    def args(self) -> MultiDict[str, Any]:
        """The query as a multi-dict, as long as `query_string` is not set."""
        if self._query_string is not None:
            raise AttributeError("query_string is set; set it to None to use args")
        if self._args is None:
            self._args = MultiDict()
        return self._args

    @args.setter
    def args(self, value: MultiDict[str, Any] | None) -> None:
        self._query_string = None
        self._args = value

    # -- results

    def get_environ(self) -> WSGIEnvironment:
        """Return the request as a WSGI environ (PEP 3333)."""
        stream, length, kind = self._encoded_body()
        uri = _encoded(self.request_uri)
        environ: WSGIEnvironment = {
            **(self.environ_base or {}),
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": _unquoted(self.script_root),
            "PATH_INFO": _unquoted(self.path),
            "QUERY_STRING": _encoded(self.query_string),
            "REQUEST_URI": uri,  # mod_wsgi and uWSGI
            "RAW_URI": uri,  # gunicorn
            "SERVER_NAME": self.server_name,
            "SERVER_PORT": str(self.server_port),
            "HTTP_HOST": self.host,
            "SERVER_PROTOCOL": self.server_protocol,
            "wsgi.version": self.wsgi_version,
            "wsgi.url_scheme": self.url_scheme,
            "wsgi.input": stream,
            "wsgi.errors": self.errors_stream,
            "wsgi.multithread": self.multithread,
            "wsgi.multiprocess": self.multiprocess,
            "wsgi.run_once": self.run_once,
        }
        if kind is not None:
            environ["CONTENT_TYPE"] = kind
        if length is not None:
            environ["CONTENT_LENGTH"] = str(length)
        elif self._input_stream is not None:
            environ["wsgi.input_terminated"] = True
        fields: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in self.headers.to_wsgi_list():
            key = name.upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                fields[f"HTTP_{key}"].append(value)
        environ.update((key, ", ".join(values)) for key, values in fields.items())
        environ.update(self.environ_overrides or {})
        return environ

    def get_request(self, cls: type[Request] | None = None) -> Request:
        """Return the request as an object, of `request_class` by default."""
        return (cls or self.request_class)(self.get_environ())

    def get_scope(self) -> tuple[Scope, bytes]:
        """Return the request as an ASGI scope and its body."""
        environ = self.get_environ()
        return make_scope(environ, self.headers.to_wsgi_list()), read_body(environ)[0]


class EnvironBuilder(PlainEnvironBuilder):
    """A builder whose defaults are an app's, as Flask's.

    Args:
        app: Gives `SERVER_NAME`, `APPLICATION_ROOT`, `PREFERRED_URL_SCHEME` and `json.dumps`.
        path: The path, or a whole URL.
        base_url: Excludes `subdomain` and `url_scheme`.
        subdomain: Put before `SERVER_NAME`.
        url_scheme: Instead of `PREFERRED_URL_SCHEME`.
        *args: As for `PlainEnvironBuilder`, from `query_string` on.
        **kwargs: As for `PlainEnvironBuilder`.

    Raises:
        TypeError: `base_url` together with `subdomain` or `url_scheme`.
    """

    def __init__(
        self,
        app: Any,
        path: str = "/",
        base_url: str | None = None,
        subdomain: str | None = None,
        url_scheme: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self.app = app
        if base_url is not None and (subdomain or url_scheme):
            raise TypeError("'base_url' says it all; it cannot be given together with 'subdomain' or 'url_scheme'")
        if base_url is None:
            config = app.config
            host = config.get("SERVER_NAME") or "localhost"
            if subdomain:
                host = f"{subdomain}.{host}"
            target = urlsplit(path)
            scheme = target.scheme or url_scheme or config.get("PREFERRED_URL_SCHEME") or "http"
            root = (config.get("APPLICATION_ROOT") or "/").lstrip("/")
            base_url = f"{scheme}://{target.netloc or host}/{root}"
            path = f"{target.path}?{target.query}" if target.query else target.path
        super().__init__(path, base_url, *args, **kwargs)

    def json_dumps(self, obj: Any, **kwargs: Any) -> str:
        """Serialize `obj` as the app does."""
        text: str = self.app.json.dumps(obj, **kwargs)
        return text


def create_environ(*args: Any, **kwargs: Any) -> WSGIEnvironment:
    """Return a WSGI environ; the arguments are those of `PlainEnvironBuilder`."""
    builder = PlainEnvironBuilder(*args, **kwargs)
    try:
        return builder.get_environ()
    finally:
        builder.close()


def _join_base(scheme: str, host: str, root: str) -> str:
    return urlunsplit((scheme, host, root, "", "")).rstrip("/") + "/"


def _ascii_host(netloc: str) -> str:
    if netloc.isascii():
        return netloc
    host, colon, port = netloc.partition(":")
    return host.encode("idna").decode("ascii") + colon + port


def _encoded(text: str) -> str:
    """Text as PEP 3333 wants it: UTF-8 bytes decoded as latin-1."""
    return text.encode().decode("latin-1")


def _decoded(text: str) -> str:
    return text.encode("latin-1").decode(errors="replace")


def _quoted(path: str) -> str:
    return quote(path.encode("latin-1"), safe=_PATH_SAFE.replace("%", ""))


def _unquoted(path: str) -> str:
    # Bytes, not text: %FF must reach the app as a server would hand it over.
    return unquote_to_bytes(path).decode("latin-1")


def _authorization(auth: Any) -> str:
    if isinstance(auth, tuple):
        user, password = auth
        return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")
    if isinstance(auth, str):
        return auth
    header: str = auth.to_header()
    return header
