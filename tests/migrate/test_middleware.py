"""Middleware around `app.wsgi_app` is listed."""

from __future__ import annotations

from typing import Any

import pytest

PROXY = "from werkzeug.middleware.proxy_fix import ProxyFix\n"


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("app.wsgi_app = ProxyFix(app.wsgi_app)", "write ProxyFix.install(app)"),
        ("app.wsgi_app = ProxyFix(app.wsgi_app, 2, x_host=N)", "write ProxyFix.install(app, 2, x_host=N)"),
        ("self.app.wsgi_app = ProxyFix(self.app.wsgi_app)", "write ProxyFix.install(self.app)"),
        ("app.wsgi_app = ProxyFix(other)", "wrap app.asgi_app, too"),
        ("app.wsgi_app = ProxyFix(*args)", "wrap app.asgi_app, too"),
        ("app.wsgi_app = Own(app.wsgi_app)", "wrap app.asgi_app, too"),
        ("app.wsgi_app, x = y", "wrap app.asgi_app, too"),
        ("app.wsgi_app: object = Own(app.wsgi_app)", "wrap app.asgi_app, too"),
    ],
)
def test_assignment_to_wsgi_app_needs_a_person(migrate: Any, line: str, advice: str) -> None:
    text, persons = migrate(f"{PROXY}{line}\n")
    assert text == f"from duoflask.middleware import ProxyFix\n{line}\n"
    (found,) = persons
    assert found.startswith("2: ") and ".wsgi_app: middleware around it alone" in found
    assert advice in found


def test_class_of_the_same_name_from_elsewhere_has_no_install(migrate: Any) -> None:
    (found,) = migrate("from own import ProxyFix\napp.wsgi_app = ProxyFix(app.wsgi_app)\n")[1]
    assert ".install(app)" not in found


@pytest.mark.parametrize(
    "text",
    [
        "x = app.wsgi_app\n",
        "client = Client(app.wsgi_app)\n",
        "app.wsgi_app = W(app.wsgi_app)\napp.asgi_app = A(app.asgi_app)\n",
        "from duoflask.middleware import ProxyFix\nProxyFix.install(app, x_for=1)\n",
    ],
)
def test_what_runs_under_both_protocols_passes(migrate: Any, text: str) -> None:
    assert migrate(text) == (text, [])
