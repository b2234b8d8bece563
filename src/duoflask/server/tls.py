"""Certificates and contexts for HTTPS: from files, or made up for development.

Owns what `ssl_context=` and `--cert` may be. Knows no connection. Making a certificate up takes the package
`cryptography` (`pip install 'duoflask[tls]'`), which is imported only then.
"""

from __future__ import annotations

import datetime
import importlib
import os
import ssl
import sys
import tempfile
from ipaddress import IPv4Address, IPv6Address
from typing import Any

__all__ = [
    "explain_failure",
    "generate_adhoc_ssl_context",
    "generate_adhoc_ssl_pair",
    "is_ssl_error",
    "load_ssl_context",
    "make_ssl_devcert",
    "ssl_context_of",
]

# Days. Browsers refuse certificates that are valid for longer than 398 (CA/Browser Forum, 6.3.2).
VALIDITY = 365


def ssl_context_of(value: Any) -> ssl.SSLContext | None:
    """Return the context that `ssl_context=` stands for: None, a context, "adhoc", a file, or a pair of files.

    Raises:
        TypeError: None of these.
        RuntimeError: "adhoc" without the package `cryptography`.
        OSError: A file cannot be read; `ssl.SSLError`, which is one, if it holds no certificate or key.
    """
    if value is None or isinstance(value, ssl.SSLContext):
        return value
    if value == "adhoc":
        return generate_adhoc_ssl_context()
    if isinstance(value, (str, os.PathLike)):
        return load_ssl_context(value)
    if isinstance(value, (tuple, list)) and 1 <= len(value) <= 2:
        return load_ssl_context(*value)
    raise TypeError(
        "invalid ssl_context; expected None, 'adhoc', a pair of paths (certificate, key) or an ssl.SSLContext; "
        f"got {type(value).__name__}"
    )


def load_ssl_context(
    cert_file: str | os.PathLike[str], pkey_file: str | os.PathLike[str] | None = None, protocol: int | None = None
) -> ssl.SSLContext:
    """Return a server's context for a certificate and its key.

    Args:
        cert_file: A PEM file: the certificate, and those that lead to the authority.
        pkey_file: A PEM file with the key; by default it is in `cert_file`.
        protocol: One of `ssl.PROTOCOL_*`; by default what Python recommends, TLS 1.2 and newer.

    Raises:
        OSError: A file cannot be read; `ssl.SSLError`, which is one, if it holds no certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if protocol is None else protocol)
    context.load_cert_chain(cert_file, pkey_file)
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client would have the server do the costly part for nothing
    context.set_alpn_protocols(["http/1.1"])
    return context


def generate_adhoc_ssl_pair(cn: str | None = None) -> tuple[Any, Any]:
    """Make up a key and a certificate that it has signed itself, as objects of `cryptography`.

    Args:
        cn: The name it is for; by default `localhost` and the loopback addresses.

    Raises:
        RuntimeError: `cryptography` is not installed.
    """
    try:
        x509 = importlib.import_module("cryptography.x509")
        ec = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ec")
        hashes = importlib.import_module("cryptography.hazmat.primitives.hashes")
    except ImportError:
        raise RuntimeError(
            "'adhoc' makes a certificate with the package cryptography, which is not installed; "
            "run: pip install 'duoflask[tls]'"
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    host = cn or "localhost"
    names = [x509.DNSName(host), x509.DNSName(f"*.{host}")]
    if cn is None:
        names += [x509.IPAddress(IPv4Address("127.0.0.1")), x509.IPAddress(IPv6Address("::1"))]
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Development only"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, host),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=VALIDITY))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return builder.sign(key, hashes.SHA256()), key


def make_ssl_devcert(base_path: str, host: str | None = None, cn: str | None = None) -> tuple[str, str]:
    """Write a made-up certificate and its key to `<base_path>.crt` and `<base_path>.key`; return the two paths.

    Args:
        base_path: The files' path without their endings.
        host: The name it is for, and those below it.
        cn: The same; `host` goes before.

    Raises:
        RuntimeError: `cryptography` is not installed.
    """
    cert_file, key_file = f"{base_path}.crt", f"{base_path}.key"
    _write_pair(cert_file, key_file, *generate_adhoc_ssl_pair(host or cn))
    return cert_file, key_file


def generate_adhoc_ssl_context() -> ssl.SSLContext:
    """Return a server's context with a made-up certificate; a browser warns of it.

    Raises:
        RuntimeError: `cryptography` is not installed.
    """
    pair = generate_adhoc_ssl_pair()
    with tempfile.TemporaryDirectory(prefix="duoflask-tls-") as folder:  # `ssl` reads keys from files only
        cert_file, key_file = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        _write_pair(cert_file, key_file, *pair)
        return load_ssl_context(cert_file, key_file)


def _write_pair(cert_file: str, key_file: str, cert: Any, key: Any) -> None:
    serialization = importlib.import_module("cryptography.hazmat.primitives.serialization")
    with open(cert_file, "wb") as file:
        file.write(cert.public_bytes(serialization.Encoding.PEM))
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            key.private_bytes(
                encoding=serialization.Encoding.PEM,
                format=serialization.PrivateFormat.TraditionalOpenSSL,
                encryption_algorithm=serialization.NoEncryption(),
            )
        )


def is_ssl_error(error: BaseException | None = None) -> bool:
    """Whether an error, by default the one that is being handled, is one of TLS."""
    return isinstance(sys.exc_info()[1] if error is None else error, ssl.SSLError)


def explain_failure(error: OSError) -> str:
    """Return why a handshake failed, in a line."""
    if isinstance(error, ssl.SSLError):
        if error.reason == "HTTP_REQUEST":
            return "the client speaks plain HTTP; this port is HTTPS"
        return (error.reason or str(error.args[-1])).replace("_", " ").lower()
    return str(error.strerror or error)
