"""Makes an archive, and a Parquet file of the same rows: ``archive_make.py FILE PARQUET MESSAGES PEOPLE DAYS``.

The messages of a room are spread over the days, by day more of them than by night, and over the people, of whom some say
much more than others. They come in order, ten thousand at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import accumulate, islice
from random import Random

import pyarrow as pa
from pyarrow import parquet

from kchat.archive.opening import open_store
from kchat.archive.record import Record, mentions

TOGETHER = 10_000
BEGIN = 1_735_689_600_000  # 2025, in milliseconds since 1970
HOUR = 3_600_000
WORDS = (
    "broker queue exchange deploy lunch coffee tomorrow broken fixed nobody somebody restart message "
    "connection reader writer slowly quickly morning evening release version branch review test"
)

path, table, count, people, days = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
random = Random(15)
names = [f"person{number:04}" for number in range(people)]
shares = list(accumulate(1 / (number + people / 8) for number in range(people)))
words = WORDS.split()


def times() -> Iterator[int]:
    """Of the messages, in order."""
    by_hour = [1.0 if 7 <= hour < 19 else 0.25 for hour in range(24)]
    whole = days * sum(by_hour)
    said = owed = 0.0
    for hour in range(days * 24):
        owed += count * by_hour[hour % 24] / whole
        many = round(owed - said)
        said += many
        yield from sorted(BEGIN + hour * HOUR + random.randrange(HOUR) for _ in range(many))


def records() -> Iterator[Record]:
    """The messages, as kchat's own clients send them."""
    choices, bits = random.choices, random.getrandbits
    for number, at in enumerate(times()):
        username = choices(names, cum_weights=shares)[0]
        text = " ".join(choices(words, k=2 + number % 9))
        if number % 20 == 0:
            text += f" @{choices(names, cum_weights=shares)[0]}"
        digits = f"{at:012x}7{bits(12):03x}8{bits(60):015x}"
        id_ = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        verified = number % 3 == 0
        yield Record(
            room="chat",
            key=f"i:{id_}",
            at=at,
            username=username,
            account=username if verified else None,
            verified=verified,
            text=text,
            length=len(text),
            digest=None,
            id=id_,
            sent_at=at,
            received_at=at + 20,
            position=None,
            extra=None,
            client="kchat",
            mentions=mentions(text),
        )


SCHEMA = pa.schema(
    [
        ("room", pa.string()),
        ("id", pa.string()),
        ("moment", pa.timestamp("ms")),
        ("username", pa.string()),
        ("verified", pa.bool_()),
        ("text", pa.string()),
        ("length", pa.int32()),
        ("client", pa.string()),
        ("mentions", pa.list_(pa.string())),
    ]
)


def main() -> None:
    """Write both."""
    source = records()
    columns = [Record._fields.index("at" if name == "moment" else name) for name in SCHEMA.names]
    with (
        open_store(path, write=True, texts=True) as store,
        parquet.ParquetWriter(table, SCHEMA, compression="zstd") as rows,
    ):
        waiting: list[Record] = []
        while batch := list(islice(source, TOGETHER)):
            store.write(batch, again=False)
            waiting += batch
            if len(waiting) >= 100_000 or len(batch) < TOGETHER:  # a row group
                by_column = list(zip(*waiting, strict=True))
                rows.write_table(pa.table([by_column[number] for number in columns], schema=SCHEMA))
                waiting = []
        if waiting:
            by_column = list(zip(*waiting, strict=True))
            rows.write_table(pa.table([by_column[number] for number in columns], schema=SCHEMA))


main()
