"""The process that `tests.brokers.warm` forks runs of kchat from. It has no thread, and has loaded nothing of kchat's."""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import NoReturn

LOADED = (
    "amqp", "click", "email.message", "http.client", "importlib.metadata", "kombu", "kombu.serialization",
    "kombu.transport.pyamqp", "kombu.transport.virtual", "logging.handlers", "multiprocessing", "platformdirs", "sqlite3",
    "ssl", "subprocess", "tomlkit", "urllib.request", "zoneinfo",
)  # fmt: skip
"""What most commands load, slowly."""


def serve(control: socket.socket) -> None:
    """Forks a run for each request, and tells its process id and its end, until the tests close their side."""
    running: dict[int, socket.socket] = {}
    wakes, wake = socket.socketpair()
    for each in (wakes, wake):
        each.setblocking(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the tests
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    with selectors.DefaultSelector() as ready:
        ready.register(control, selectors.EVENT_READ)
        ready.register(wakes, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is wakes:
                    wakes.recv(4096)
                    tell_ends(running)
                    continue
                request, fds, _, _ = socket.recv_fds(control, 16, 5)
                if not request:
                    return
                told = socket.socket(fileno=fds.pop())
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    ready.close()
                    for each in (control, wakes, wake, told, *running.values()):
                        each.close()
                    become_kchat(*fds)
                for fd in fds:
                    os.close(fd)
                running[pid] = told
                pidfd = os.pidfd_open(pid)
                with suppress(OSError):
                    socket.send_fds(told, [str(pid).encode()], [pidfd])
                os.close(pidfd)


def tell_ends(running: dict[int, socket.socket]) -> None:
    """Tells the exit codes of runs that have ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with running.pop(pid) as told, suppress(OSError):
            told.send(str(os.waitstatus_to_exitcode(status)).encode())


def become_kchat(stdin: int, stdout: int, stderr: int, asked: int) -> NoReturn:
    """Does in a forked process what ``python -m kchat`` does."""
    with os.fdopen(asked, "rb") as request:
        arguments, environment, cwd = json.load(request)
    for number, fd in enumerate((stdin, stdout, stderr)):
        os.dup2(fd, number)
        os.close(fd)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.path[0] = cwd
    sys.argv[:] = ["kchat", *arguments]
    # It ends the process, or raises: then Python ends it, in its own way.
    runpy.run_module("kchat", run_name="__main__", alter_sys=True)
    raise AssertionError("kchat came back")


for _name in LOADED:
    importlib.import_module(_name)
assert not [_name for _name in sys.modules if _name.partition(".")[0] == "kchat"]
gc.collect()
gc.freeze()
serve(socket.socket(fileno=int(os.environ.pop("KCHAT_TEST_CONTROL"))))
