"""Files of the folder $SITE, sent in every way; what is open and what has ended can be asked for."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from duoflask import DuoFlask, Response
from duoflask.files import send_file

SITE = Path(os.environ["SITE"])

app = DuoFlask(__name__, root_path=str(SITE))
counts: Counter[str] = Counter()


@app.teardown_request
def tear_down(error: BaseException | None) -> None:
    counts["ended"] += 1


@app.get("/send/<name>")
def send(name: str) -> Response:
    counts["begun"] += 1
    return send_file(SITE / "static" / name)


@app.get("/send-async/<name>")
async def send_async(name: str) -> Response:
    counts["begun"] += 1
    return send_file(SITE / "static" / name)


def _truncated() -> Response:
    path = SITE / f"truncated-{os.getpid()}.bin"
    path.write_bytes(b"x" * 3_000_000)
    response = send_file(path)
    os.truncate(path, 1_000_000)
    return response


@app.get("/truncated")
def truncated() -> Response:
    return _truncated()


@app.get("/truncated-async")
async def truncated_async() -> Response:
    return _truncated()


@app.get("/state")
def state() -> dict[str, Any]:
    opened = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            opened += os.readlink(entry).startswith(str(SITE))
        except OSError:
            continue
    return {"open": opened, "unfinished": counts["begun"] - counts["ended"] + counts["other"], **counts}
