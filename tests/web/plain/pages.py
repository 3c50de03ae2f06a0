"""The page without JavaScript as a test reads it and writes in it, and what is sent to it."""

from __future__ import annotations

from html.parser import HTMLParser

import httpx

from kchat import connect


class Reading(HTMLParser):
    """What a page has: its tags, its forms' fields, its messages with their links and times, who is here, its problem."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.fields: dict[str, str] = {}
        self.rows: list[dict[str, str]] = []
        self.links: list[dict[str, str | None]] = []
        self.times: list[str | None] = []
        self.people: list[str] = []
        self._is_person = False
        self.problem = ""
        self._into: tuple[dict[str, str], str] | None = None
        self._depth: list[str] = []
        self.feed(html)
        self.close()
        self.fields = {name: value.removeprefix("\n") for name, value in self.fields.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        kind = (found.get("class") or "").split(" ")[0]
        if tag in ("input", "textarea") and (name := found.get("name") or found.get("id")):
            self.fields[name] = found.get("value") or ""
            self._into = (self.fields, name) if tag == "textarea" else None
        elif kind == "message":
            self.rows.append({})
        elif tag == "li":
            self.people.append("")
            self._is_person = True
        elif tag == "time":
            self.times.append(found["datetime"])
        elif tag == "a" and self._into is not None:
            self.links.append(found)
        elif kind in ("name", "mark", "text") and self.rows:
            self._into = (self.rows[-1], kind)
            self.rows[-1][kind] = ""
        elif kind == "problem":
            self._into = (self.__dict__, "problem")

    def handle_endtag(self, tag: str) -> None:
        if tag != "a":
            self._into = None
        if tag == "li":
            self._is_person = False

    def handle_data(self, data: str) -> None:
        if self._is_person:
            self.people[-1] += data
        if self._into is not None:
            into, name = self._into
            into[name] = into.get(name, "") + data


def read(answer: httpx.Response) -> Reading:
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Reading(answer.text)


def texts(client: httpx.Client, room: str = "tea") -> list[str]:
    return [row["text"] for row in read(client.get("/plain", params={"room": room})).rows]


def say(client: httpx.Client, text: str, room: str = "tea") -> httpx.Response:
    page = read(client.get("/plain", params={"room": room}))
    return client.post("/send", data={**page.fields, "text": text})


MARKUP = (
    "</div></div><h1>system</h1>", "</textarea><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "<!-- ", "]]>",
    "<base href=//evil.example>", "<style>*{display:none}</style>", "&lt;script&gt;", "<svg/onload=alert(1)>",
    "javascript:alert(1)", "$name ${text}", "<plaintext>", "<form action=//evil.example><button>",
    "\"' autofocus onfocus=alert(1)",
)  # fmt: skip


def send_hostile(url: str, sample: list[str]) -> None:
    """Each as a name and as a text, by senders that are in the terminal."""
    for text in sample:
        name = "".join(character for character in text if character.isprintable())[:50].strip() or "mallory"
        with connect(url, room="tea", username=name) as room:
            room.send(text)
