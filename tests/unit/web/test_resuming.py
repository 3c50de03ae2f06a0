"""What a page gets that comes back, whatever happened: each message once and in order, or it is told."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kchat.message import Message
from kchat.web.options import Limits
from kchat.web.past import Encoder, Entry
from kchat.web.positions import Place, Position, Positions
from kchat.web.recent import Recent

KEPT = 5
ROOMS = ("chat", "other")

arrive = st.tuples(
    st.just("arrive"),
    st.sampled_from(ROOMS),
    st.lists(st.tuples(st.sampled_from(["ok", "yes"]), st.booleans()), min_size=1, max_size=9),
)
come_back = st.tuples(st.just("come back"), st.integers(0, 12))
steps = st.lists(
    st.one_of(
        arrive,
        come_back,
        st.just(("restart",)),
        st.tuples(st.just("prune"), st.sampled_from(ROOMS), st.integers(1, 8)),
        st.tuples(st.just("lose"), st.sampled_from(ROOMS)),
    ),
    max_size=25,
)


@dataclass
class Server:
    """One run of a server over rooms whose histories outlive it. Bodies are numbered beside what is in them."""

    histories: dict[str, list[tuple[int, Message]]]
    has_history: bool
    positions: Positions = field(default_factory=Positions)
    rooms: dict[str, Recent] = field(default_factory=dict)
    encoders: dict[str, Encoder] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for room in ROOMS:
            self.rooms[room] = Recent(room, self.positions, Limits(kept=KEPT))
            self.load(room)

    def load(self, room: str) -> None:
        self.encoders[room] = Encoder(room, mark_unverified=False)
        for number, message in self.histories[room][-KEPT:] if self.has_history else ():
            self.arrive(room, number, message)

    def arrive(self, room: str, number: int, message: Message) -> None:
        entry = self.encoders[room].entry(message)
        self.numbers[id(message)] = number
        self.rooms[room].add(entry)

    def read_past(self, room: str) -> None:
        encoder = Encoder(room, mark_unverified=False)
        entries = []
        for number, message in self.histories[room]:
            self.numbers[id(message)] = number
            entries.append(encoder.entry(message))
        self.rooms[room].set_past(entries)

    def backlog(self, room: str, position: Position | None) -> tuple[list[Entry], bool, Place | None]:
        recent = self.rooms[room]
        place = None if position is None else position.of(room)
        if position is None or place is None:
            found = recent.newest(KEPT)
            return list(found.entries), True, found.place
        if self.has_history and not recent.holds(place, ours=position.is_ours):
            self.read_past(room)
        found = recent.after(place, position.milliseconds, ours=position.is_ours)
        return list(found.entries), bool(found.missed), found.place


@dataclass
class Page:
    """What a page has: the numbers of messages of each room, and None where it was told that some may be missing."""

    last_id: str = ""
    seen: dict[str, list[int | None]] = field(default_factory=lambda: {room: [] for room in ROOMS})

    def read(self, server: Server, most: int) -> None:
        """Come back, and be cut after so many messages, or never."""
        position = server.positions.read(self.last_id)
        found = {room: server.backlog(room, position) for room in ROOMS}
        places = {room: place for room, (_, _, place) in found.items() if place is not None}
        for room, (_, missed, _) in found.items():
            if missed:
                self.seen[room].append(None)
        waiting = [(entry.order, room, entry) for room, (entries, _, _) in found.items() for entry in entries]
        for _, room, entry in sorted(waiting, key=lambda each: each[0])[:most]:
            places[room] = Place(entry.number, entry.digest)
            self.last_id = server.positions.text(places)
            self.seen[room].append(None if entry.message is None else server.numbers[id(entry.message)])
        if most >= len(waiting):
            self.last_id = server.positions.text({room: server.positions.last[room] for room in ROOMS})


@settings(max_examples=5000 if os.environ.get("KCHAT_TEST_WEB") == "all" else 400, deadline=None)
@given(steps, st.booleans())
def test_a_page_gets_each_message_once_and_in_order_or_is_told(  # noqa: C901 - one step after the other
    all_steps: list[tuple[Any, ...]], has_history: bool
) -> None:
    histories: dict[str, list[tuple[int, Message]]] = {room: [] for room in ROOMS}
    server, page, number = Server(histories, has_history), Page(), 0
    for step in [*all_steps, ("come back", 1000)]:
        match step:
            case ("arrive", room, bodies):
                for text, with_id in bodies:
                    number += 1
                    key = f', "id": "message-{number}"' if with_id else ""
                    message = Message.from_body(f'{{"username": "ada", "message": "{text}"{key}}}'.encode())
                    histories[room].append((number, message))
                    server.arrive(room, number, message)
            case ("come back", most):
                page.read(server, most)
            case ("restart",):
                server = Server(histories, has_history)
            case ("prune", room, many):
                del histories[room][:many]
            case ("lose", room):
                server.rooms[room].begin_again()
                server.load(room)
        for room, seen in page.seen.items():
            for before, after in pairwise(seen):
                if before is not None and after is not None:
                    between = [at for at in server_numbers(all_steps, room) if before < at < after]
                    assert before < after, f"{room}: {after} again, or out of order: {seen}"
                    assert not between, f"{room}: {between} is missing without being told: {seen}"
    for room in ROOMS:
        arrived = server_numbers(all_steps, room)
        if has_history and histories[room]:
            assert page.seen[room][-1] in (arrived[-1], None), (
                f"{room}: the end is missing: {page.seen[room]}"
            )


def server_numbers(all_steps: list[tuple[Any, ...]], room: str) -> list[int]:
    """The numbers of the messages of a room."""
    found, number = [], 0
    for step in all_steps:
        if step[0] == "arrive":
            for _ in step[2]:
                number += 1
                if step[1] == room:
                    found.append(number)
    return found


def test_a_page_is_told_how_many_messages_left_memory_while_it_was_away() -> None:
    server, page = Server({room: [] for room in ROOMS}, has_history=False), Page()
    page.read(server, 1000)
    for number in range(12):
        server.arrive("chat", number, Message.from_body(b"hello"))
    position = server.positions.read(page.last_id)
    assert position is not None
    place = position.of("chat")
    assert place is not None
    assert server.rooms["chat"].after(place, 0, ours=True).missed == 12 - KEPT


def test_a_position_that_was_changed_is_none() -> None:
    positions = Positions()
    text = positions.text({"chat": Place(7, "0123456789abcdef")})
    assert positions.read(text) is not None
    for hostile in (
        "",
        "x",
        text[:-1],
        text.replace("-7-", "-1-"),
        text + "0",
        "." * 4000,
        "\x00",
        "é.1.2",
        text * 90,
    ):
        assert positions.read(hostile) is None, hostile[:80]
