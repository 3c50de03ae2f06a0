"""Where each transport's contract is tested: a class ``Place`` for each, of kchat's own in a module of its name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

import pytest

from kchat.transports import TRANSPORTS
from tests.contract.places.base import Place, Way

__all__ = ["Place", "Way", "places_of"]


def places_of(config: pytest.Config) -> Mapping[str, type[Place]]:
    """Returns the places by the names of their transports: those of ``--place``, or else those of kchat's own transports.

    Raises:
        pytest.UsageError: there is no such place.
    """
    paths = config.getoption("--place") or [f"{__name__}.{name}:Place" for name in TRANSPORTS.built_in]
    return {place.name: place for place in map(_load, paths)}


def _load(path: str) -> type[Place]:
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise pytest.UsageError(f"--place {path}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Place)):
        raise pytest.UsageError(f"--place {path}: it is not a class derived from tests.contract.places.Place")
    return found
