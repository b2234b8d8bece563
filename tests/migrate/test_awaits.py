from __future__ import annotations

from typing import Any

import pytest

HEAD = "from quart import request, make_response, render_template, flash, current_app\nimport quart\n"
NEW_HEAD = "from duoflask import request, make_response, render_template, flash, current_app\nimport duoflask\n"


def view(line: str) -> str:
    return f"async def view(x):\n    {line}\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("form = await request.form", "form = request.form"),
        ("a = (await request.form)['a']", "a = request.form['a']"),
        ("return(await request.form)", "return request.form"),
        ("return (await request.form)if x else 1", "return request.form if x else 1"),
        ("a = f((await request.files), g(await request.values))", "a = f(request.files, g(request.values))"),
        ("a = (await request.get_json(force=True), 1)", "a = (request.get_json(force=True), 1)"),
        ("a = await (request.data)", "a = (request.data)"),
        ("a = await (  # why\n        request.data)", "a = (  # why\n        request.data)"),
        ("a = (  # why\n        await request.data)", "a = (  # why\n        request.data)"),
        ("return await render_template('x', y=await request.form)", "return render_template('x', y=request.form)"),
        ("await quart.flash('x')", "duoflask.flash('x')"),
        ("await current_app.make_response(1)", "current_app.make_response(1)"),
        ("r = await make_response(1)\n    return await r.get_data()", "r = make_response(1)\n    return r.get_data()"),
        ("'ä'; await flash('ä')", "'ä'; flash('ä')"),
        ("r = await x.get('/')\n    await r.get_json()", "r = await x.get('/')\n    r.get_json()"),
        ("await (await x.get('/')).get_data()", "(await x.get('/')).get_data()"),
        ("async with x.test_client() as c: pass", "async with x.async_test_client() as c: pass"),
        ("await x.load()", "await x.load()"),
    ],
)
def test_await_of_what_is_plain_goes(migrate: Any, old: str, new: str) -> None:
    uses = "quart.g\n" if "quart" not in old else ""
    text, persons = migrate(HEAD + uses + view(old))
    assert text == NEW_HEAD + uses.replace("quart", "duoflask") + view(new)
    assert persons == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("await x.get_json()", "await of '.get_json'"),
        ("await x.form", "await of '.form'"),
        ("request = x; await request.form", "await of '.form'"),
        ("await x.make_response(1)", "await of '.make_response'"),
        ("f = x.files; await f['a'].save('b')", "await of '.save'"),
        ("await x.open_resource('a')", "await of '.open_resource'"),
        ("await \\\n        request.form", "this await is of a plain value"),
    ],
)
def test_what_may_be_plain_is_reported(migrate: Any, line: str, said: str) -> None:
    text, persons = migrate(HEAD + "quart.g\n" + view(line))
    assert text.endswith(view(line))
    assert len(persons) == 1 and said in persons[0]


def test_save_of_others_is_not_reported(migrate: Any) -> None:
    assert migrate("import quart\nquart.g\nasync def f(user):\n    await user.save()\n")[1] == []


def test_projects_of_flask_keep_their_awaits(migrate: Any) -> None:
    old = "from flask import g\nasync def f(r):\n    await r.get_json()\n    x.test_client()\n"
    assert migrate(old) == (old.replace("flask", "duoflask"), [])


def test_awaits_left_by_a_migration_by_hand_go_too(migrate: Any) -> None:
    old = "from duoflask import request\nasync def f():\n    return (await request.form)['x']\n"
    assert migrate(old)[0] == old.replace("(await request.form)", "request.form")
