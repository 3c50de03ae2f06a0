"""The page without JavaScript: what its forms post, what it shows of what others send, and Chromium with scripts off."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from kchat import connect
from kchat.web.guests import Guest
from kchat.web.markup import markup
from kchat.web.store import GuestStore
from tests.brokers.chromium import Page, find_chromium
from tests.brokers.wait import wait_until
from tests.hostile.corpus import TEXTS
from tests.hostile.safe import why_unsafe
from tests.web.serving import ServeThread, browser, cookie_of, serve_thread

WEB = Path(__file__).parents[2] / "kchat" / "web"


class Reading(HTMLParser):
    """What a page has: its tags, its forms' fields, its messages and its problem."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.fields: dict[str, str] = {}
        self.rows: list[dict[str, str]] = []
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
        elif kind in ("name", "mark", "text") and self.rows:
            self._into = (self.rows[-1], kind)
            self.rows[-1][kind] = ""
        elif kind == "problem":
            self._into = (self.__dict__, "problem")

    def handle_endtag(self, tag: str) -> None:
        self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            into, name = self._into
            into[name] = into.get(name, "") + data


def read(answer: httpx.Response) -> Reading:
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return Reading(answer.text)


@pytest.fixture
def room_url(tmp_path: Path) -> str:
    return f"local://{tmp_path / 'room.db'}"


@pytest.fixture
def served(tmp_path: Path, room_url: str) -> Iterator[ServeThread]:
    with serve_thread(room_url, tmp_path / "web.db", "tea", "a/b c") as running:
        yield running


@pytest.fixture
def guest(served: ServeThread) -> Iterator[httpx.Client]:
    """A browser that is in, by the forms alone."""
    with browser(served.base) as client:
        door = read(client.get("/plain"))
        answer = client.post("/enter", data={**door.fields, "link": served.link})
        assert (answer.status_code, answer.headers["location"]) == (303, "plain#write")
        yield client


def texts(client: httpx.Client, room: str = "tea") -> list[str]:
    return [row["text"] for row in read(client.get("/plain", params={"room": room})).rows]


def say(client: httpx.Client, text: str, room: str = "tea") -> httpx.Response:
    page = read(client.get("/plain", params={"room": room}))
    return client.post("/send", data={**page.fields, "text": text})


# ---- coming in and leaving


def test_a_link_that_is_pasted_whole_or_as_its_secret_opens_the_room(served: ServeThread) -> None:
    with GuestStore(served.hub.store.path) as store:
        (host,) = store.guests()
        links = [store.new_link(host) for _ in range(2)]
    for link in (f" {served.base}/#{links[0]}\r\n", links[1]):
        with browser(served.base) as client:
            assert client.post("/enter", data={"browser": "", "link": link}).status_code == 303
            assert read(client.get("/plain")).fields["room"] == "tea"


def test_a_double_click_on_open_is_in(served: ServeThread) -> None:
    with browser(served.base) as client:
        form = {**read(client.get("/plain")).fields, "link": served.link}
        assert [client.post("/enter", data=form).status_code for _ in range(2)] == [303, 303]


@pytest.mark.parametrize("link", ["", "nonsense", "http://127.0.0.1/#", "x" * 5000])
def test_a_link_that_opens_nothing_says_so_on_the_page(served: ServeThread, link: str) -> None:
    with browser(served.base) as client:
        answer = client.post("/enter", data={"browser": "", "link": link})
        assert answer.status_code in (401, 422)
        assert read(answer).problem
        assert "set-cookie" not in answer.headers


def test_leaving_ends_the_session(guest: httpx.Client) -> None:
    name, _, cookie = cookie_of(guest).partition("=")
    assert guest.post("/leave", data={"": ""}).headers["location"] == "plain"
    assert "link" in read(guest.get("/plain")).fields
    guest.cookies.set(name, cookie)
    assert guest.get("/api/session").status_code == 401


def test_a_first_visit_by_another_sites_link_asks_again_by_itself(served: ServeThread) -> None:
    with browser(served.base) as client:
        from_elsewhere = read(client.get("/plain", headers={"Sec-Fetch-Site": "cross-site"}))
        refreshed = [found for tag, found in from_elsewhere.tags if found.get("http-equiv") == "refresh"]
        assert [each["content"] for each in refreshed] == ["0"]
        again = read(client.get("/plain", headers={"Sec-Fetch-Site": "same-origin"}))
        assert not [found for tag, found in again.tags if found.get("http-equiv") == "refresh"]


def test_the_page_with_javascript_leads_here_where_there_is_none(served: ServeThread) -> None:
    with browser(served.base) as client:
        page = client.get("/").text
    (inside,) = re.findall(r"<noscript>(<meta [^>]*>)</noscript>", page)
    assert inside == '<meta http-equiv="refresh" content="0; url=plain">'


# ---- writing


def test_a_form_sends_and_leads_back_to_the_room(guest: httpx.Client) -> None:
    answer = say(guest, "one\r\ntwo <b>&amp;")
    place = urlsplit(answer.headers["location"])
    assert (answer.status_code, place.path, parse_qs(place.query)["room"]) == (303, "plain", ["tea"])
    assert texts(guest) == ["one\ntwo <b>&amp;"]


def test_a_form_that_is_posted_twice_sends_once(guest: httpx.Client) -> None:
    page = read(guest.get("/plain"))
    form = {**page.fields, "text": "once"}
    assert [guest.post("/send", data=form).status_code for _ in range(2)] == [303, 303]
    say(guest, "then")
    assert texts(guest) == ["once", "then"]


def test_a_room_with_a_slash_has_a_form_of_its_own(guest: httpx.Client) -> None:
    assert say(guest, "here", "a/b c").status_code == 303
    wait_until(lambda: texts(guest, "a/b c") == ["here"], 10)
    assert texts(guest, "tea") == []
    links = [found["href"] for tag, found in read(guest.get("/plain")).tags if tag == "a"]
    assert any(link and "room=a%2Fb%20c" in link for link in links)


def test_what_is_not_sent_stays_in_the_field_under_the_same_id(
    guest: httpx.Client, served: ServeThread
) -> None:
    limit = served.hub.options.limits.message_bytes
    page = read(guest.get("/plain"))
    for text in (
        "\n<é" + "x" * limit,
        "\u20ac" * limit,
        "\n" * (limit - 1) + "\u20ac",
    ):  # the last fill the field
        answer = guest.post("/send", data={**page.fields, "text": text})
        shown = read(answer)
        assert answer.status_code == 413
        assert "too long" in shown.problem
        assert (shown.fields["text"], shown.fields["id"]) == (text, page.fields["id"])


def test_a_flood_is_told_to_wait_and_its_text_is_kept(guest: httpx.Client, served: ServeThread) -> None:
    answers = [say(guest, f"message {number}") for number in range(served.hub.options.limits.burst + 3)]
    refused = [each for each in answers if each.status_code == 429]
    assert refused
    assert int(refused[0].headers["retry-after"]) >= 1
    assert read(refused[0]).fields["text"].startswith("message ")
    assert "wait" in read(refused[0]).problem


def test_a_form_that_was_sent_with_another_text_gets_a_new_id(guest: httpx.Client) -> None:
    form = read(guest.get("/plain")).fields
    guest.post("/send", data={**form, "text": "first"})
    answer = guest.post("/send", data={**form, "text": "second"})
    shown = read(answer)
    assert (answer.status_code, shown.fields["text"]) == (409, "second")
    assert shown.fields["id"] != form["id"]
    assert guest.post("/send", data=shown.fields).status_code == 303


def test_one_who_was_revoked_sees_the_door_and_the_text(guest: httpx.Client, served: ServeThread) -> None:
    form = read(guest.get("/plain")).fields
    with GuestStore(served.hub.store.path) as store:
        (host,) = store.guests()
        store.revoke(host.username)
    answer = guest.post("/send", data={**form, "text": "<not> lost"})
    shown = read(answer)
    assert (answer.status_code, shown.fields["kept"]) == (401, "<not> lost")
    assert shown.problem


@pytest.mark.parametrize("path", ["/enter", "/send", "/leave"])
def test_a_form_of_another_sites_page_is_refused(guest: httpx.Client, path: str) -> None:
    form = {**read(guest.get("/plain")).fields, "text": "forged", "link": "x"}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    ):
        assert guest.post(path, data=form, headers=headers).status_code == 403
    del guest.headers["Origin"]
    assert guest.post(path, data=form, headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    assert guest.post(path, data=form).status_code == 403
    assert guest.post(path, data=form, headers={"Authorization": "Bearer x"}).status_code == 403
    assert texts(guest) == []


@pytest.mark.parametrize("path", ["/enter", "/send", "/leave"])
@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b'{"text":"x"}', 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/x-www-form-urlencoded", b"text=%ff%fe", 400),
        ("application/x-www-form-urlencoded", b"text=\xff", 400),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * 20), 400),
        ("application/x-www-form-urlencoded", b"text=" + b"x" * 1_000_000, 413),
    ],
)
def test_what_is_not_a_form_is_refused(
    guest: httpx.Client, path: str, kind: str, body: bytes, status: int
) -> None:
    assert guest.post(path, content=body, headers={"Content-Type": kind}).status_code == status
    assert texts(guest) == []


# ---- reading


def test_a_page_has_the_last_fifty(guest: httpx.Client, room_url: str) -> None:
    with connect(room_url, room="tea", username="ada") as room:
        for number in range(60):
            room.send(f"message {number}")
    wait_until(lambda: texts(guest)[-1:] == ["message 59"], 20)
    assert texts(guest) == [f"message {number}" for number in range(10, 60)]


def test_one_who_may_only_read_has_no_form_and_one_who_may_only_send_no_messages(served: ServeThread) -> None:
    with GuestStore(served.hub.store.path) as store:
        made = [
            store.add(Guest(0, f"guest-{read}", None, None, ("tea",), may_read=read, may_send=not read))
            for read in (True, False)
        ]
        links = [f"{served.base}/#{store.new_link(each)}" for each in made]
    with browser(served.base) as client:
        client.post("/enter", data={"browser": "", "link": links[0]})
        assert "text" not in read(client.get("/plain")).fields
        assert client.post("/send", data={"room": "tea", "text": "no", "id": ""}).status_code == 403
    with browser(served.base) as client:
        client.post("/enter", data={"browser": "", "link": links[1]})
        assert say(client, "not to be read").status_code == 303
        page = read(client.get("/plain"))
        assert page.rows == []
        assert "text" in page.fields


def test_a_room_that_is_not_open_is_not_found(guest: httpx.Client) -> None:
    answer = guest.get("/plain", params={"room": "<script>"})
    assert (answer.status_code, "<script>" in answer.text) == (404, False)
    assert read(answer).problem


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


def test_nothing_of_the_hostile_corpus_gets_out_of_its_row(guest: httpx.Client, room_url: str) -> None:
    sample = [*MARKUP, *(text for text in TEXTS.values() if text.strip())]
    plain = {tag for tag, _ in read(guest.get("/plain")).tags} | {"div", "bdi", "span", "time"}
    sent = 0
    for at in range(0, len(sample), 45):
        some = sample[at : at + 45]
        send_hostile(room_url, [*some, f"end {at}"])
        wait_until(lambda at=at: texts(guest)[-1:] == [f"end {at}"], 30)  # type: ignore[misc]
        sent += len(some) + 1
        shown = read(guest.get("/plain"))
        assert {tag for tag, _ in shown.tags} <= plain
        attributes = {name for _, found in shown.tags for name in found}
        assert not {each for each in attributes if each.startswith("on") or each in ("style", "src")}
        assert len(shown.rows) == min(50, sent)
        for row in shown.rows:
            assert set(row) == {"name", "mark", "text"}
            assert not why_unsafe(row["name"] + row["mark"], newlines=False)
            assert not why_unsafe(row["text"], tabs=True)
        for text in set(some) & set(MARKUP):
            assert any(
                row["text"] == text and text.startswith(row["name"].rstrip("…")) for row in shown.rows
            ), text


# ---- HTML


def test_every_value_in_html_is_escaped() -> None:
    made = markup('<p title="$a">$b$c</p>', a="\"'<", b="<b>&", c=markup("<i>$d</i>", d="$a <"))
    assert made == '<p title="&quot;&#x27;&lt;">&lt;b&gt;&amp;<i>$a &lt;</i></p>'
    with pytest.raises(KeyError):
        markup("$missing")
    assert type(made + "<b>") is str  # what is put together otherwise is escaped again


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    found = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    return [each for each in found if isinstance(each.func, ast.Name) and each.func.id == name]


def test_html_is_made_of_templates_in_the_source_and_by_nothing_else() -> None:
    for file in sorted(WEB.glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        templates = calls(tree, "markup")
        assert all(isinstance(each.args[0], ast.Constant) for each in templates), file.name
        for each in templates:
            template = str(ast.literal_eval(each.args[0]))
            unquoted = re.sub(r'"[^"]*"', '""', template)
            assert not re.search(r"=\$(?!current)", unquoted), template
        if file.name != "markup.py":
            assert not [each for each in calls(tree, "Markup") if each.args], file.name
            in_templates = {id(part) for each in templates for part in ast.walk(each.args[0])}
            tags = [
                each
                for each in ast.walk(tree)
                if isinstance(each, ast.Constant)
                and isinstance(each.value, str)
                and re.search(r"</?[a-z]+[ >]", each.value)
                and id(each) not in in_templates
            ]
            assert not tags, (file.name, tags)


# ---- in a browser


def test_a_browser_without_scripts_comes_in_writes_and_leaves(
    served: ServeThread, room_url: str, tmp_path: Path
) -> None:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium is installed")
    send_hostile(room_url, list(MARKUP))
    with Page(program, tmp_path / "profile") as page:
        page._ask("Emulation.setScriptExecutionDisabled", value=True)
        page.watch()
        page.look_at(360, 740)
        page.open(f"{served.base}/")
        page.wait_for("location.pathname === '/plain' && !!document.getElementById('link')")
        fill(page, "link", served.link)
        click(page, "#enter button")
        page.wait_for("document.querySelectorAll('.message').length")
        assert page.run("document.querySelectorAll('.message').length") == len(MARKUP)
        assert (
            page.run("document.querySelectorAll('#log :is(script,img,svg,style,form,h1,base)').length") == 0
        )
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        fill(page, "text", "written without scripts")
        click(page, "#send")
        page.wait_for("location.search.includes('room=tea') && location.hash === '#write'")
        wait_until(lambda: look_again(page) and "written without scripts" in page.text, 20)
        if folder := os.environ.get("KCHAT_TEST_PICTURES"):
            page.picture(Path(folder) / "plain-360x740.png")
        assert page.run("document.querySelectorAll('.mine').length") == 1
        elsewhere = f'data:text/html,<a href="{served.base}/PATH" rel="noreferrer">a link on another site</a>'
        for path in ("", "plain?room=a%2Fb%20c"):  # the cookie does not come with the first request
            # A page that is still on its way here would take the place of that one: it is opened until it stands.
            wait_until(partial(stands, page, elsewhere.replace("PATH", path)), 30, pause=0.3)
            click(page, "a")
            page.wait_for("!!document.getElementById('write')")
        assert page.run("document.getElementById('room').textContent") == "a/b c"
        click(page, "#leave summary")
        assert "need a new link" in page.text
        click(page, "#leave button")
        page.wait_for("!!document.getElementById('link')")
        asked = {urlsplit(each).netloc for each in page.requests if not each.startswith("data:")}
        assert asked == {urlsplit(served.base).netloc}
        assert not [each for each in page.console if "error" in each.lower()], page.console


def stands(page: Page, url: str) -> bool:
    if page.run("location.protocol === 'data:' && !!document.querySelector('a')"):
        return True
    page.open(url)
    return False


def fill(page: Page, field: str, text: str) -> None:
    page.run(f"document.getElementById({json.dumps(field)}).focus()")
    page._ask("Input.insertText", text=text)


def click(page: Page, selector: str) -> None:
    """A real click, by the mouse: no script of the page's is needed for it. Where it lands is measured until it stays."""
    where = (
        f"(() => {{ const found = document.querySelector({json.dumps(selector)}); found.scrollIntoView({{block: 'center'}});"
        " const box = found.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    page.wait_for("document.readyState === 'complete'")
    before: list[list[float]] = [[]]

    def stays() -> bool:
        before.append(page.run(where))
        return before[-1] == before[-2]

    wait_until(stays, 20, pause=0.1)
    x, y = before[-1]
    for kind in ("mousePressed", "mouseReleased"):
        page._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


def look_again(page: Page) -> bool:
    before = page.run("location.href")
    click(page, ".again")
    page.wait_for(f"location.href !== {json.dumps(before)} && document.readyState === 'complete'")
    return True
