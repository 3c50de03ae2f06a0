"""An HTTP answer that is read until a moment."""

from __future__ import annotations

from kchat.transports.amqp.timed_http import _TimedReader


def test_a_reader_that_was_interrupted_while_it_was_made_is_thrown_away_in_silence() -> None:
    """Ctrl+C between Python's making it and its own first line: what closes it then finds nothing to close."""
    reader = _TimedReader.__new__(_TimedReader)
    reader.close()
    assert reader.closed
