"""Output: whole lines, in one piece, whatever is at the other end."""

from __future__ import annotations

import io
import os
import select
import threading
from pathlib import Path

import pytest

from kchat.display import create
from kchat.display.output import Output
from kchat.message import Message


def test_output_is_written_at_flush_and_not_before() -> None:
    stream = io.StringIO()
    output = Output(stream)
    output.write("hello\n")
    assert stream.getvalue() == ""
    output.flush()
    output.flush()
    assert stream.getvalue() == "hello\n"


def test_earlier_text_in_the_stream_comes_first(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        stream.write("one\n")
        output = Output(stream)
        output.write("two\n")
        output.flush()
    assert (tmp_path / "out").read_text() == "one\ntwo\n"


def test_a_pipe_gets_whole_lines_in_pieces_that_are_written_at_once() -> None:
    reading, writing = os.pipe()
    lines = [f"{number:06d} {'x' * (number % 300)}\n" for number in range(2_000)] + [
        "y" * 100_000 + "\n",
        "z\n",
    ]
    pieces: list[bytes] = []

    def read() -> None:
        while piece := os.read(reading, select.PIPE_BUF):
            pieces.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    written: list[int] = []
    with os.fdopen(writing, "w") as stream, pytest.MonkeyPatch.context() as patch:
        write = os.write

        def count_and_write(descriptor: int, data: bytes) -> int:
            written.append(bytes(data).count(b"\n"))
            return write(descriptor, data)

        patch.setattr(os, "write", count_and_write)
        output = Output(stream)
        for line in lines:
            output.write(line)
        output.flush()
    reader.join(30)
    os.close(reading)
    assert b"".join(pieces).decode() == "".join(lines)
    assert sum(written) == len(lines)
    assert len(written) > 50


def test_a_full_pipe_that_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = "x" * 99 + "\n"
    with os.fdopen(writing, "w") as stream:
        output = Output(stream)
        for _ in range(20_000):
            output.write(data)
        writer = threading.Thread(target=output.flush)
        writer.start()
        received = 0
        while received < 2_000_000:
            received += len(os.read(reading, 65536))
        writer.join(30)
        assert not writer.is_alive()
    os.close(reading)


@pytest.mark.parametrize("mode", ["plain", "print", "json", "rich"])
def test_a_reader_that_is_gone_is_reported_once_and_closing_is_quiet(mode: str) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        display = create(mode, stream)
        display.open("chat")
        os.close(reading)
        display.show(Message.compose("ada", "hello"))
        with pytest.raises(BrokenPipeError):
            display.flush()
        display.close()
        display.close()


def test_unflushed_messages_are_not_shown_at_the_end() -> None:
    # It is not acknowledged either: it will be delivered again.
    stream = io.StringIO()
    display = create("plain", stream)
    display.show(Message.compose("ada", "hello"))
    display.close()
    assert stream.getvalue() == ""


def test_an_encoding_without_the_character_gets_an_escape(tmp_path: Path) -> None:
    memory = io.BytesIO()
    with (
        (tmp_path / "out").open("w", encoding="latin-1") as file,
        io.TextIOWrapper(memory, "latin-1") as text,
    ):
        for stream in (file, text):
            output = Output(stream)
            output.write("grüße ☕\n")
            output.flush()
        expected = b"gr\xfc\xdfe \\u2615\n"
        assert (tmp_path / "out").read_bytes() == memory.getvalue() == expected
