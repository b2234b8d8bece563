"""Have `import flask`, `flask.*` and `werkzeug.*` mean duoflask, so that Flask's extensions run unmodified.

Import this module once, before anything that imports Flask:

    import duoflask.flask_patch
    from flask_login import LoginManager

It works whether Flask and Werkzeug are installed or not; what is installed of them is not loaded. Owns the switch;
which name stands where is `names_of_flask`, how a module is made of names is `finder`.
"""

from __future__ import annotations

from .finder import install

__all__ = ["install"]

install()
