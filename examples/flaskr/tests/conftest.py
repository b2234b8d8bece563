from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flaskr import create_app
from flaskr.database import connection

from duoflask import Flask
from duoflask.security import generate_password_hash


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return create_app({"TESTING": True, "SECRET_KEY": "test", "DATABASE": tmp_path / "test.sqlite"})


class Site:
    """What a visitor does."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def register(self, name: str = "ada", password: str = "secret") -> Any:
        return self.client.post("/auth/register", data={"name": name, "password": password}, follow_redirects=True)

    def login(self, name: str = "ada", password: str = "secret", query: str = "") -> Any:
        return self.client.post(f"/auth/login{query}", data={"name": name, "password": password})

    def write(self, title: str = "A title", body: str = "A text") -> Any:
        return self.client.post("/write", data={"title": title, "body": body}, follow_redirects=True)


@pytest.fixture
def site(app: Flask, client: Any) -> Site:
    """A site where ada is registered and logged in."""
    with app.app_context(), connection() as transaction:
        # an iteration, for the tests' time only
        secret = generate_password_hash("secret", "pbkdf2:sha256:1")
        transaction.execute("INSERT INTO author (id, name, password_hash) VALUES (1, 'ada', ?)", (secret,))
    with client.session_transaction() as session:
        session["author_id"] = 1
    return Site(client)
