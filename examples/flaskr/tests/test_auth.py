from __future__ import annotations

from typing import Any

import pytest

from .conftest import Site


def test_a_new_author_is_led_to_the_login_and_can_log_in(client: Any) -> None:
    site = Site(client)
    assert site.register().request.path == "/auth/login"
    assert site.login().location == "/"
    assert "ada" in client.get("/").text


def test_a_taken_name_is_refused(site: Site) -> None:
    assert "The name ada is taken." in site.register().text


@pytest.mark.parametrize(("name", "password"), [("", "secret"), ("ada", "")])
def test_name_and_password_are_needed(client: Any, name: str, password: str) -> None:
    assert "A name and a password are needed." in Site(client).register(name, password).text


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("nobody", "secret")])
def test_wrong_name_or_password_is_refused(site: Site, name: str, password: str) -> None:
    assert "Name or password is wrong." in site.login(name, password).text


def test_logout_forgets_the_author(site: Site) -> None:
    site.client.post("/auth/logout")
    assert "Log in" in site.client.get("/").text


def test_login_goes_on_to_where_one_wanted_to_be_but_never_to_another_site(site: Site) -> None:
    assert site.login(query="?next=/write").location == "/write"
    assert site.login(query="?next=//evil.example").location == "/"
    assert site.login(query="?next=/%5Cevil.example").location == "/"


def test_the_password_is_not_kept_in_clear(site: Site, app: Any) -> None:
    with open(app.config["DATABASE"], "rb") as file:
        assert b"secret" not in file.read()
