"""Where each transport's contract is tested: one module for each line of the registry, with one class, ``Place``."""

from __future__ import annotations

from importlib import import_module

from tests.contract.places.base import Place, Way

__all__ = ["Place", "Way", "place_of"]


def place_of(name: str) -> type[Place]:
    """Returns the place of a transport: the class ``Place`` in ``tests/contract/places/<name>.py``."""
    found: type[Place] = import_module(f"{__name__}.{name}").Place
    return found
