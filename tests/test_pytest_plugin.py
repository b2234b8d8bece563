from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

APP = """
import pytest
from duoflask import DuoFlask, request

@pytest.fixture
def app():
    app = DuoFlask("app")

    @app.before_serving
    async def start():
        app.started = True

    @app.route("/")
    async def index():
        return f"{request.scope is not None} {app.started}"

    return app
"""


def test_client_runs_a_test_under_both_protocols(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile("""
        seen = []

        def test_index(client):
            seen.append(client.get("/").text)

        def test_seen():
            assert seen == ["False True", "True True"]
    """)
    result = pytester.runpytest_subprocess("-v", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*test_index?wsgi?*PASSED*", "*test_index?asgi?*PASSED*"])
    result.assert_outcomes(passed=3)


def test_async_client_with_pytest_asyncio(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(APP)
    pytester.makepyfile("""
        import pytest

        @pytest.mark.asyncio
        async def test_index(async_client):
            assert (await async_client.get("/")).text == "True True"
    """)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_async_client_with_anyio_alone_runs_on_both_loops(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys; sys.modules['pytest_asyncio'] = None\n" + APP)
    pytester.makepyfile("""
        import importlib
        import pytest
        import duoflask.pytest_plugin
        async_client = importlib.reload(duoflask.pytest_plugin).async_client

        @pytest.mark.anyio
        async def test_index(async_client):
            assert (await async_client.get("/")).text == "True True"
    """)
    pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_fixture_of_the_project_goes_first(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.fixture
        def client():
            return "own"

        def test_own(client):
            assert client == "own"
    """)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize("fixture", ["client", "async_client"])
def test_missing_fixture_app_is_explained(pytester: pytest.Pytester, fixture: str) -> None:
    pytester.makepyfile(f"""
        import pytest

        @pytest.mark.asyncio
        async def test_index({fixture}):
            pass
    """)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(
        ["E *fixture 'app' not found: duoflask's fixtures*", "*Write in conftest.py:", "*def app():"]
    )
    assert "INTERNALERROR" not in str(result.stdout)


def test_missing_fixture_app_of_the_projects_own_test_is_pytests_affair(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_index(app): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*fixture 'app' not found", "*available fixtures*"])


def test_fixture_app_may_have_parameters(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        APP.replace("@pytest.fixture", "@pytest.fixture(params=[1, 2])").replace("app():", "app(request):")
    )
    pytester.makepyfile("def test_index(client): assert client.get('/').text.endswith(' True')")
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=4)
