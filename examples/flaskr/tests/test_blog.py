from __future__ import annotations

from typing import Any

import pytest

from .conftest import Site


def test_everybody_reads_posts(site: Site) -> None:
    site.write("First", "Line one\nLine <two>")
    site.client.post("/auth/logout")
    text = site.client.get("/").text
    assert "First" in text
    assert "Line &lt;two&gt;" in text
    assert "Edit" not in text


@pytest.mark.parametrize("path", ["/write", "/1/edit", "/1/delete"])
def test_who_is_not_logged_in_is_led_to_the_login(client: Any, path: str) -> None:
    assert client.post(path).location == f"/auth/login?next={path}"


def test_an_author_changes_and_deletes_a_post(site: Site) -> None:
    site.write("First")
    assert 'value="First"' in site.client.get("/1/edit").text
    assert "Second" in site.client.post("/1/edit", data={"title": "Second", "body": ""}, follow_redirects=True).text
    text = site.client.post("/1/delete", follow_redirects=True).text
    assert "Second" not in text
    assert "Nobody has written anything yet." in text


@pytest.mark.parametrize("path", ["/write", "/1/edit"])
def test_a_title_is_needed_and_the_text_is_not_lost(site: Site, path: str) -> None:
    site.write("First")
    text = site.client.post(path, data={"title": " ", "body": "long text"}).text
    assert "A title is needed." in text
    assert "long text" in text


@pytest.mark.parametrize("path", ["/1/edit", "/1/delete"])
def test_nobody_changes_the_post_of_another(site: Site, path: str) -> None:
    site.write("First")
    site.register("bob")
    site.login("bob")
    assert site.client.post(path, data={"title": "Mine", "body": ""}).status_code == 403
    assert "First" in site.client.get("/").text


@pytest.mark.parametrize("path", ["/7/edit", "/7/delete"])
def test_a_missing_post_is_not_found(site: Site, path: str) -> None:
    assert site.client.post(path).status_code == 404


def test_init_db_starts_again(site: Site, app: Any) -> None:
    site.write("First")
    result = app.test_cli_runner().invoke(args=["init-db"])
    assert result.output == "The database is ready.\n"
    assert "First" not in site.client.get("/").text


@pytest.mark.anyio
async def test_posts_are_read_on_a_loop_too(async_client: Any) -> None:
    assert "Nobody has written anything yet." in (await async_client.get("/")).text
