"""Parameter types of the command line: certificates, and lists of paths.

Knows click and `ssl` only.
"""

from __future__ import annotations

import importlib
import os
import ssl
from typing import Any

import click

__all__ = ["CertParamType", "SeparatedPathType"]


class CertParamType(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.4
    """A certificate for HTTPS: the path of a file, `adhoc` for one that is made up, or the name of an `SSLContext`."""

    name = "path"

    def __init__(self) -> None:
        self.path_type = click.Path(exists=True, dir_okay=False, resolve_path=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a path, `"adhoc"` or an `ssl.SSLContext`."""
        try:
            return self.path_type(value, param, ctx)
        except click.BadParameter:
            text = click.STRING(value, param, ctx)
            if text.lower() == "adhoc":
                try:
                    importlib.import_module("cryptography")
                except ImportError:
                    raise click.BadParameter(
                        "'adhoc' makes a certificate with the package cryptography: pip install 'duoflask[tls]'",
                        ctx,
                        param,
                    ) from None
                return "adhoc"
            found = _object_at(text)
            if isinstance(found, ssl.SSLContext):
                return found
            raise


def _object_at(text: str) -> Any:
    """What `module:name` or `module.name` stands for; None if nothing does."""
    module, _, name = text.replace(":", ".").rpartition(".")
    try:
        if not module:
            return importlib.import_module(name)
        return getattr(importlib.import_module(module), name, None)
    except (ImportError, ValueError):
        return None


class SeparatedPathType(click.Path):
    """Several paths in one value, separated as in PATH (`:`, on Windows `;`)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the list of paths, each checked as `click.Path` does."""
        items = value.split(os.pathsep) if isinstance(value, str) else value
        return [super(SeparatedPathType, self).convert(item, param, ctx) for item in items]
