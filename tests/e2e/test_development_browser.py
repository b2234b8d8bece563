"""A developer's first minutes in headless Chromium: the error page, the reload after an edit, a syntax error.

With `DUOFLASK_SCREENSHOTS=1` the pictures of the documentation are made anew, in docs/img/.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.support.wait import WebDriverWait

import duoflask

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
IMAGES = Path(__file__).parents[2] / "docs" / "img"
SECONDS = 30
MINUTE = 60
POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'"
MAX_IMAGE = 150_000  # bytes
DUOFLASK = (sys.executable, "-P", "-c", "from duoflask.cli import main; main()")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(sys.platform == "win32", reason="sockets are inherited on POSIX"),
]


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
    options.add_argument("--window-size=1100,900")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Site:
    """A project of `duoflask new`, and its server in debug mode."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "shop"
        self.pages = self.folder / "shop" / "pages.py"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"http://localhost:{self.port}"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLASK_", "DUOFLASK_"))}
        self._environment = {**kept, "PYTHONPATH": str(Path(duoflask.__file__).parents[1])}
        self._environment.pop("WERKZEUG_RUN_MAIN", None)

    def new(self) -> None:
        subprocess.run(
            [*DUOFLASK, "new", "shop"],
            cwd=self.folder.parent,
            env=self._environment,
            check=True,
            capture_output=True,
            timeout=SECONDS,
        )

    def run(self) -> None:
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [*DUOFLASK, "run", "--debug", "--port", str(self.port)],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def edit(self, path: Path, old: str, new: str) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(SECONDS)


@pytest.fixture
def site(browser: Any, tmp_path: Path) -> Iterator[Site]:
    browser.delete_all_cookies()  # the test before has had another port of the same host
    made = Site(tmp_path)
    yield made
    made.stop()


def wait(browser: Any, site: Site, condition: Callable[[Any], Any], what: str) -> Any:
    """Wait until the page is so; between two documents the driver may stumble."""
    waiting = WebDriverWait(browser, SECONDS, 0.05, ignored_exceptions=[WebDriverException])
    try:
        return waiting.until(condition)
    except WebDriverException:
        pytest.fail(f"{what}; the page is {browser.page_source[:2000]!r}\n{site.log()}")


def heading(browser: Any) -> str:
    return str(browser.find_element("css selector", "h1").text)


def open_page(browser: Any, site: Site, path: str = "/") -> None:
    """Open a page; the browser may be faster than the server's first start."""

    def opened(driver: Any) -> bool:
        driver.get(site.url + path)
        return "shop" in driver.title.lower() or bool(driver.find_elements("css selector", "h1"))

    wait(browser, site, opened, "the page did not open")


def picture(browser: Any, name: str) -> None:
    """Save what the browser shows for the documentation."""
    target = IMAGES / f"{name}.png"
    if os.environ.get("DUOFLASK_SCREENSHOTS") or not target.exists():
        IMAGES.mkdir(exist_ok=True)
        browser.save_screenshot(str(target))
    assert 0 < target.stat().st_size < MAX_IMAGE


def complaints(browser: Any) -> list[str]:
    """What the browser's console says of scripts and policies."""
    messages = [entry["message"] for entry in browser.get_log("browser")]
    return [text for text in messages if "Content Security" in text or "Uncaught" in text]


def test_from_new_to_a_page_that_reloads_in_three_commands(browser: Any, site: Site, capsys: Any) -> None:
    before = time.monotonic()
    site.new()  # duoflask new shop; cd shop
    site.run()  # duoflask run --debug
    open_page(browser, site)
    assert heading(browser) == "Hello!"
    template = site.folder / "shop" / "templates" / "pages" / "index.html"
    site.edit(template, "<h1>Hello", "<h1>Welcome")
    wait(browser, site, lambda driver: heading(driver) == "Welcome!", "the page did not reload")
    seconds = time.monotonic() - before
    with capsys.disabled():
        print(f"\nfrom `duoflask new` to a page that has reloaded: {seconds:.1f} s", file=sys.stderr)  # noqa: T201
    assert seconds < MINUTE
    picture(browser, "reloaded")
    assert complaints(browser) == []


def test_page_reloads_after_an_edit_of_the_code_and_keeps_the_session(browser: Any, site: Site) -> None:
    site.new()
    site.run()
    open_page(browser, site)
    browser.find_element("name", "name").send_keys("Ada")
    browser.find_element("css selector", "form button").click()
    wait(browser, site, lambda driver: heading(driver) == "Hello, Ada!", "the form was not sent")
    site.edit(site.pages, 'name=session.get("name"))', 'name=session.get("name", "").upper())')
    wait(browser, site, lambda driver: heading(driver) == "Hello, ADA!", "the page did not reload")
    site.edit(site.folder / "shop" / "static" / "style.css", "body {", "body { letter-spacing: 3px;")

    def spaced(driver: Any) -> bool:
        body = driver.find_element("css selector", "body")
        return str(body.value_of_css_property("letter-spacing")) == "3px"

    wait(browser, site, spaced, "the style did not reload")


def test_error_page_explains_and_goes_when_the_error_is_corrected(browser: Any, site: Site) -> None:
    site.new()
    failing = (
        '    basket, api_key = {"apples": 3}, "not to be shown"\n'
        '    total = basket["apples"] / basket.get("people", 0)\n'
    )
    site.edit(
        site.pages,
        '    return render_template("pages/index.html"',
        failing + '    return render_template("pages/index.html"',
    )
    site.run()
    open_page(browser, site)
    assert heading(browser) == "ZeroDivisionError"

    def texts(selector: str) -> list[str]:
        return [element.text for element in browser.find_elements("css selector", selector)]

    assert texts(".message") == ["division by zero"]
    assert texts("details.frame.app[open] mark") == ['basket["apples"] / basket.get("people", 0)']
    assert "not to be shown" not in browser.page_source
    style = browser.find_element("css selector", "header").value_of_css_property("border-top-width")
    assert style == "6px"  # its own style is let through by its own policy
    browser.find_element("css selector", "details.frame.app details.locals summary").click()
    picture(browser, "error-page")
    unfold = browser.find_element("id", "unfold")
    unfold.click()
    assert all(item.get_attribute("open") for item in browser.find_elements("css selector", "main details"))
    assert browser.find_element("css selector", "#plan .failed-here td").text == "shop.pages.index"
    browser.find_element("id", "copy").click()
    wait(browser, site, lambda driver: texts("#copy") == ["Copied"], "nothing was copied")
    assert browser.find_element("id", "text").text.startswith("GET / failed\n")
    assert complaints(browser) == []
    site.edit(site.pages, failing, "")
    wait(browser, site, lambda driver: heading(driver) == "Hello!", "the page did not reload")


def test_syntax_error_is_shown_and_goes_when_it_is_corrected(browser: Any, site: Site) -> None:
    site.new()
    site.run()
    open_page(browser, site)
    assert heading(browser) == "Hello!"
    site.edit(site.pages, "def index() -> str:", "def index( -> str:")
    wait(browser, site, lambda driver: heading(driver) == "SyntaxError", "the error was not shown")
    assert browser.find_element("css selector", ".where").text == "The application cannot be loaded"
    current = browser.find_element("css selector", "details.frame.app[open] .current")
    assert "def index( -> str:" in current.text
    picture(browser, "syntax-error")
    site.edit(site.pages, "def index( -> str:", "def index() -> str:")
    wait(browser, site, lambda driver: heading(driver) == "Hello!", "the page did not come back")
    picture(browser, "recovered")
    assert complaints(browser) == []


def test_page_with_a_strict_policy_works_and_reloads(browser: Any, site: Site) -> None:
    site.new()
    site.edit(
        site.folder / "shop" / "__init__.py",
        "    return app\n",
        "    @app.after_request\n    def add_policy(response: Any) -> Any:\n"
        f"        response.headers['Content-Security-Policy'] = {POLICY!r}\n"
        "        return response\n\n    return app\n",
    )
    site.run()
    open_page(browser, site)
    site.edit(site.folder / "shop" / "templates" / "pages" / "index.html", "<h1>Hello", "<h1>Welcome")
    wait(browser, site, lambda driver: heading(driver) == "Welcome!", "the page did not reload")
    assert complaints(browser) == []
