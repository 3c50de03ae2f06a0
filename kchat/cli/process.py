"""Passwords typed on the command line, hidden from ``ps`` as soon as possible.

Everyone on the machine can read a process's arguments. On Linux they are in the process's memory, which it can overwrite
(proc(5): ``arg_start`` and ``arg_end`` in ``/proc/pid/stat``); other systems keep a copy. Until then they are visible, and
the shell's history keeps them: ``--ask-password`` and the environment avoid both.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

_OPTION = "--rmq-password"
_INVITATION = re.compile(r"(?i)kchat://\d+\.([\w\s-]+)")
"""It may have been pasted in several lines (:meth:`kchat.hosting.invitation.Invitation.decode`)."""

_IN_URL = re.compile(r"://[^/\s]*?:(.*)@", re.DOTALL)


def hide_passwords(words: Iterable[str]) -> None:
    """Overwrite the passwords of a command line, this process's, with asterisks, if the system allows it."""
    secrets = [secret for secret in _passwords(words) if secret]
    if secrets and sys.platform == "linux":
        _write_over([secret.encode("utf-8", "surrogateescape") for secret in secrets])


def _passwords(words: Iterable[str]) -> Iterator[str]:
    before = ""
    for word in words:
        name, equals, value = word.partition("=")
        if before == _OPTION:
            yield word
        elif equals and name == _OPTION:
            yield value
        yield from _INVITATION.findall(word)
        # One word may have several URLs in it.
        for part in word.split(";"):
            if found := _IN_URL.search(part):
                yield found[1]
        before = word


def _write_over(secrets: list[bytes]) -> None:
    try:
        # The second field, the program's name, may hold spaces; the third follows its parenthesis.
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        shown = Path("/proc/self/cmdline").read_bytes()
        if not start or end - start != len(shown):
            return  # unknown, or not where the kernel says
        for secret in secrets:
            shown = shown.replace(secret, b"*" * len(secret))
        # proc(5). ctypes could do it too, but takes two milliseconds to load.
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            memory.write(shown)
    except (OSError, IndexError, ValueError):
        return
