"""Password hashes in Werkzeug's format: `method$salt$hash`, with scrypt or PBKDF2.

Owns how a password is hashed and checked. What was hashed by Werkzeug is checked here, and the reverse.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from .http.paths import safe_join

__all__ = [
    "DEFAULT_PBKDF2_ITERATIONS",
    "SALT_CHARS",
    "check_password_hash",
    "gen_salt",
    "generate_password_hash",
    "safe_join",
]

SALT_CHARS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

# Werkzeug 3.1's; OWASP's Password Storage Cheat Sheet asks for 600,000 and more.
DEFAULT_PBKDF2_ITERATIONS = 1_000_000

# RFC 7914 2, with Werkzeug's cost: 32 MiB and 60 ms.
_SCRYPT_COST = (2**15, 8, 1)


class _UnknownMethod(ValueError):
    pass


def gen_salt(length: int) -> str:
    """Return a random text of `SALT_CHARS`.

    Raises:
        ValueError: The length is less than 1.
    """
    if length < 1:
        raise ValueError(f"invalid length of a salt; expected 1 or more; got {length!r}")
    return "".join([secrets.choice(SALT_CHARS) for _ in range(length)])


def _hash(method: str, salt: str, password: str) -> tuple[str, str]:
    """Return the hash in hexadecimal, and the method with all its parameters.

    Raises:
        ValueError: The method is unknown, or its parameters are wrong or too much for this machine.
    """
    name, *parameters = method.split(":")
    raw_salt, raw_password = salt.encode(), password.encode("utf-8", "surrogatepass")
    if name == "scrypt":
        if len(parameters) not in (0, 3):
            raise ValueError(f"invalid method; expected 'scrypt' or 'scrypt:n:r:p'; got {method!r}")
        n, r, p = map(int, parameters) if parameters else _SCRYPT_COST
        try:
            digest = hashlib.scrypt(raw_password, salt=raw_salt, n=n, r=r, p=p, maxmem=132 * n * r * p)
        except (OverflowError, TypeError) as exc:
            raise ValueError(f"invalid parameters of scrypt: {method!r}") from exc
        return digest.hex(), f"scrypt:{n}:{r}:{p}"
    if name == "pbkdf2":
        if len(parameters) > 2:
            raise ValueError(f"invalid method; expected 'pbkdf2:hash:iterations'; got {method!r}")
        kind = parameters[0] if parameters else "sha256"
        iterations = int(parameters[1]) if len(parameters) == 2 else DEFAULT_PBKDF2_ITERATIONS
        try:
            digest = hashlib.pbkdf2_hmac(kind, raw_password, raw_salt, iterations)
        except OverflowError as exc:
            raise ValueError(f"invalid parameters of pbkdf2: {method!r}") from exc
        return digest.hex(), f"pbkdf2:{kind}:{iterations}"
    raise _UnknownMethod(f"Invalid hash method; expected 'scrypt' or 'pbkdf2'; got {method!r}")


def generate_password_hash(password: str, method: str = "scrypt", salt_length: int = 16) -> str:
    """Hash a password for keeping: `method$salt$hash`.

    It takes some 60 ms of a core, in C and without the interpreter's lock.

    Args:
        password: The password.
        method: `scrypt` or `scrypt:n:r:p` (RFC 7914), `pbkdf2` or `pbkdf2:hash:iterations` (RFC 8018).
        salt_length: How many random characters the salt has.

    Raises:
        ValueError: An unknown method, or parameters that are wrong or too much for this machine.
    """
    salt = gen_salt(salt_length)
    digest, complete = _hash(method, salt, password)
    return f"{complete}${salt}${digest}"


def check_password_hash(pwhash: str, password: str) -> bool:
    """Check a password against a hash, in a time that tells nothing about where they differ.

    Returns:
        Whether it is right; False for a hash that is malformed.

    Raises:
        ValueError: The hash's method is unknown: it was not made by `generate_password_hash`, or by an old version.
    """
    parts = pwhash.split("$", 2)
    if len(parts) != 3:
        return False
    method, salt, expected = parts
    try:
        digest = _hash(method, salt, password)[0]
    except _UnknownMethod:
        raise
    except (ValueError, MemoryError):
        return False
    return hmac.compare_digest(digest.encode(), expected.encode("utf-8", "surrogatepass"))
