"""The examples of docs/streaming.md, run as they stand there, under both protocols."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

from .pages import Page


def test_examples_work(loop_client: Any) -> None:
    files: list[io.BytesIO] = []
    done: list[str] = []

    async def fetch_rows() -> AsyncIterator[dict[str, Any]]:
        yield {"id": 1, "name": "Ada"}

    async def charge() -> None:
        done.append("charged")

    def open_export() -> io.BytesIO:
        files.append(io.BytesIO(b"a\nb\n"))
        return files[-1]

    names: dict[str, Any] = {
        "fetch_rows": fetch_rows,
        "charge": charge,
        "open_export": open_export,
        "steps": lambda: [lambda: done.append("step")],
    }
    page = Page("streaming")
    code = "\n\n".join(page.indented)
    assert code.count("@app.") == 5
    client = loop_client(page.run(code, **names)["app"])
    assert client.get("/lines?user=Ada").text == "".join(f"{number} for Ada at /lines\n" for number in range(3))
    assert client.get("/rows.csv").text == "1,Ada\n"
    assert client.post("/pay").text == "paid"
    assert client.get("/report").text == "done"
    assert client.get("/export").data == b"a\nb\n"
    assert [file.closed for file in files] == [True]
    assert done == ["charged", "step"]
