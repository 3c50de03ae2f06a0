"""``python -m benchmarks.web``: open pages of ``kchat serve`` beside bare Starlette; see ``--help``. Linux: reads /proc."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from kchat.client.sender import Sender
from kchat.config.settings import Settings

_HERE = Path(__file__).parent
_GUESTS = 20


class _Process:
    """A process that answers lines with JSON."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.read()

    @property
    def kib(self) -> int:
        """Its memory (RSS)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


def _cookies(port: int, secrets: list[str]) -> list[str]:
    base = f"http://127.0.0.1:{port}"
    found = []
    for secret in secrets:
        with httpx.Client(base_url=base, headers={"Origin": base}) as client:
            client.post("api/session", json={"secret": secret}).raise_for_status()
            found.append("; ".join(f"{name}={value}" for name, value in client.cookies.items()))
    return found


def measure(what: str, url: str, store: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Measure one server.

    Arguments:
        what: ``kchat`` or ``bare``.
        url: of the room.
        store: the file for the guests.
        asked: the command line.
    """
    server = _Process(
        str(_HERE / "server.py"), *(["bare"] if what == "bare" else [url, str(store), str(_GUESTS)])
    )
    pages = None
    try:
        told = server.read()
        pages = _Process(str(_HERE / "pages.py"), str(told["port"]), *_cookies(told["port"], told["secrets"]))
        pages.ask("open 20")  # what is made once is made
        before = server.kib
        pages.ask(f"open {20 + asked.idle}")
        found: dict[str, Any] = {"KiB of an idle page": round((server.kib - before) / asked.idle, 1)}
        pages.ask(f"open {asked.pages}")
        pages.ask("report")
        began, cpu = time.monotonic(), server.cpu
        memory: list[int] = []
        seconds = asked.minutes * 60 if asked.minutes else asked.seconds
        with (
            Sender(Settings.resolve(url=url, room="chat"), "ada") as sender,
            httpx.Client(base_url=f"http://127.0.0.1:{told['port']}") as client,
        ):
            for number in range(int(seconds * asked.rate)):
                time.sleep(max(0.0, began + number / asked.rate - time.monotonic()))
                text = f"{time.monotonic_ns()} {'x' * 80}"
                if what == "bare":
                    value = {"room": "chat", "id": "0" * 36, "username": "ada", "name": "ada", "text": text}
                    data = json.dumps(value, separators=(",", ":"))
                    client.post("send", content=f"event: message\nid: {number}\ndata: {data}\n\n".encode())
                else:
                    sender.send(text)
                if asked.minutes and number % (asked.rate * 10) == 0:
                    pages.ask(f"turn {asked.pages // 5}")
                    memory.append(server.kib)
        time.sleep(1)
        spent = time.monotonic() - began
        found |= pages.ask("report")
        found["expected"] = int(seconds * asked.rate) * asked.pages
        found["CPU, % of a core"] = round(100 * (server.cpu - cpu) / spent, 1)
        if memory:
            found["MiB at minute 2, at the end"] = [memory[min(12, len(memory) - 1)] >> 10, memory[-1] >> 10]
        return found
    finally:
        if pages is not None:
            pages.end()
        server.end()


def main() -> int:
    """Measure, print, and fail where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__)
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--idle", type=int, default=1000, help="idle pages, whose memory is measured")
    parser.add_argument("--rate", type=int, default=20, help="messages a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--minutes", type=float, default=0.0, help="instead: with pages coming and going")
    parser.add_argument("--url", help="of the room; default: an embedded one")
    asked = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        url = asked.url or f"local://{folder}/room.db"
        for what in ("kchat",) if asked.minutes else ("bare", "kchat"):
            found = measure(what, url, Path(folder) / "web.db", asked)
            print(what, json.dumps(found), flush=True)
            if what == "kchat":
                missed = found["KiB of an idle page"] > 100 or found["p50_p99_ms"][1] > 100
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
