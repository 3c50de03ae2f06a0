"""What of a room is on the screen: a place to look from, and the rows from there on. Only what is seen is laid out."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from kchat.display.escaping import cautious_cells, width
from kchat.tui.layout import Before, Measure, Row, day_name, most_name_columns, rows_of, rows_of_written
from kchat.tui.names import Sender

if TYPE_CHECKING:
    from kchat.tui.room import Room
    from kchat.tui.timeline import Entry

_CACHED = 2000
"""Entries whose rows are kept."""

_LEAST_NAMES = 3


class Seen(NamedTuple):
    """A row of the screen, and the place of its entry."""

    place: int
    row: Row


class View:
    """Looks at a room: at its end, where it follows what comes, or from a place that it holds.

    Arguments:
        room: the room.

    Attributes:
        search: words that stand out; empty for none.
        wanted: number of the last messages to look at, while older ones are fetched for that; 0 for none.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self.search = ""
        self.wanted = 0
        self._columns, self._height = 80, 20
        self._names = _LEAST_NAMES
        self._top: tuple[int, int] | None = (
            None  # the place, and how many of its rows are above; None at the end
        )
        self._end_seen = self._new_below = 0
        self._cache: dict[int, tuple[object, list[Row]]] = {}

    # ---- what there is

    @property
    def end(self) -> int:
        """The place after the last: first comes the timeline, then the outbox."""
        return self.room.timeline.end + len(self.room.outbox)

    def resize(self, columns: int, height: int) -> None:
        """The screen has this size."""
        if columns != self._columns:
            self._names = min(self._names, most_name_columns(columns))
        self._columns, self._height = columns, height

    def refresh(self) -> None:
        """Names or highlights are others: lay out everything again."""
        self._cache.clear()

    @property
    def if_empty(self) -> str:
        """What to say where there is nothing to show; empty where it is not known yet whether there is."""
        if not self.room.joined:
            return ""
        if self.room.has_history:
            return "nothing was said here yet"
        return "nothing was said since you came"

    def entry(self, place: int) -> Entry:
        """The entry at a place."""
        timeline = self.room.timeline
        return timeline[place] if place < timeline.end else self.room.outbox[place - timeline.end].entry

    def _before(self, place: int, *, on_top: bool) -> Before:
        room, entry = self.room, self.entry(place)
        new = place == room.new_from
        if place == room.timeline.first:
            return Before("" if entry.is_note else day_name(entry, room.today), new=new, named=True)
        above = self.entry(place - 1)
        day = day_name(entry, room.today) if entry.day != above.day else ""
        return Before(day, new, on_top or bool(day) or new or not entry.same_sender(above))

    def _rows(self, place: int, *, on_top: bool = False) -> list[Row]:
        room, timeline = self.room, self.room.timeline
        entry, before = self.entry(place), self._before(place, on_top=on_top)
        sender = (
            _NOBODY if entry.is_note else room.names.sender(entry.username, entry.account, mine=entry.mine)
        )
        name, mark = sender.fitted(most_name_columns(self._columns))
        self._names = max(self._names, width(name, cautious_cells) + width(mark, cautious_cells))
        measure = Measure(self._columns, self._names)
        if place >= timeline.end:
            written = room.outbox[place - timeline.end]
            return rows_of_written(written, before, sender, measure)
        key = (measure, before, sender, self.search, entry.alone)
        cached = self._cache.get(place)
        if cached is not None and cached[0] == key:
            return cached[1]
        if len(self._cache) >= _CACHED:
            self._cache.clear()
        rows = rows_of(entry, before, sender, room.highlights, measure, search=self.search)
        self._cache[place] = key, rows
        return rows

    # ---- what is seen

    @property
    def follows(self) -> bool:
        """Whether it is at the end, and follows what comes."""
        return self._top is None

    @property
    def new_below(self) -> int:
        """The number of messages that came since it left the end."""
        if self.follows:
            return 0
        timeline = self.room.timeline
        for place in range(max(self._end_seen, timeline.first), timeline.end):  # each is counted once
            self._new_below += not timeline[place].is_note
        self._end_seen = timeline.end
        return self._new_below

    def _leave_end(self) -> None:
        if self.follows:
            self._end_seen, self._new_below = self.room.timeline.end, 0

    def seen(self) -> list[Seen]:
        """The rows on the screen, from top to bottom; fewer than fit where there are no more."""
        names = -1
        rows: list[Seen] = []
        while names != self._names:  # a longer name makes all rows others
            names = self._names
            rows = self._from_end() if self._top is None else self._from_top()
        return rows

    def _from_end(self) -> list[Seen]:
        rows: list[Seen] = []
        first, place = self.room.timeline.first, self.end - 1
        while place >= first and len(rows) < self._height:
            rows = [Seen(place, row) for row in self._rows(place)] + rows
            place -= 1
        return self._with_name_on_top(rows[max(0, len(rows) - self._height) :])

    def _from_top(self) -> list[Seen]:
        assert self._top is not None
        place, above = self._top
        if place < self.room.timeline.first:  # it went, as the oldest do
            place, above = self.room.timeline.first, 0
            self._top = place, above
        rows: list[Seen] = []
        while place < self.end and len(rows) < self._height + above:
            rows += [Seen(place, row) for row in self._rows(place)]
            place += 1
        if place >= self.end and len(rows) <= self._height + above:  # its last row is the last on the screen
            self._top = None
            return self._from_end()
        return self._with_name_on_top(rows[above : above + self._height])

    def _with_name_on_top(self, rows: list[Seen]) -> list[Seen]:
        """One sees who says what stands on top: its name is there, whatever is above."""
        if not rows:
            return rows
        place = rows[0].place
        of_it = sum(seen.place == place for seen in rows)
        named = self._rows(place, on_top=True)
        if of_it != len(named):
            return rows
        return [*(Seen(place, row) for row in named), *rows[of_it:]]

    # ---- moving

    def scroll(self, rows: int) -> None:
        """Move by a number of rows; below 0 is up."""
        self.wanted = 0
        seen = self.seen()
        if not seen:
            return
        if self._top is None:
            if rows >= 0 or len(seen) < self._height:
                return
            place = seen[0].place
            shown = sum(each.place == place for each in seen)
            self._leave_end()
            self._top = place, len(self._rows(place)) - shown
        self._top = self._moved(*self._top, rows)
        self.seen()  # which finds that this is the end

    def _moved(self, place: int, above: int, rows: int) -> tuple[int, int]:
        above += rows
        while above < 0:
            if place <= self.room.timeline.first:
                return place, 0
            place -= 1
            above += len(self._rows(place))
        while place < self.end - 1 and above >= (height := len(self._rows(place))):
            above -= height
            place += 1
        return place, above

    def page(self, pages: int) -> None:
        """Move by screens, less two rows; below 0 is up."""
        self.scroll(pages * max(1, self._height - 2))

    def to_start(self) -> None:
        """Look at the oldest."""
        self.wanted = 0
        self._leave_end()
        self._top = self.room.timeline.first, 0
        self.seen()

    def to_end(self) -> None:
        """Look at the newest, and follow."""
        self.wanted = 0
        self._top = None

    def to(self, place: int) -> None:
        """Look at a place, a third of the screen from the top."""
        self.wanted = 0
        self._leave_end()
        self._top = self._moved(place, 0, -(self._height // 3))
        self.seen()

    def to_last(self, number: int) -> None:
        """Look at this number of the last messages; where there are fewer, at the oldest, and :attr:`wanted` is set."""
        timeline = self.room.timeline
        places = (
            place for place in reversed(range(timeline.first, timeline.end)) if not timeline[place].is_note
        )
        place = next(islice(places, number - 1, None), None)
        self.to(timeline.first if place is None else place)
        self.wanted = number if place is None else 0

    @property
    def is_at_start(self) -> bool:
        """Whether the oldest row is seen."""
        seen = self.seen()
        return not seen or (
            seen[0].place == self.room.timeline.first and len(self._rows(seen[0].place)) <= len(seen)
        )

    # ---- searching

    def find(self, *, older: bool) -> bool:
        """Look at the next message that has the words; returns whether there is one.

        Arguments:
            older: upwards.
        """
        timeline, seen = self.room.timeline, self._found
        if older:
            start = timeline.end if seen is None else seen
            place = timeline.search(self.search, start)
        else:
            place = timeline.search_after(self.search, timeline.first - 1 if seen is None else seen)
        if place is None:
            return False
        self._found = place
        self.to(place)
        return True

    _found: int | None = None

    @property
    def has_found(self) -> bool:
        """Whether something was found since :meth:`look_for`."""
        return self._found is not None

    def look_for(self, words: str) -> bool:
        """Search upwards from the end; returns whether there is something. Empty words end the search."""
        self.search, self._found = words, None
        return bool(words) and self.find(older=True)


_NOBODY = Sender("", "", -1)
