"""Elements of the page: markup is built as a tree, so that whatever a stranger wrote is text in it and never markup.

The standard library's ElementTree escapes when it writes. A template would be a dependency of everybody who wants a
report, and most of this page is arithmetic: charts.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

Element = ET.Element
Child = Element | str | None
"""What stands in an element; None for nothing."""


def element(tag: str, *children: Child, **attributes: str | float) -> Element:
    """An element.

    Arguments:
        tag: its name.
        children: texts and elements, in order. Texts have to be safe to see: see :mod:`kchat.archive.report.wording`.
        attributes: by name; ``class_`` is ``class``, other underscores are hyphens. Numbers have at most three decimals.
    """
    found = Element(tag, {_attribute(name): _value(value) for name, value in attributes.items()})
    return add(found, *children)


def add(parent: Element, *children: Child) -> Element:
    """Put texts and elements at the end of an element, which is returned."""
    for child in children:
        if child is None:
            continue
        if not isinstance(child, str):
            parent.append(child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + child
        else:
            parent.text = (parent.text or "") + child
    return parent


def document(root: Element) -> str:
    """An element as an HTML document."""
    return "<!DOCTYPE html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.3f}".rstrip("0").rstrip(".")
