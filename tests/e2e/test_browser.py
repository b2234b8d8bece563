"""examples/flaskr in headless Chromium, under gunicorn and uvicorn: what a visitor sees and clicks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

FLASKR = Path(__file__).parents[2] / "examples" / "flaskr"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
COMMANDS = {
    "gunicorn": ("-m", "gunicorn", "-b", "127.0.0.1:{port}", "app:app"),
    "uvicorn": ("-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "app:app"),
}
START_SECONDS = 20

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        if os.environ.get("CI"):
            pytest.fail("CI needs Chromium and its driver: apt-get install chromium chromium-driver")
        pytest.skip("SKIPPED: no browser was tried; install the packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"):
        options.add_argument(f"--{flag}")
    options.add_argument("--disable-background-networking")
    options.add_argument("--disable-component-update")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.implicitly_wait(10)
    yield driver
    driver.quit()


@pytest.fixture(params=sorted(COMMANDS))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a running flaskr with an empty database."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, *(part.format(port=port) for part in COMMANDS[request.param])]
    environ = {**os.environ, "FLASKR_DATABASE": str(tmp_path / "blog.sqlite"), "FLASKR_SECRET_KEY": "browser"}
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=FLASKR, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(port, process, tmp_path / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)  # another process: there is nothing to wait on
        else:
            return
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def test_a_visitor_registers_logs_in_writes_edits_and_deletes(browser: Any, site: str) -> None:
    def by(selector: str) -> Any:
        return browser.find_element("css selector", selector)

    def texts(selector: str) -> list[str]:
        return [element.text for element in browser.find_elements("css selector", selector)]

    def follow(element: Any) -> None:
        """Click, and wait until the next page has taken the place of this one."""
        page = by("html")
        element.click()
        # Between two documents the driver sometimes answers with an error of its own: ask again.
        WebDriverWait(browser, 10, ignored_exceptions=[WebDriverException]).until(staleness_of(page))

    def follow_link(text: str) -> None:
        follow(browser.find_element("link text", text))

    def fill(**fields: str) -> None:
        for name, value in fields.items():
            field = by(f"[name={name}]")
            field.clear()
            field.send_keys(value)
        follow(by("main form button"))

    browser.delete_all_cookies()
    browser.get(site)
    assert texts("h1") == ["Posts"]
    follow_link("Register")
    fill(name="ada", password="secret")
    assert texts("h1") == ["Log in"]
    fill(name="ada", password="wrong")
    assert texts("[role=alert]") == ["Name or password is wrong."]
    fill(name="ada", password="secret")
    assert by("#author").text == "ada"
    assert by("header").value_of_css_property("display") == "flex"  # the static file has arrived

    follow_link("Write a post")
    fill(title="Ünïcode & <b>", body="first line\nsecond line")
    assert texts("article h2") == ["Ünïcode & <b>"]
    assert texts("article .body") == ["first line\nsecond line"]
    follow_link("Edit")
    assert by("[name=title]").get_attribute("value") == "Ünïcode & <b>"
    fill(title="Changed")
    assert texts("article h2") == ["Changed"]
    follow_link("Edit")
    follow(by("#delete"))
    assert texts("h1") == ["Posts"]
    browser.implicitly_wait(0)
    assert texts("article") == []
    browser.implicitly_wait(10)
    follow(by("#logout"))
    assert browser.find_element("link text", "Log in")
