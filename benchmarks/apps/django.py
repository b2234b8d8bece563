"""Django under WSGI and ASGI, without the middleware that a workload does not need; its own template engine."""

from __future__ import annotations

import sys
from typing import Any

import django
from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import path

from benchmarks.apps.raw import lifespan
from benchmarks.workloads import AFTER_HEADERS, FILE_PATH, GREETING, PAYLOAD, ROWS, TARGET_INDEX, TEMPLATE, rule_paths

__all__ = ["build_asgi", "build_wsgi"]

_LOADERS = [
    (
        "django.template.loaders.cached.Loader",
        [("django.template.loaders.locmem.Loader", {"page.html": TEMPLATE})],
    )
]


def _configure(workload: str, colour: str) -> None:
    middleware = []
    if workload == "hooks":
        middleware = [f"{__name__}.{colour}{number}" for number in ("One", "Two", "Three")]
    elif workload == "session":
        middleware = ["django.contrib.sessions.middleware.SessionMiddleware"]
    if not settings.configured:
        settings.configure(
            DEBUG=False,
            SECRET_KEY="a secret of the benchmark",
            ALLOWED_HOSTS=["*"],
            USE_I18N=False,
            SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
            LOGGING_CONFIG=None,
            APPEND_SLASH=False,
            TEMPLATES=[
                {"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": _LOADERS}}
            ],
        )
        import logging

        logging.getLogger("django.request").disabled = True
        django.setup()
    settings.MIDDLEWARE = middleware
    settings.ROOT_URLCONF = f"{__name__}.urls_{colour}"
    if settings.ROOT_URLCONF not in sys.modules:
        module: Any = type(sys)(settings.ROOT_URLCONF)
        module.urlpatterns = _patterns(_VIEWS if colour == "Def" else _ASYNC_VIEWS)
        sys.modules[settings.ROOT_URLCONF] = module
    from django.urls import set_urlconf

    set_urlconf(None)


def build_wsgi(workload: str) -> Any:
    if workload not in (*_VIEWS, "params", "missing"):
        return None
    _configure(workload, "Def")
    return _Bound(WSGIHandler(), settings.ROOT_URLCONF)


def build_asgi(workload: str) -> Any:
    if workload not in (*_VIEWS, "params", "missing"):
        return None
    _configure(workload, "Async")
    get_asgi_application()
    return _AsyncBound(ASGIHandler(), settings.ROOT_URLCONF)


class _Bound:
    """One process times both protocols; each call has its own root of URLs."""

    def __init__(self, handler: Any, urls: str) -> None:
        self.handler = handler
        self.urls = urls

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if settings.ROOT_URLCONF is not self.urls:
            settings.ROOT_URLCONF = self.urls
        return self.handler(environ, start_response)


class _AsyncBound(_Bound):
    """Django speaks no lifespan."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # type: ignore[override]
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if settings.ROOT_URLCONF is not self.urls:
            settings.ROOT_URLCONF = self.urls
        await self.handler(scope, receive, send)


def _text(body: str) -> HttpResponse:
    return HttpResponse(body, content_type="text/plain; charset=utf-8")


def _sized(response: HttpResponse) -> HttpResponse:
    response["Content-Length"] = str(len(response.content))
    return response


def _plaintext(request: HttpRequest) -> HttpResponse:
    return _sized(_text(GREETING))


def _json(request: HttpRequest) -> HttpResponse:
    return _sized(JsonResponse(PAYLOAD))


def _other(request: HttpRequest, **params: Any) -> HttpResponse:
    return _text("other")


def _post(request: HttpRequest, id: int, slug: str) -> HttpResponse:
    return _sized(_text(f"{id + 1} {slug}"))


def _hooked(request: Any) -> HttpResponse:
    return _text(request.greeting)


def _fields(request: HttpRequest) -> HttpResponse:
    request_id = request.headers["X-Request-Id"]
    args = request.GET
    response = _text(f"{args['name']} {int(args['page'])} {request_id} {request.COOKIES['theme']}")
    response["X-Request-Id"] = request_id
    response.set_cookie("seen", "1")
    return response


def _form(request: HttpRequest) -> HttpResponse:
    form = request.POST
    return _text(f"{len(form)} {form['field9']}")


def _body(request: HttpRequest) -> HttpResponse:
    import json

    items = json.loads(request.body)["items"]
    return _text(f"{len(items)} {items[-1]['name']}")


def _upload(request: HttpRequest) -> HttpResponse:
    size = sum(len(chunk) for chunk in request.FILES["file"].chunks(65536))
    return _text(f"{size} {request.POST['title']}")


def _file(request: HttpRequest) -> Any:
    return FileResponse(open(FILE_PATH, "rb"), content_type="application/octet-stream")


def _session(request: Any) -> HttpResponse:
    request.session["count"] = count = request.session.get("count", 0) + 1
    return _text(str(count))


def _page(request: HttpRequest) -> HttpResponse:
    return render(request, "page.html", {"title": "Rows", "rows": ROWS})


_VIEWS: dict[str, Any] = {
    "plaintext": _plaintext,
    "json": _json,
    "hooks": _hooked,
    "fields": _fields,
    "form": _form,
    "body": _body,
    "upload": _upload,
    "file": _file,
    "session": _session,
    "template": _page,
}


def _as_async(view: Any) -> Any:
    async def async_view(request: Any, **params: Any) -> Any:
        return view(request, **params)

    return async_view


async def _async_session(request: Any) -> HttpResponse:
    count = await request.session.aget("count", 0) + 1
    await request.session.aset("count", count)
    return _text(str(count))


_ASYNC_VIEWS = {name: _as_async(view) for name, view in _VIEWS.items()} | {"session": _async_session}


def _patterns(views: dict[str, Any]) -> list[Any]:
    post, other = (_post, _other) if views is _VIEWS else (_as_async(_post), _as_async(_other))
    patterns = [path(name, view) for name, view in views.items()]
    for index, rule in enumerate(rule_paths("/{section}/<int:id>/posts/<slug:slug>")):
        patterns.append(path(rule[1:], post if index == TARGET_INDEX else other))
    return patterns


def _middleware(name: str, value: Any, header: tuple[str, str]) -> tuple[Any, Any]:
    class Def:
        sync_capable, async_capable = True, False

        def __init__(self, get_response: Any) -> None:
            self.get_response = get_response

        def __call__(self, request: Any) -> Any:
            setattr(request, name, value)
            response = self.get_response(request)
            response[header[0]] = header[1]
            return response

    class Async:
        sync_capable, async_capable = False, True

        def __init__(self, get_response: Any) -> None:
            self.get_response = get_response
            markcoroutinefunction(self)

        async def __call__(self, request: Any) -> Any:
            setattr(request, name, value)
            response = await self.get_response(request)
            response[header[0]] = header[1]
            return response

    return Def, Async


DefOne, AsyncOne = _middleware("one", 1, AFTER_HEADERS[0])
DefTwo, AsyncTwo = _middleware("two", 2, AFTER_HEADERS[1])
DefThree, AsyncThree = _middleware("greeting", GREETING, AFTER_HEADERS[2])
