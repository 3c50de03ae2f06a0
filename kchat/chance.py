"""Chance, which spreads load and guards nothing.

It comes from the system, not from the generator of Python's `random` module: that one belongs to the program that uses
kchat, and gives the same numbers again where it was seeded, however many threads of ours run beside it.
"""

from __future__ import annotations

from random import SystemRandom

_system = SystemRandom()

between = _system.uniform
"""``between(least, most)``: a float from one to the other."""

part = _system.random
"""``part()``: a float from 0 up to 1, 1 left out."""
