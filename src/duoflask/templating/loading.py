"""Where templates are found: in the app's folder, then in those of its blueprints.

Owns the loader that asks them in turn, and the account of its search that EXPLAIN_TEMPLATE_LOADING logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from jinja2 import BaseLoader, TemplateNotFound

from ..ctx import _cv_app
from ..typing import App

__all__ = ["DispatchingJinjaLoader", "explain_template_loading_attempts"]

_Source = tuple[str, str | None, Callable[[], bool] | None]
# The app or a blueprint, its loader, and what that has found.
_Attempt = tuple[Any, BaseLoader, _Source | None]


class DispatchingJinjaLoader(BaseLoader):
    """Look for a template with the loader of the app, then with that of each blueprint.

    Args:
        app: The application.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    def get_source(self, environment: Any, template: str) -> _Source:
        """The source of a template, the file it was read from, and a function that says whether it is up to date.

        Raises:
            TemplateNotFound: Nobody has it.
        """
        if self.app.config["EXPLAIN_TEMPLATE_LOADING"]:
            return self._get_source_explained(environment, template)
        for _, loader in self._iter_loaders(template):
            try:
                return loader.get_source(environment, template)
            except TemplateNotFound:
                continue
        raise TemplateNotFound(template)

    def _get_source_explained(self, environment: Any, template: str) -> _Source:
        attempts: list[_Attempt] = []
        found: _Source | None = None
        for owner, loader in self._iter_loaders(template):
            try:
                source = loader.get_source(environment, template)
            except TemplateNotFound:
                attempts.append((owner, loader, None))
                continue
            attempts.append((owner, loader, source))
            found = found or source
        explain_template_loading_attempts(self.app, template, attempts)
        if found is None:
            raise TemplateNotFound(template)
        return found

    def _iter_loaders(self, template: str) -> Iterator[tuple[Any, BaseLoader]]:
        """The app and its blueprints, each with its loader, in the order in which they are asked for a template."""
        for owner in (self.app, *self.app.iter_blueprints()):
            if owner.jinja_loader is not None:
                yield owner, owner.jinja_loader

    def list_templates(self) -> list[str]:
        """The names of all templates."""
        return sorted({name for _, loader in self._iter_loaders("") for name in loader.list_templates()})


def explain_template_loading_attempts(app: App, template: str, attempts: list[_Attempt]) -> None:
    """Log where a template was looked for, what was found, and what to check if it was not what is wanted."""
    lines = [f"Template {template!r} was looked for by"]
    for number, (owner, loader, found) in enumerate(attempts, 1):
        lines.append(f"{number:5}: {_owner(app, owner)}, {_loader(loader)}")
        if found is None:
            lines.append("       no such template")
        else:
            lines.append(f"       found ({found[1] or '<string>'!r})")
    hits = sum(found is not None for _, _, found in attempts)
    if hits == 0:
        lines.append("It was not found anywhere.")
    elif hits > 1:
        lines.append("It was found more than once; the first is taken.")
    ctx = _cv_app.get(None)
    blueprint = ctx.request.blueprint if ctx is not None and ctx.has_request else None
    if hits != 1 and blueprint is not None:
        lines.append(
            f"The request's endpoint belongs to the blueprint {blueprint!r}. Templates have one namespace: give a "
            "blueprint's own a folder of its name, as in 'templates/admin/index.html', and check its template_folder."
        )
    app.logger.info("\n".join(lines))


def _owner(app: App, owner: Any) -> str:
    kind = "the application" if owner is app else "the blueprint"
    return f"{kind} {owner.name!r} ({owner.import_name})"


def _loader(loader: BaseLoader) -> str:
    """A loader with its settings, as the account shows it."""
    settings = []
    for name, value in sorted(vars(loader).items()):
        if name.startswith("_"):
            continue
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            settings.append(f"{name}: {', '.join(value)}")
        elif isinstance(value, (str, int, float, bool)):
            settings.append(f"{name}: {value!r}")
    shown = f"{type(loader).__module__}.{type(loader).__name__}"
    return f"{shown} ({'; '.join(settings)})" if settings else shown
