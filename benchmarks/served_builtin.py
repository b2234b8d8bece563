"""The built-in server beside uvicorn, both on h11 and asyncio: the same application, over real connections.

Each server is a process of its own. Rounds take turns, and within a round the order does; what counts is the median of
the ratios within a round, of requests a second and of the server process's CPU time a request, which a machine that
is busy with something else disturbs less.

    python -m benchmarks.served_builtin [--rounds 9] [--seconds 1.5] [--connections 16] [--strict]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import selectors
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["app", "main"]

TEXT = b"Hello, World!"
LARGE = b"x" * (1 << 20)
PATHS = {"plain text": "/", "JSON": "/json", "1 MiB response": "/large", "1 MiB request": "/upload"}
_TEXT_FIELDS = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"13")]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer the four workloads; as little work as there can be."""
    path = scope["path"]
    if path == "/":
        body, fields = TEXT, _TEXT_FIELDS
    elif path == "/json":
        body = json.dumps({"message": "Hello, World!"}).encode()
        fields = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    elif path == "/large":
        body = LARGE
        fields = [(b"content-type", b"application/octet-stream"), (b"content-length", b"1048576")]
    else:
        size = 0
        more = True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        body = str(size).encode()
        fields = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


SERVERS = {
    "duoflask": [
        "-c",
        """import sys; from benchmarks.served_builtin import app; from duoflask.server import run
run(app, port=int(sys.argv[1]), access_log=False, lifespan='off')""",
    ],
    "uvicorn": ["-m", "uvicorn", "benchmarks.served_builtin:app", "--http", "h11", "--loop", "asyncio"]
    + ["--no-access-log", "--log-level", "warning", "--lifespan", "off", "--ws", "none", "--port"],
}


@dataclass
class Round:
    rate: float  # requests a second
    cpu: float  # seconds of the server process a request


def _request(path: str) -> bytes:
    fields = "Host: 127.0.0.1\r\nUser-Agent: benchmark/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
    if path != "/upload":
        return f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode()
    return f"POST {path} HTTP/1.1\r\n{fields}Content-Length: {len(LARGE)}\r\n\r\n".encode() + LARGE


def _answer_length(port: int, request: bytes) -> int:
    """The whole length of an answer, after its check; every further one has it too (Date has one length)."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        assert b"date" in fields
        assert b"server" in fields
        length = int(fields[b"content-length"])
        while len(body) < length:
            body += sock.recv(65536)
        return len(head) + 4 + length


def _load(port: int, request: bytes, length: int, connections: int, seconds: float) -> int:
    """Keep so many connections busy; return how many requests were answered."""
    selector = selectors.DefaultSelector()
    missing: dict[socket.socket, int] = {}
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, selectors.EVENT_READ)
        missing[sock] = length
        sock.sendall(request)
    done = 0
    end = time.perf_counter() + seconds
    buffer = bytearray(1 << 20)
    while time.perf_counter() < end:
        for key, _ in selector.select(1):
            sock: Any = key.fileobj
            left = missing[sock] - sock.recv_into(buffer)
            if not left:
                done += 1
                left = length
                sock.sendall(request)
            missing[sock] = left
    for sock in missing:
        sock.close()
    return done


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _start(name: str) -> tuple[subprocess.Popen[bytes], int]:
    port = _free_port()
    process = subprocess.Popen([sys.executable, *SERVERS[name], str(port)], stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, port
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{name} does not start")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", help="a part of a workload's name")
    parser.add_argument("--strict", action="store_true", help="fail where uvicorn takes less CPU time")
    options = parser.parse_args()
    running = {name: _start(name) for name in SERVERS}
    print(f"Python {platform.python_version()}, {options.connections} connections, {options.rounds} rounds", flush=True)
    failed = False
    try:
        for workload, path in PATHS.items():
            if options.only and options.only not in workload:
                continue
            request = _request(path)
            rounds: dict[str, list[Round]] = {name: [] for name in running}
            for number in range(options.rounds + 1):
                for name in list(running)[:: 1 if number % 2 else -1]:
                    process, port = running[name]
                    length = _answer_length(port, request)
                    before = _cpu(process.pid)
                    done = _load(port, request, length, options.connections, options.seconds)
                    if number:  # the first one warms up
                        rounds[name].append(Round(done / options.seconds, (_cpu(process.pid) - before) / done))
            for name, results in rounds.items():
                rate = statistics.median(item.rate for item in results)
                cpu = statistics.median(item.cpu for item in results)
                print(f"{workload:15} {name:9} {rate:9.0f} requests/s {cpu * 1e6:9.1f} us of CPU a request")
            pairs = list(zip(rounds["duoflask"], rounds["uvicorn"]))
            rate = statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
            cpu = statistics.median(theirs.cpu / ours.cpu for ours, theirs in pairs)
            print(f"{workload:15} duoflask / uvicorn: {rate:.2f} of its throughput, {cpu:.2f} per CPU time", flush=True)
            failed |= cpu < 1
    finally:
        for process, _ in running.values():
            process.terminate()
            process.wait()
    if failed and options.strict:
        sys.exit("uvicorn takes less CPU time in at least one workload")


if __name__ == "__main__":
    main()
