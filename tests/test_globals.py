"""`current_app`, `g`, `request`, `session` and the faces of the context stack."""

from __future__ import annotations

import pytest

import duoflask.globals
from duoflask import DuoFlask, current_app, g, request
from duoflask.globals import _app_ctx_stack, _request_ctx_stack, app_ctx, request_ctx


def test_proxies_stand_for_the_objects_of_the_active_context():
    app = DuoFlask(__name__)
    with app.test_request_context("/path?a=1") as ctx:
        assert current_app._get_current_object() is app
        assert request._get_current_object() is ctx.request
        assert g._get_current_object() is ctx.g
        assert app_ctx._get_current_object() is request_ctx._get_current_object() is ctx
        assert (request.path, request.args["a"], current_app.name) == ("/path", "1", __name__)


@pytest.mark.parametrize("name", ["current_app", "g", "app_ctx"])
def test_unbound_app_proxy_says_what_happened_and_what_to_write(name):
    proxy = getattr(duoflask.globals, name)
    for use in (lambda: proxy.anything, lambda: setattr(proxy, "a", 1), lambda: proxy._get_current_object()):
        with pytest.raises(RuntimeError, match=rf"outside of application context.*'{name}'.*with app.app_context\(\):"):
            use()
    assert not proxy
    assert "unbound" in repr(proxy)


@pytest.mark.parametrize("name", ["request", "session", "request_ctx"])
@pytest.mark.parametrize("with_app", [False, True])
def test_unbound_request_proxy_says_what_happened_and_what_to_write(name, with_app):
    proxy = getattr(duoflask.globals, name)
    app = DuoFlask(__name__)
    if with_app:
        app.app_context().push()
    try:
        match = rf"outside of request context.*'{name}'.*with app.test_request_context\(\):"
        for use in (lambda: proxy.anything, lambda: setattr(proxy, "a", 1), lambda: proxy._get_current_object()):
            with pytest.raises(RuntimeError, match=match):
                use()
        assert not proxy
    finally:
        if with_app:
            _app_ctx_stack.pop()


def test_missing_attribute_of_a_bound_proxy_is_an_attribute_error():
    with DuoFlask(__name__).test_request_context("/"):
        for proxy in (current_app, g, request):
            with pytest.raises(AttributeError, match="missing"):
                _ = proxy.missing
            assert getattr(proxy, "missing", "default") == "default"


def test_error_of_an_attribute_of_a_bound_proxy_is_not_hidden():
    class App(DuoFlask):
        @property
        def broken(self):
            raise RuntimeError("mine")

        @property
        def lost(self):
            raise LookupError("mine too")

    with App(__name__).app_context():
        with pytest.raises(RuntimeError, match="^mine$"):
            _ = current_app.broken
        with pytest.raises(LookupError, match="^mine too$"):
            _ = current_app.lost


def test_isinstance_of_a_proxy_asks_its_object():
    app = DuoFlask(__name__)
    with app.app_context():
        assert isinstance(current_app, DuoFlask)
        assert current_app == app


def test_g_as_a_mapping_of_names():
    with DuoFlask(__name__).app_context():
        g.a = 1
        assert "a" in g
        assert list(g) == ["a"]
        assert (g.get("a"), g.get("b"), g.get("b", 2)) == (1, None, 2)
        assert g.setdefault("a", 5) == 1
        assert g.setdefault("c", 3) == 3
        assert (g.pop("a"), g.pop("a", "gone")) == (1, "gone")
        with pytest.raises(KeyError):
            g.pop("a")
        del g.c
        assert list(g) == []
        assert repr(g).startswith("<flask.g ")


def test_g_of_an_apps_own_class():
    class Globals:
        answer = 42

    app = DuoFlask(__name__)
    app.app_ctx_globals_class = Globals
    with app.app_context():
        assert g.answer == 42


def test_faces_of_the_stack_show_the_innermost_context():
    app = DuoFlask(__name__)
    assert _request_ctx_stack.top is _app_ctx_stack.top is None
    with app.test_request_context("/") as outer:
        assert _request_ctx_stack.top is _app_ctx_stack.top is outer
        with app.app_context() as inner:
            assert _app_ctx_stack.top is inner
            assert _request_ctx_stack.top is outer
    assert _request_ctx_stack.top is None


def test_faces_of_the_stack_push_and_pop():
    app = DuoFlask(__name__)
    ctx = app.test_request_context("/")
    _request_ctx_stack.push(ctx)
    assert request.path == "/"
    assert _request_ctx_stack.pop() is ctx
    assert _request_ctx_stack.pop() is None


def test_missing_attribute_of_g_says_whose_it_is() -> None:
    with DuoFlask(__name__).app_context():
        with pytest.raises(AttributeError, match="object has no attribute 'user'"):
            g.user  # noqa: B018
        assert not hasattr(g, "user")
