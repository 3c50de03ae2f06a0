"""What other distributions add to kchat: transports and displays, found by their entry points.

A distribution names them in its ``pyproject.toml``::

    [project.entry-points."kchat.transports"]
    box = "kchat_box:TRANSPORT"

Importing :mod:`importlib.metadata` and reading what a hundred distributions declare takes 30 ms, as long as kchat's own
imports for a ``send``. So it is done once, and only where a name is asked for that kchat does not have, or all of them are
listed. A plug-in is imported when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from kchat.errors import SettingsError

if TYPE_CHECKING:
    from importlib.metadata import Distribution

T = TypeVar("T")


class Entry(NamedTuple):
    """A line of a registry.

    Attributes:
        name: what the option takes.
        path: the object, as ``module:name``.
        help: what it is, in a few words.
        distribution: the name and version of the distribution that it comes from; empty for kchat's own.
    """

    name: str
    path: str
    help: str = ""
    distribution: str = ""

    def load(self) -> Any:
        """Import the object; :meth:`blamed` where that fails."""
        module, _, name = self.path.partition(":")
        with self.blamed():
            found: Any = import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        return found

    @contextmanager
    def blamed(self, *passed: type[Exception]) -> Iterator[None]:
        """An error of a plug-in in the block becomes a SettingsError; those to be ``passed``, and kchat's own, do not."""
        try:
            yield
        except (Exception, SystemExit) as error:
            if not self.distribution or isinstance(error, passed):
                raise
            raise self.unusable(f"{type(error).__name__}: {error}") from error

    def unusable(self, why: str) -> SettingsError:
        """The error that names the plug-in, its distribution, and the reason, in one line."""
        return SettingsError(
            f"the plug-in {self.name!r} of {self.distribution} cannot be used: {' '.join(why.split())}"
        )


class Registry(Mapping[str, T], Generic[T]):
    """Objects by name: kchat's own, then those of plug-ins. Each is imported when it is first asked for.

    Asking for one of kchat's own looks for no plug-ins. A plug-in that cannot be used is listed, and raises
    :class:`~kchat.errors.SettingsError` when it is asked for.

    Arguments:
        group: the entry points' group.
        built_in: kchat's own, in the order to show.
        fault: says of a plug-in's object why it cannot be used; empty if it can.
    """

    def __init__(self, group: str, *built_in: Entry, fault: Callable[[Entry, Any], str]) -> None:
        self._group = group
        self.built_in = {entry.name: entry for entry in built_in}
        self._fault = fault
        self._loaded: dict[Entry, T] = {}

    @cached_property
    def _declared(self) -> tuple[dict[str, Entry], list[str]]:
        """Plug-ins by name, and of each that is ignored why."""
        entries, unreadable = _scan()
        taken, ignored = dict(self.built_in), list(unreadable)
        for group, entry in entries:
            if group != self._group:
                continue
            if (other := taken.setdefault(entry.name, entry)) is not entry:
                owner = other.distribution or "kchat itself"
                ignored.append(
                    f"the plug-in {entry.name!r} of {entry.distribution} is ignored: {owner} has that name"
                )
        return {name: entry for name, entry in taken.items() if entry.distribution}, ignored

    @property
    def plug_ins(self) -> Mapping[str, Entry]:
        """Those that other distributions add."""
        return self._declared[0]

    @property
    def ignored(self) -> list[str]:
        """Why plug-ins are ignored, a line for each: another one has the name, or the metadata cannot be read."""
        return self._declared[1]

    def entry(self, name: str) -> Entry:
        """The line of that name, without importing anything; KeyError if there is none."""
        return self.built_in[name] if name in self.built_in else self.plug_ins[name]

    def usable(self) -> tuple[list[T], list[str]]:
        """Every object that can be loaded, and of the other plug-ins why they cannot, or are ignored."""
        found, problems = [], list(self.ignored)
        for name in self:
            try:
                found.append(self[name])
            except SettingsError as error:
                problems.append(str(error))
        return found, problems

    def __getitem__(self, name: str) -> T:
        entry = self.entry(name)
        if entry not in self._loaded:
            found = entry.load()
            if entry.distribution:
                with entry.blamed(SettingsError):
                    why = self._fault(entry, found)
                if why:
                    raise entry.unusable(why)
            self._loaded[entry] = found
        return self._loaded[entry]

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self.plug_ins

    def __iter__(self) -> Iterator[str]:
        yield from self.built_in
        yield from self.plug_ins  # looked for only if the caller goes on

    def __len__(self) -> int:
        return len(self.built_in) + len(self.plug_ins)


def blamed(error: Exception) -> SettingsError | None:
    """The error that names the distribution whose plug-in raised an unexpected error, or called what did; else None."""
    from traceback import walk_tb

    modules = {
        frame.f_globals.get("__name__", "").partition(".")[0] for frame, _ in walk_tb(error.__traceback__)
    }
    for _, entry in _scan()[0]:
        package = entry.path.partition(":")[0].partition(".")[0]
        if package in modules - {"kchat"}:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            return SettingsError(f"a plug-in of {entry.distribution} has failed: {why}")
    return None


@cache
def _scan() -> tuple[list[tuple[str, Entry]], list[str]]:
    """The entries of all distributions with their groups, sorted by distribution; and what could not be read."""
    from importlib.metadata import distributions

    found: dict[str, list[tuple[str, Entry]]] = {}
    unreadable = []
    for distribution in distributions():
        try:
            if entries := _entries(distribution):
                # Of a distribution that is on the path twice, Python imports the first.
                found.setdefault(re.sub(r"[-_.]+", "-", distribution.name).lower(), entries)
        except (AttributeError, LookupError, OSError, TypeError, ValueError) as error:
            where = distribution.locate_file("")
            unreadable.append(f"the metadata of a distribution in {where} cannot be read: {error}")
    return [each for name in sorted(found) for each in found[name]], unreadable


def _entries(distribution: Distribution) -> list[tuple[str, Entry]]:
    if "[kchat." not in (distribution.read_text("entry_points.txt") or ""):
        return []  # not parsed, which takes most of the time
    of = f"{distribution.name} {distribution.version}"
    return [(each.group, Entry(each.name, each.value, f"of {of}", of)) for each in distribution.entry_points]
