"""The HTML of the page without JavaScript: the door, and a room with its last messages and a form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote
from zlib import crc32

from kchat.web.markup import Markup, joined, markup, text_with_links

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_COLOURS = 12
"""Of names, in ``style.css``."""

_TOGETHER = timedelta(minutes=5)
"""Messages of one sender within this time stand under one name, as in ``room.js``."""

_NOTHING = Markup()


class Draft(NamedTuple):
    """What stands in the form.

    Attributes:
        id: of the message that it becomes, however often it is posted.
        text: what was written.
    """

    id: str
    text: str = ""


def address_of(room: str) -> str:
    """Where the page of a room is, with its form in view.

    It differs from one second to the next: to an address that differs in nothing but what is behind ``#``, browsers scroll
    instead of asking again.
    """
    return f"plain?room={quote(room, safe='')}&again={int(time() * 1000)}#write"


def door(browser: str, *, problem: str = "", text: str = "", reload: bool = False) -> Markup:
    """For one who is not in.

    Arguments:
        browser: what the browser is called in the exchange of the link.
        problem: what went wrong.
        text: what was written and not sent.
        reload: whether to ask again at once: a browser that comes by another site's link does not send the cookie.
    """
    kept = markup(
        '<label for="kept">What you wrote was not sent</label><textarea id="kept" rows="4" readonly>\n$text</textarea>',
        text=text,
    )
    return _page(
        markup(
            '<main id="door"><h1>kchat</h1>$problem$kept'
            "<p>This room is by invitation. Paste your link here.</p>"
            '<form id="enter" method="post" action="enter"><input type="hidden" name="browser" value="$browser">'
            '<label for="link">Invitation link</label>'
            '<input id="link" name="link" type="text" inputmode="url" autocomplete="off" autocapitalize="off"'
            ' spellcheck="false" required><button class="strong">Open</button></form>'
            '<p>You are signed in already, and came from another site? <a class="again" href="plain?again=$now">Reload'
            "</a>.</p></main>",
            problem=_problem(problem),
            kept=kept if text else _NOTHING,
            browser=browser,
            now=int(time() * 1000),
        ),
        reload=markup('<meta http-equiv="refresh" content="0">') if reload else _NOTHING,
    )


def no_such_room(rooms: Iterable[str], problem: str) -> Markup:
    """For one who is in, and asks for a room that is not there."""
    return _page(
        markup(
            "<main><h1>kchat</h1>$problem$rooms</main>", problem=_problem(problem), rooms=_rooms(rooms, "")
        )
    )


def room(
    name: str,
    rooms: Iterable[str],
    messages: list[dict[str, Any]],
    *,
    username: str,
    draft: Draft | None,
    longest: int,
    problem: str = "",
    note: str = "",
    people: Mapping[str, Any] | None = None,
) -> Markup:
    """A room.

    Arguments:
        name: of the room.
        rooms: those that are open to the reader.
        messages: the last ones, oldest first, as :func:`kchat.web.frames.as_object` makes them.
        username: the reader's; empty for one who has not been invited.
        draft: what stands in the form; None where the reader may not send.
        longest: maximum size of a text, in bytes.
        problem: why the draft was not sent.
        note: what is to be said of the messages.
        people: who is here, as :func:`kchat.web.people.as_object` makes it; None where that is not known.
    """
    again = address_of(name)
    others = list(rooms)
    return _page(
        markup(
            '<header><div id="title"><h1 id="room">$name</h1><p id="me">$me</p></div>$leave</header>$rooms$people<main>'
            '<div id="log" role="log" aria-label="Messages" aria-live="off" tabindex="0">$messages$note</div>$problem'
            '<p><a class="again" href="$again">Reload</a> to see new messages: without JavaScript, this page does'
            " not change by itself.</p>$form</main>",
            name=name,
            me=f"you are {username}" if username else "read only",
            leave=_leave() if username else markup('<a href="plain?door=1">Open an invitation</a>'),
            rooms=_rooms(others, name) if len(others) > 1 else _NOTHING,
            people=_NOTHING if people is None else _people(people),
            messages=_messages(messages, username)
            if messages
            else markup('<p class="note">No messages yet.</p>'),
            note=markup('<p class="note missed">$note</p>', note=note) if note else _NOTHING,
            problem=_problem(problem),
            again=again,
            form=_NOTHING if draft is None else _form(name, draft, longest),
        ),
        title=name,
    )


def _page(body: Markup, *, title: str = "", reload: Markup = _NOTHING) -> Markup:
    return markup(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">$reload'
        '<title>$title</title><link rel="icon" href="icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="style.css"></head><body class="plain">$body</body></html>\n',
        body=body,
        title=f"{title} - kchat" if title else "kchat",
        reload=reload,
    )


def _problem(text: str) -> Markup:
    return markup('<p class="problem" role="alert">$text</p>', text=text) if text else _NOTHING


def _leave() -> Markup:
    return markup(
        '<form id="leave" method="post" action="leave"><details><summary>Leave</summary>'
        "<p>You need a new link<br>to come back.</p><button>Leave anyway</button></details></form>"
    )


def _rooms(rooms: Iterable[str], current: str) -> Markup:
    links = joined(
        markup(
            '<a href="$address"$current>$name</a>',
            address=address_of(each),
            name=markup("<b>$name</b>", name=each) if each == current else each,
            current=markup(' aria-current="page"') if each == current else _NOTHING,
        )
        for each in rooms
    )
    return markup('<nav aria-label="Rooms">$links</nav>', links=links)


def _people(people: Mapping[str, Any]) -> Markup:
    listed = people["people"]
    rest = people["count"] - len(listed)
    return markup(
        '<aside aria-label="Who is here"><details><summary>$count here</summary><ul id="people">$people$rest</ul></details>'
        "</aside>",
        count=f"{people['count']:,}{'+' if people['more'] else ''}",
        people=joined(markup("<li>$name</li>", name=_name(each)) for each in listed),
        rest=markup("<li>and $number more</li>", number=f"{rest:,}") if rest > 0 else _NOTHING,
    )


def _name(shown: Mapping[str, Any]) -> Markup:
    return markup(
        '<bdi class="name c$colour">$name</bdi><span class="mark">$mark</span>',
        colour=crc32(shown["name"].encode()) % _COLOURS,
        name=shown["name"],
        mark=shown["mark"],
    )


def _form(name: str, draft: Draft, longest: int) -> Markup:
    return markup(
        '<form id="write" method="post" action="send"><input type="hidden" name="room" value="$room">'
        '<input type="hidden" name="id" value="$id"><label for="text">Message</label>'
        # HTML drops the first line end in a textarea, so that one is there to be dropped.
        '<textarea id="text" name="text" rows="3" maxlength="$longest" required>\n$text</textarea>'
        '<button id="send" class="strong">Send</button></form>',
        room=name,
        id=draft.id,
        text=draft.text,
        longest=longest,
    )


def _messages(messages: list[dict[str, Any]], username: str) -> Markup:
    rows, day = [], ""
    last: tuple[Any, ...] = ()
    for each in messages:
        sent = None if each["sent_at"] is None else datetime.fromisoformat(each["sent_at"]).astimezone(UTC)
        if sent is not None and (its_day := f"{sent:%A} {sent.day} {sent:%B %Y}") != day:
            day = its_day
            rows.append(markup('<div class="day"><span>$day (UTC)</span></div>', day=day))
        sender = each["username"], each["account"], each["mark"], day
        is_same = (
            last[:-1] == sender
            and sent is not None
            and last[-1] is not None
            and abs(sent - last[-1]) < _TOGETHER
        )
        rows.append(_message(each, sent, username, is_same=is_same))
        last = *sender, sent
    return joined(rows)


def _message(message: dict[str, Any], sent: datetime | None, username: str, *, is_same: bool) -> Markup:
    when = _NOTHING
    if sent is not None:
        when = markup(
            '<time datetime="$stamp">$clock UTC</time>', stamp=message["sent_at"], clock=f"{sent:%H:%M}"
        )
    mine = bool(username) and message["username"] == username and not message["mark"]
    return markup(
        '<div class="message$mine$same"><div class="who">$name $when</div>'
        '<div class="text" dir="auto">$text</div></div>',
        mine=" mine" if mine else "",
        same=" same" if is_same else "",
        name=_name(message),
        when=when,
        text=text_with_links(message.get("shown", message["text"])),
    )
