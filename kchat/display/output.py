"""Writing for displays: buffered, and a line never in part."""

from __future__ import annotations

import io
import os
import select
import socket
import stat
from collections.abc import Callable
from threading import Thread
from typing import Any, Protocol, TextIO

from kchat.transports.poller import new_poller


class Output:
    """Buffers text until :meth:`flush`, and then writes whole lines.

    A file, pipe or terminal is written to directly, so that a killed process leaves no half line: to a
    pipe in pieces of whole lines that POSIX writes atomically (``PIPE_BUF``; longer lines go in
    parts). Characters that the stream's encoding does not have are escaped.

    Arguments:
        stream: text output; one without a file descriptor (``io.StringIO``) will do.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._held: list[str] = []
        self.write = self._held.append
        """Buffer a piece of text; pieces are joined as they are."""
        self.descriptor = _descriptor(stream)
        self.is_terminal = self.descriptor is not None and os.isatty(self.descriptor)
        is_pipe = self.descriptor is not None and stat.S_ISFIFO(os.fstat(self.descriptor).st_mode)
        self._piece = select.PIPE_BUF if is_pipe else 0

    @property
    def color(self) -> bool:
        """Whether to use colour: on a terminal with colour, unless ``NO_COLOR`` is set; always if ``FORCE_COLOR`` is.

        Any value counts but an empty one, and of both the second (https://no-color.org, https://force-color.org).
        """
        if os.environ.get("FORCE_COLOR"):
            return True
        return self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def is_styled(self) -> bool:
        """Whether text may be bold or faint: on a terminal that knows escape sequences, with colours or without."""
        return self.is_terminal and os.environ.get("TERM") != "dumb"

    def has(self, text: str) -> bool:
        """Whether the stream's encoding has these characters."""
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            return False
        return True

    def size(self) -> tuple[int, int] | None:
        """Columns and lines of the terminal now; None if it is not a terminal, or its size is unknown."""
        if not self.is_terminal or self.descriptor is None:
            return None
        try:
            columns, lines = os.get_terminal_size(self.descriptor)
        except OSError:
            return None
        return (columns, lines) if columns and lines else None

    def flush(self) -> None:
        """Write all buffered text, however long that takes.

        Raises:
            BrokenPipeError: the reader is gone.
            OSError: a full disk, or another error of writing. The buffered text is lost then.
        """
        if not self._held:
            return
        data = "".join(self._held).encode(self._encoding, "backslashreplace")
        self._held.clear()
        if self.descriptor is None:
            self._stream.write(data.decode(self._encoding))
            self._stream.flush()
            return
        self._stream.flush()  # text that others have written comes first
        start = 0
        while start < len(data):
            end = len(data)
            if self._piece and end - start > self._piece:
                end = data.rfind(b"\n", start, start + self._piece) + 1 or data.find(b"\n", start) + 1 or end
            _write_all(self.descriptor, memoryview(data)[start:end])
            start = end

    def discard(self) -> None:
        """Discard the buffered text."""
        self._held.clear()


def _descriptor(stream: TextIO) -> int | None:
    if os.name == "nt":  # a Windows console takes text, not bytes
        return None
    try:
        return stream.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return None


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # another process made the terminal or pipe, which we share, non-blocking
            poll = new_poller()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


class Typed(Protocol):
    """Where keys come from."""

    descriptor: int

    def notice(self) -> None:
        """Have them read, and wait until they are."""


class Reader:
    """The reader of a descriptor: whether it is gone, without writing anything.

    A pipe and a terminal say so themselves, and so does a socket that the other end has closed. A TCP socket may only know
    that nothing more comes from there, which is all that TCP tells of a closed one. Of a socket on this machine
    that alone says nothing: systemd's journal, and sshd at the end of its client's input, read on.

    Arguments:
        descriptor: open for writing.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._asked = descriptor, 0
        self._socket: socket.socket | None = None
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            found = socket.socket(fileno=os.dup(descriptor))
            if found.type == socket.SOCK_STREAM:
                self._socket = found
            if found.family in (socket.AF_INET, socket.AF_INET6):
                self._asked = getattr(select, "POLLRDHUP", 0)  # Linux
        self._poll = self._poller()

    def _poller(self) -> Any:
        poll = new_poller()
        poll.register(self._descriptor, self._asked)  # POLLERR and POLLHUP come unasked
        return poll

    def watch(self, gone: Callable[[], object], typed: Typed | None = None) -> None:
        """Call this when nobody can read any more, as far as the system says so by itself; in a thread of its own.

        ``typed``: what that thread watches besides. Its ``notice()`` is called when there is something to read, and
        returns when it has been read.
        """
        Thread(target=self._watch, args=(gone, typed), name="kchat reader", daemon=True).start()

    def _watch(self, gone: Callable[[], object], typed: Typed | None) -> None:
        poll = self._poller()
        if typed is not None:
            poll.register(typed.descriptor, select.POLLIN)
        while not (ready := dict(poll.poll())).keys() & {self._descriptor}:
            if typed is not None:
                if not ready[typed.descriptor] & select.POLLIN:  # hung up
                    poll, typed = self._poller(), None
                    continue
                typed.notice()
        gone()

    def is_gone(self) -> bool:
        """Whether nobody can read any more; asks the system, and does not wait."""
        if self._poll.poll(0):
            return True
        try:
            # Nothing is sent. Only here, Linux reports that the other end accepts nothing more.
            if self._socket is not None:
                self._socket.send(
                    b"", getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)
                )
        except OSError as error:
            return isinstance(error, ConnectionError)
        return False
