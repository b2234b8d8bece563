"""A small blog: users register and log in, and write, change and delete their own posts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from duoflask import Flask

from . import auth, blog, database

__all__ = ["create_app"]


def create_app(settings: Mapping[str, Any] | None = None) -> Flask:
    """Make the application.

    Args:
        settings: Configuration instead of the file `config.py` in the instance folder and the variables `FLASKR_*`.
    """
    app = Flask(__name__, instance_relative_config=True)
    instance = Path(app.instance_path)
    app.config.from_mapping(SECRET_KEY="dev", DATABASE=instance / "flaskr.sqlite")
    if settings is None:
        app.config.from_pyfile("config.py", silent=True)
        app.config.from_prefixed_env("FLASKR")
    else:
        app.config.from_mapping(settings)
    Path(app.config["DATABASE"]).parent.mkdir(parents=True, exist_ok=True)

    database.init_app(app)
    app.register_blueprint(auth.blueprint)
    app.register_blueprint(blog.blueprint)
    return app
