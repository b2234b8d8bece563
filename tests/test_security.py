"""Password hashes that Werkzeug reads, and the reverse."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
import werkzeug.security
from hypothesis import given, settings, strategies as st

from duoflask import security
from duoflask.security import check_password_hash, gen_salt, generate_password_hash

QUICK = ["scrypt:128:8:1", "pbkdf2:sha256:1", "pbkdf2:sha1:2", "pbkdf2:sha512:3"]


@pytest.mark.parametrize("method", ["scrypt", "scrypt:1024:8:2", "pbkdf2", *QUICK])
def test_each_side_checks_what_the_other_has_hashed(method: str) -> None:
    for make, check in (
        (generate_password_hash, werkzeug.security.check_password_hash),
        (werkzeug.security.generate_password_hash, check_password_hash),
        (generate_password_hash, check_password_hash),
    ):
        made = make("pässwörd\0$", method)
        assert check(made, "pässwörd\0$")
        assert not check(made, "passwort")


def test_method_and_cost_are_werkzeugs() -> None:
    ours, theirs = generate_password_hash("x"), werkzeug.security.generate_password_hash("x")
    assert ours.split("$")[0] == theirs.split("$")[0] == "scrypt:32768:8:1"
    assert [len(part) for part in ours.split("$")] == [len(part) for part in theirs.split("$")]
    assert security.DEFAULT_PBKDF2_ITERATIONS == werkzeug.security.DEFAULT_PBKDF2_ITERATIONS
    assert security.SALT_CHARS == werkzeug.security.SALT_CHARS


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(QUICK), st.integers(1, 40))
def test_any_password_agrees_with_werkzeug(password: str, method: str, length: int) -> None:
    made = generate_password_hash(password, method, length)
    assert len(made.split("$")[1]) == length
    assert werkzeug.security.check_password_hash(made, password)
    assert check_password_hash(werkzeug.security.generate_password_hash(password, method), password)
    assert not check_password_hash(made, password + "x")


def test_a_password_with_lone_surrogates_is_hashed() -> None:
    made = generate_password_hash("\ud800", QUICK[0])
    assert check_password_hash(made, "\ud800")
    assert not check_password_hash(made, "?")


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "$",
        "$$"[:1],
        "scrypt",
        "scrypt$salt",
        "scrypt:1:2$salt$aa",
        "scrypt:x:8:1$salt$aa",
        "scrypt:0:8:1$salt$aa",
        "scrypt:3:8:1$salt$aa",
        "scrypt:-2:8:1$salt$aa",
        f"scrypt:{2**40}:8:1$salt$aa",
        f"scrypt:2:{2**70}:1$salt$aa",
        "pbkdf2:sha256:x$salt$aa",
        "pbkdf2:sha256:0$salt$aa",
        "pbkdf2:sha256:-1$salt$aa",
        f"pbkdf2:sha256:{2**80}$salt$aa",
        "pbkdf2:nonsense:1$salt$aa",
        "pbkdf2:a:b:c$salt$aa",
        "scrypt:128:8:1$salt$",
        "scrypt:128:8:1$salt$\xff\ud800",
        "scrypt:128:8:1$salt$aa$bb",
        "pbkdf2:" + "9" * 5000 + "$salt$aa",
    ],
)
def test_a_malformed_hash_fits_no_password(malformed: str) -> None:
    assert check_password_hash(malformed, "x") is False


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=20))
def test_any_text_is_a_hash_that_fits_not_or_an_unknown_method(text: str, password: str) -> None:
    try:
        assert check_password_hash(text, password) is False
    except ValueError as exc:
        assert "Invalid hash method" in str(exc)


@pytest.mark.parametrize("method", ["md5", "sha256", "plain", "", "SCRYPT", "argon2"])
def test_an_unknown_method_is_an_error(method: str) -> None:
    with pytest.raises(ValueError, match="expected 'scrypt' or 'pbkdf2'"):
        generate_password_hash("x", method)
    with pytest.raises(ValueError, match="expected 'scrypt' or 'pbkdf2'"):
        check_password_hash(f"{method}$salt${hashlib.sha256(b'x').hexdigest()}", "x")


@pytest.mark.parametrize("method", ["scrypt:1:2", "scrypt:x:8:1", "scrypt:3:8:1", "pbkdf2:sha256:1:1", "pbkdf2:nope:1"])
def test_wrong_parameters_are_an_error_when_hashing(method: str) -> None:
    with pytest.raises(ValueError):
        generate_password_hash("x", method)


def test_salts() -> None:
    salts = {gen_salt(16) for _ in range(100)}
    assert len(salts) == 100
    assert set("".join(salts)) <= set(security.SALT_CHARS)
    for length in (0, -1):
        with pytest.raises(ValueError, match="expected 1 or more"):
            gen_salt(length)


def test_importing_duoflask_does_not_load_it() -> None:
    code = "import sys, duoflask; print('duoflask.security' in sys.modules, 'duoflask.middleware' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.split() == ["False", "False"]
