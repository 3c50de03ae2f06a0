"""kchat beside what people would use in its place: same broker, same machine, same minute.

``python -m benchmarks`` runs all of it; ``docs/performance.md`` says what came out. kchat's commands are processes that
are measured from the outside, as are the peers in :mod:`benchmarks.peers`. Two programs in :mod:`benchmarks.drive` use
kchat's library: one commits each message by itself, and is measured as all others; one takes the time until the last
messages of an embedded room are there, and does so from the inside, in a process that is warm.
"""
