"""Messages a second that an archive in ClickHouse keeps: ``clickhouse_write.py URL MESSAGES HOW``.

``kchat`` is :meth:`kchat.archive.store.Store.write`, which looks for those that are there already. ``bare`` is
clickhouse-driver alone, which inserts the same columns of the same batches into the same table. The batches are ready in
memory before, and the first of them is not measured: the process is warm.
"""

from __future__ import annotations

import sys
import time
from random import Random

from clickhouse_driver import Client

from kchat.archive.clickhouse.schema import COLUMNS, MESSAGES
from kchat.archive.clickhouse.writing import numbers
from kchat.archive.opening import open_store
from kchat.archive.record import Record
from kchat.message import Message

TOGETHER = 10_000

url, count, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
random = Random(how)
now = time.time_ns() // 1_000_000
batches: list[list[Record]] = []
for start in range(0, count, TOGETHER):
    messages = (
        Message.compose(
            f"person{random.randrange(100)}", "a line of a log that somebody follows, of a usual length"
        )
        for _ in range(min(TOGETHER, count - start))
    )
    batches.append([Record.of(message, "bench", now) for message in messages])

with open_store(url, write=True) as store:
    store.write(batches.pop(), again=True)
    if how == "kchat":
        begin = time.perf_counter()
        for batch in batches:
            store.write(batch)
        store.close()  # what it has put off is done then
        seconds = time.perf_counter() - begin
    else:
        rows = [[(*each, *numbers([each.room], [each.key])) for each in batch] for batch in batches]
        insert = f"INSERT INTO {MESSAGES} ({', '.join(COLUMNS)}, hash) VALUES"
        with Client.from_url(url) as client:
            client.execute("SELECT 1")
            begin = time.perf_counter()
            for each in rows:
                client.execute(insert, each)
            seconds = time.perf_counter() - begin
print(sum(map(len, batches)) / seconds)
