"""An HTML page as a tree, as a browser reads it as far as the report goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr"}


@dataclass
class Node:
    """An element of a page."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it."""
        return "".join(each if isinstance(each, str) else each.text for each in self.children)

    def all(self, *tags: str) -> Iterator[Node]:
        """The elements in it, of these tags or all, in order."""
        for each in self.children:
            if isinstance(each, Node):
                if not tags or each.tag in tags:
                    yield each
                yield from each.all(*tags)

    def only(self, tag: str) -> Node:
        """The only element of a tag in it."""
        (found,) = self.all(tag)
        return found

    @property
    def shape(self) -> str:
        """The elements without their texts."""
        return f"<{self.tag}{''.join(each.shape for each in self.children if isinstance(each, Node))}>"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("page")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), attrs
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def read(page: str) -> Node:
    """The root element of a page.

    Raises:
        AssertionError: an element is not closed where it has to be, or an attribute stands twice.
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [reader.root]
    return reader.root.only("html")
