"""The examples of docs/middleware.md, under both protocols."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from ..pages import Page

PAGE = Page("middleware")


def example(word: str) -> Any:
    app = PAGE.example(word)["app"]
    app.testing = True
    return app


@pytest.mark.parametrize("name", ["legacy", "modern"])
def test_mount(client: Any, name: str) -> None:
    assert client(example("app.mount")).get(f"/{name}/x").text == f"{name} at /{name}"


def test_proxy(client: Any) -> None:
    headers = {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example"}
    text = client(example("ProxyFix.install")).get("/", headers=headers).text
    assert text == "1.2.3.4 asked for https://a.example/"


def test_cors(client: Any) -> None:
    response = client(example("CORSMiddleware.install")).get("/api/me", headers={"Origin": "https://app.example.com"})
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"


def test_compression(client: Any) -> None:
    response = client(example("CompressionMiddleware.install")).get("/", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(response.get_data()).startswith(b"a page that is long enough")


def test_own(client: Any) -> None:
    response = client(example("StampMiddleware")).get("/")
    assert (response.text, response.headers["X-Served-By"]) == ("stamped", "duoflask")


def test_no_example_is_left_out() -> None:
    assert len(PAGE.fenced) == 5
