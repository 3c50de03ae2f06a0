"""Which links are followed, and what makes one a lie."""

from kchat.display.links import find_links, is_honest
from tests.web.links import LINKS


def test_a_link_goes_to_the_host_that_is_read_in_it() -> None:
    for links in LINKS.values():
        assert all(map(is_honest, links)), links
    lies = (
        "http://a@b.example/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://b.example:80/",
        "http://[::0]/",
    )
    assert not [each for each in lies if is_honest(each)]
    broken = ("http://[::1/", "http://[x]/", "http://b.example:x/", "http://b..example/", "http://1.2.3.4.5/")
    assert not [each for each in broken if is_honest(each)]


def test_a_link_is_found_where_it_stands() -> None:
    text = "see https://example.org/a, (http://b.example/)"
    assert [text[start:end] for start, end in find_links(text)] == [
        "https://example.org/a",
        "http://b.example/",
    ]
