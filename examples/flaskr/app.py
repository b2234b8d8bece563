"""The application object that servers take: `gunicorn app:app`, `uvicorn app:app`."""

from __future__ import annotations

from flaskr import create_app

app = create_app()

if __name__ == "__main__":
    app.run()
