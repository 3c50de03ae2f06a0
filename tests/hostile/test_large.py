"""Bodies of 16 MiB and more: read or refused, and shown in part."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from kchat.message import Message
from tests.cases import check_each
from tests.hostile.corpus import LARGE_BODIES
from tests.unit.display.test_json import line_of


@pytest.mark.timeout(60)  # they take a few seconds in all; what takes more than linear time does not end
def test_large_bodies_take_neither_long_nor_an_answer_away() -> None:
    def is_read_and_cut(make: Callable[[], bytes]) -> None:
        body = make()
        message = Message.from_body(body)
        assert message.body == body
        if message.problem is not None:
            assert len(message.text) < 4 * (1 << 20) + 100
            assert message.text.endswith(" MiB in all]")
        line = line_of(message)
        assert line["cut"] == len(body)
        assert len(line["message"].encode()) <= 65536
        assert len(json.dumps(line)) < 65536 * 6 + 10_000

    check_each(LARGE_BODIES, is_read_and_cut)
