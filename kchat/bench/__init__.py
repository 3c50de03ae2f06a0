"""How fast a broker is: senders and subscribers as processes, in a temporary room.

>>> from kchat.bench import Plan, run
>>> report = run(Settings.resolve(url="amqp://rmq:secret@localhost/"), Plan(messages=20_000, subscribers=3))
>>> report.sent_per_second, report.latency.p99_ms, report.lost
"""

from __future__ import annotations

from kchat.bench.plan import Plan
from kchat.bench.report import Latency, Report
from kchat.bench.run import run

__all__ = ["Latency", "Plan", "Report", "run"]
