"""Where a request of the test client goes to, and where the next one goes after a redirect."""

from __future__ import annotations

from io import BytesIO
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from ..typing import WSGIEnvironment

__all__ = ["http_url", "position", "redirected", "url_of"]

_PATH_SAFE = "/!$&'()*+,:;=@"


def http_url(path: str) -> str:
    """A URL of a WebSocket as its handshake's (RFC 6455 3)."""
    scheme, colon, rest = path.partition(":")
    return f"{'https' if scheme == 'wss' else 'http'}:{rest}" if colon and scheme in ("ws", "wss") else path


def url_of(environ: WSGIEnvironment) -> SplitResult:
    """Where a request goes to; a Host that is none, as a test may send, counts as `localhost`."""
    host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "localhost")
    path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
    scheme, path_and_query = environ["wsgi.url_scheme"], quote(path, safe=_PATH_SAFE) or "/"
    try:
        url = urlsplit(f"{scheme}://{host}{path_and_query}")
        url.port  # noqa: B018 - raises
        return url
    except ValueError:
        return urlsplit(f"{scheme}://localhost{path_and_query}")


def position(environ: WSGIEnvironment) -> int | None:
    """Where the body starts, if it can be read again from there."""
    try:
        position: int = environ["wsgi.input"].tell()
    except (KeyError, AttributeError, OSError, ValueError):
        return None
    return position


def redirected(environ: WSGIEnvironment, target: SplitResult, code: int, body_start: int | None) -> WSGIEnvironment:
    """The environ for the next request (RFC 9110 15.4): 307 and 308 repeat it, the others make it a GET."""
    root = environ.get("SCRIPT_NAME", "")
    path = unquote_to_bytes(target.path).decode("latin-1") or "/"
    if root and path != root and not path.startswith(root + "/"):
        root = ""
    port = target.port or (443 if target.scheme == "https" else 80)
    uri = target.path[len(quote(root)) :] + (f"?{target.query}" if target.query else "")
    following = {
        **environ,
        "SCRIPT_NAME": root,
        "PATH_INFO": path[len(root) :],
        "QUERY_STRING": target.query.encode().decode("latin-1"),
        "REQUEST_URI": uri.encode().decode("latin-1"),
        "RAW_URI": uri.encode().decode("latin-1"),
        "HTTP_HOST": target.netloc.rpartition("@")[2],
        "SERVER_NAME": target.hostname or "localhost",
        "SERVER_PORT": str(port),
        "wsgi.url_scheme": target.scheme,
    }
    if code in (307, 308):
        if body_start is not None:
            environ["wsgi.input"].seek(body_start)
        elif environ.get("CONTENT_LENGTH") not in (None, "", "0"):
            raise RuntimeError(f"cannot repeat the request for a {code} redirect: its body can be read only once")
        return following
    if following["REQUEST_METHOD"] != "HEAD":
        following["REQUEST_METHOD"] = "GET"
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "wsgi.input_terminated"):
        following.pop(key, None)
    following["wsgi.input"] = BytesIO()
    return following
