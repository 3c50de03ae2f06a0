"""kchat beside what people would use in its place: same broker, same machine, same minute.

``python -m benchmarks`` runs all of it; ``docs/performance.md`` says what came out. Nothing of kchat is measured from the
inside: the commands run as processes, as do the peers in :mod:`benchmarks.peers`.
"""
