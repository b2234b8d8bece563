"""`duoflask new PATH`: a small project that passes its tests at once.

Owns the project's files (`files/`, each ending in `.in`) and what a project may be called. Knows no application.
"""

from __future__ import annotations

import keyword
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Final

import click

__all__ = ["InvalidName", "create_project", "new_command"]

_FILES: Final = Path(__file__).parent / "files"
# Names under which something else is imported, in the project or beside it.
_TAKEN: Final = frozenset(
    {"app", "wsgi", "asgi", "test", "tests", "conftest", "duoflask", "flask", "werkzeug", "quart"}
    | {"anyio", "blinker", "click", "h11", "idna", "itsdangerous", "jinja2", "markupsafe", "sniffio", "wsproto"}
    | {"gunicorn", "uvicorn", "granian", "pytest", "pip", "setuptools", "watchfiles", "dotenv", "redis", "msgspec"}
)
_NAME_RE: Final = re.compile(r"[a-z][a-z0-9_]*")
_DOTTED: Final = {"gitignore": ".gitignore", "dockerignore": ".dockerignore"}


class InvalidName(ValueError):
    """A project cannot be called so."""


def _package_of(name: str) -> str:
    package = re.sub(r"[\s.-]+", "_", name.strip().lower())
    if not _NAME_RE.fullmatch(package):
        raise InvalidName(
            f"invalid project name; expected letters of ASCII, digits, '-' and '_', a letter first; got {name!r}"
        )
    if package in _TAKEN or keyword.iskeyword(package) or package in sys.stdlib_module_names:
        raise InvalidName(
            f"invalid project name; {package!r} is the name of another module. Take {package + '_site'!r}."
        )
    return package


def create_project(path: Path) -> list[Path]:
    """Write a new project.

    Args:
        path: Its folder, which is made if need be; its last part is the project's name.

    Returns:
        The files, relative to the folder.

    Raises:
        InvalidName: That is no name for a Python package, or another module's.
        FileExistsError: The folder is not empty, or no folder.
    """
    path = path.resolve()
    package = _package_of(path.name)
    names = {
        "package": package,
        "project": package.replace("_", "-"),
        "title": package.replace("_", " ").capitalize(),
        "prefix": package.upper(),
    }
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(f"{str(path)!r} is there already and not empty; name a new folder")
    written = []
    for source in sorted(_FILES.rglob("*.in")):
        parts = list(source.relative_to(_FILES).parts)
        parts[0] = package if parts[0] == "package" else parts[0]
        name = parts[-1].removesuffix(".in")
        target = Path(*parts[:-1], _DOTTED.get(name, name))
        text = source.read_text(encoding="utf-8")
        for key, value in names.items():
            text = text.replace("{{%s}}" % key, value)  # noqa: UP031 - a format string would need each brace twice
        (path / target).parent.mkdir(parents=True, exist_ok=True)
        (path / target).write_text(text, encoding="utf-8", newline="\n")
        written.append(target)
    return written


@click.command("new", short_help="Make a small project that runs at once.")
@click.argument("path", type=click.Path(path_type=Path))
def new_command(path: Path) -> None:
    """Make a project in the folder PATH: an application with a blueprint, templates, tests and a Dockerfile.

    Its tests run under WSGI and under ASGI, and pass.
    """
    try:
        written = create_project(path)
    except (InvalidName, OSError) as exc:
        raise click.ClickException(str(exc)) from exc
    for file in written:
        click.echo(f"  {path / file}")
    shown = os.path.relpath(path)
    quoted = f'"{shown}"' if sys.platform == "win32" else shlex.quote(shown)
    click.echo(f"\nNow:\n  cd {quoted}\n  duoflask run --debug\n\nIts tests: python -m pytest")
