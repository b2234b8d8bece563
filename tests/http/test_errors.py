from __future__ import annotations

from datetime import UTC, datetime

import pytest
from werkzeug import exceptions as oracle
from werkzeug.http import HTTP_STATUS_CODES as ORACLE_CODES

from duoflask.http import errors


def test_codes_and_phrases_are_werkzeugs():
    assert errors.HTTP_STATUS_CODES == ORACLE_CODES


def test_every_class_has_werkzeugs_code_bases_and_name():
    for name, theirs in vars(oracle).items():
        if isinstance(theirs, type) and issubclass(theirs, oracle.HTTPException) and not name.startswith("_"):
            ours = getattr(errors, name)
            assert name in errors.__all__
            assert ours.code == theirs.code
            public = lambda cls: [c.__name__ for c in cls.__mro__ if not c.__name__.startswith("_")]  # noqa: E731
            assert public(ours) == public(theirs)
            assert ours().name == theirs().name


def test_default_exceptions_are_werkzeugs():
    assert {code: cls.__name__ for code, cls in errors.default_exceptions.items()} == {
        code: cls.__name__ for code, cls in oracle.default_exceptions.items()
    }


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("NotFound", {"description": "<b>&\n'x'"}),
        ("MethodNotAllowed", {"valid_methods": ["GET", "HEAD"], "description": "d"}),
        ("RequestedRangeNotSatisfiable", {"length": 5, "description": "d"}),
        ("TooManyRequests", {"retry_after": 5, "description": "d"}),
        ("ServiceUnavailable", {"retry_after": datetime(2024, 1, 1, tzinfo=UTC), "description": "d"}),
        ("HTTPException", {"description": "d"}),
        ("InternalServerError", {"original_exception": ValueError(), "description": "d"}),
    ],
)
def test_page_headers_and_texts_are_built_as_werkzeugs(name, arguments):
    ours, theirs = getattr(errors, name)(**arguments), getattr(oracle, name)(**arguments)
    assert ours.get_body() == theirs.get_body()
    assert ours.get_headers() == theirs.get_headers()
    assert str(ours) == str(theirs)
    assert repr(ours) == repr(theirs)


def test_challenges_of_a_401():
    one = errors.Unauthorized(www_authenticate="Basic")
    assert ("WWW-Authenticate", "Basic") in one.get_headers()
    two = errors.Unauthorized(www_authenticate=["Basic", "Bearer"])
    assert [value for name, value in two.get_headers() if name == "WWW-Authenticate"] == ["Basic", "Bearer"]
    assert len(errors.Unauthorized().get_headers()) == 1


def test_key_error_names_the_key_only_when_told():
    error = errors.BadRequestKeyError("secret")
    assert "secret" not in error.get_body()
    assert error.args == ("secret",)
    error.show_exception = True
    assert "KeyError: &#39;secret&#39;" in error.get_body()
    assert errors.BadRequestKeyError("k", "own text").description == "own text"
    assert errors.BadRequestKeyError().args == ()


def test_a_given_response_is_the_response():
    response = object()
    assert errors.HTTPException(response=response).get_response() is response


def test_no_instance_lives_at_module_level():
    assert not [value for value in vars(errors).values() if isinstance(value, BaseException)]


def test_page_is_kept_only_as_long_as_nothing_of_it_changes():
    class Gone(errors.NotFound):
        description = "Once <here>."

    assert b"Once &lt;here&gt;." in Gone().get_response().get_data()
    Gone.description = "Long gone."
    assert b"Long gone." in Gone().get_response().get_data()
    Gone.code = 410
    answer = Gone().get_response()
    assert answer.status == "410 GONE" and b"<title>410 Gone</title>" in answer.get_data()
    assert b"a word" in Gone("a word").get_response().get_data()
    changed = Gone()
    changed.code = 404
    assert changed.get_response().status_code == 404

    class Own(Gone):
        def get_body(self, environ=None, scope=None):
            return "mine"

    assert Own().get_response().get_data() == b"mine"
    assert errors.NotFound().get_response() is not errors.NotFound().get_response()
