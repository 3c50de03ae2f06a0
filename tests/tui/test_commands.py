"""Commands, and several rooms."""

from __future__ import annotations

import pytest

from kchat.config.settings import Settings
from kchat.errors import KchatError
from kchat.events import People, Person
from kchat.tui.people import OnPeople, nobody_knows
from kchat.tui.slash import COMMANDS
from tests.tui.chatting import Chat, chatting, nobody_answers, run, say


class Somebody:
    """Knows who is here because the test says so."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.closed = 0

    problem: KchatError | None = None
    known = True

    def __call__(self, _settings: Settings, username: str, on_people: OnPeople) -> Somebody:
        self.on_people = on_people
        self.names.append(username)
        self.become(username)
        return self

    def stop(self) -> None:
        self.closed += 1

    def close(self, timeout: float) -> None:
        pass

    def become(self, *names: str, count: int = 0) -> None:
        self.on_people(People(tuple(map(Person, names)), count or len(names)))


def texts(chat: Chat) -> list[str]:
    timeline = chat.app.session.current.timeline
    return [timeline[place].text for place in range(timeline.first, timeline.end)]


def test_there_is_a_test_for_each_command() -> None:
    tested = {"help", "who", "nick", "me", "join", "leave", "last", "search", "quit"}
    assert set(COMMANDS) == tested


def test_help(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url, size=(100, 60)) as chat:
            await chat.write("/help")
            await chat.sees("/join ROOM", "Ctrl+F", "nobody has checked this name")

    run(script)


def test_a_help_longer_than_the_window_says_first_how_to_see_the_rest_and_leave_it(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url, size=(40, 12)) as chat:
            await chat.press("f1")
            await chat.sees("Esc closes this, ↑ ↓ scroll")

    run(script)


def test_who_where_it_is_known_and_where_it_is_not(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url, presence_of=nobody_knows) as chat:
            await chat.write("/who")
            await chat.sees("who is here is not known")
            assert "here" not in chat.lines[0]
        here = Somebody()
        async with chatting(local_url, presence_of=here) as chat:
            await chat.sees("1 here")
            await chat.until(lambda: not chat.app.session.current.door.waits)
            here.become("ada", "bob", "cy")
            await chat.sees("ada · bob · cy   3 here", "bob, cy joined")
            await chat.write("/who")
            await chat.sees("3 here: ada, bob, cy")
            here.become("ada", "cy")
            await chat.sees("bob left")
            here.become(*(f"p{number}" for number in range(20)), count=500)
            await chat.sees("500 here")
            await chat.write("/who")
            await chat.sees("and 480 more")
        assert here.closed == 1

    run(script)


def test_a_message_that_nobody_is_here_to_read_says_so(local_url: str) -> None:
    async def script() -> None:
        here = Somebody()
        async with chatting(local_url, presence_of=here) as chat:
            await chat.write("hello?")
            await chat.sees("nobody is here to read it")
            here.become("ada", "bob")
            await chat.sees("2 here")
            await chat.write("hello bob")
            await chat.until(lambda: "hello bob" in texts(chat) and not len(chat.app.session.current.outbox))
            assert chat.text.count("nobody is here") == 1

    run(script)


def test_who_is_here_is_not_said_before_the_others_had_time_to_answer(local_url: str) -> None:
    async def script() -> None:
        here = Somebody()
        here.known = False
        async with chatting(local_url, presence_of=here) as chat:
            await chat.write("hello?")
            await chat.until(lambda: texts(chat) == ["hello?"])
            await chat.write("/who")
            await chat.sees("who is here is not known yet")
            assert "1 here" not in chat.text
            assert "nobody is here" not in chat.text
            here.known = True
            await chat.sees("ada   1 here")

    run(script)


def test_nick(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.write("/nick grace")
            await chat.sees(" grace>", "you are grace now")
            await chat.write("hello")
            await chat.until(lambda: "hello" in texts(chat))
            assert any("grace" in line and "hello" in line for line in chat.messages)
            await chat.paste("/nick evil\u200dname")
            await chat.press("enter")
            await chat.sees("control characters")

    run(script)


def test_one_is_here_under_the_new_name(local_url: str) -> None:
    async def script() -> None:
        here = Somebody()
        async with chatting(local_url, presence_of=here) as chat:
            await chat.sees("ada   1 here")
            await chat.write("/nick grace")
            await chat.sees("grace   1 here")
            assert (here.names, here.closed) == (["ada", "grace"], 1)

    run(script)


def test_one_who_takes_the_name_of_somebody_else_who_is_here_is_told(local_url: str) -> None:
    async def script() -> None:
        here = Somebody()
        async with chatting(local_url, presence_of=here) as chat:
            here.become("ada", "bob")
            await chat.sees("2 here")
            await chat.write("/nick bob")
            await chat.sees("you are bob now, as somebody else here is")
            await chat.write("/nick ada")
            await chat.until(lambda: texts(chat)[-1] == "you are ada now")

    run(script)


def test_me(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.write("/me waves")
            await chat.until(lambda: texts(chat) == ["waves"])
            assert chat.styles("waves") == {"own-action"}

    run(script)


def test_join_and_leave(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.press("slash", *"leave", "enter")
            await chat.sees("this is the only room")
            await chat.write("/join ops")
            await chat.joined()
            await chat.sees("1 lunch", "2 ops")
            await chat.write("hello ops")
            await chat.until(lambda: texts(chat) == ["hello ops"])
            await chat.write("/join lunch")
            assert chat.app.session.current.name == "lunch"
            await chat.write("/join ops")
            await chat.write("/leave")
            await chat.until(lambda: [room.name for room in chat.app.session.rooms] == ["lunch"])
            assert "2 ops" not in chat.text
            await chat.write("/join ops")
            await chat.joined()
            await chat.until(lambda: texts(chat) == ["hello ops"], "its history")
            assert "hello ops" in chat.text
            await chat.write("/join amq.ops")
            await chat.sees("names that start with 'amq.'")

    run(script)


def test_last_fetches_what_the_history_has(local_url: str) -> None:
    async def script() -> None:
        say(local_url, "bob", *(f"message {number}" for number in range(300)))
        async with chatting(local_url, last=5) as chat:
            await chat.sees("message 295", "message 299")
            assert "message 294" not in chat.text
            await chat.write("/last 250")
            await chat.sees("message 50")
            await chat.write("/last many")
            await chat.sees("usage: /last N")

    run(script)


def test_a_history_that_cannot_be_read_for_a_while_is_not_taken_for_its_beginning(local_url: str) -> None:
    async def script() -> None:
        say(local_url, "bob", *(f"message {number}" for number in range(300)))
        async with chatting(local_url, last=5) as chat:
            await chat.sees("message 299")
            with nobody_answers(chat.app.session._workers["lunch"]):
                await chat.write("/last 250")
                await chat.sees("older messages cannot be fetched now")
                await chat.write("/search message 50")
                await chat.sees("older messages cannot be fetched now")
                await chat.press("escape")
            await chat.write("/last 250")
            await chat.sees("message 50")

    run(script)


def test_what_is_said_of_a_mistake_is_not_said_of_the_next_command(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.write("/nick")
            await chat.sees("usage: /nick NAME")
            await chat.press("ctrl+u")
            await chat.write("/me waves")
            await chat.until(lambda: "usage" not in chat.status and "connected" in chat.status)
            await chat.press("ctrl+f")
            await chat.sees("Enter: search · Esc: back")
            await chat.write("nothing")
            await chat.sees("not found")
            await chat.press("escape")
            await chat.until(lambda: "connected" in chat.status)

    run(script)


def test_last_does_not_move_one_who_has_moved_meanwhile(local_url: str) -> None:
    async def script() -> None:
        say(local_url, "bob", *(f"message {number}" for number in range(300)))
        async with chatting(local_url, last=5) as chat:
            await chat.sees("message 299")
            room, view = chat.app.session.current, chat.app.messages.view
            await chat.write("/last 9999")
            chat.app.messages.to_end()
            await chat.until(lambda: room.received >= 300 and not room.fetching)
            await chat.pilot.pause()
            assert view.follows
            await chat.write("/last 9999")  # more than there are: the oldest
            await chat.sees("message 0")
            await chat.until(lambda: not view.wanted)

    run(script)


def test_a_search_goes_on_through_the_history_by_itself(local_url: str) -> None:
    say(local_url, "bob", *(f"line {number}{' needle' * (number == 3)}" for number in range(1000)))

    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.write("/search needle")
            await chat.sees("line 3 needle", "search> needle")
            await chat.press("enter")
            await chat.sees("not found in older messages")
            await chat.press("down")
            await chat.sees("not found in newer messages")

    run(script)


def test_search(local_url: str) -> None:
    async def script() -> None:
        say(local_url, "bob", "needle", *(f"message {number}" for number in range(50)))
        async with chatting(local_url) as chat:
            await chat.sees("message 49")
            await chat.write("/search needle")
            await chat.sees("search> needle", "Esc: back")
            assert "found" in chat.styles("needle")
            await chat.press("escape")
            await chat.write("/")
            await chat.sees("search>")

    run(script)


def test_quit(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.write("/quit")
            await chat.until(lambda: chat.app._exit)

    run(script)


def test_an_unknown_command_is_said_and_not_sent(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url) as chat:
            await chat.write("/flip the table")
            await chat.sees("there is no command /flip")
            assert chat.draft == "/flip the table"
            await chat.press("home", "slash", "enter")
            await chat.until(lambda: texts(chat) == ["/flip the table"])

    run(script)


@pytest.mark.parametrize("columns", [50, 100])
def test_the_list_of_rooms_counts_what_is_unread(local_url: str, columns: int) -> None:
    async def script() -> None:
        async with chatting(local_url, "lunch", "ops", "dev", size=(columns, 24)) as chat:
            say(local_url, "bob", "one", "two", room="ops")
            say(local_url, "bob", "ada, look", room="dev")
            await chat.until(lambda: [room.unread for room in chat.app.session.rooms] == [0, 2, 1])
            await chat.sees("2 ops", "3 dev", "@1")
            await chat.press("alt+3")
            await chat.sees("ada, look")
            assert " new " in chat.text
            assert chat.app.session.current.unread == 0
            await chat.press("ctrl+p")
            assert chat.app.session.current.name == "ops"
            await chat.press("ctrl+p", "ctrl+p")
            assert chat.app.session.current.name == "dev"
            await chat.press("ctrl+n")
            assert chat.app.session.current.name == "lunch"
            await chat.press("alt+9")
            assert chat.app.session.current.name == "lunch"

    run(script)


def test_each_room_keeps_its_draft_and_what_was_sent_there(local_url: str) -> None:
    async def script() -> None:
        async with chatting(local_url, "lunch", "ops") as chat:
            await chat.write("sent to lunch")
            await chat.press(*"draft", "alt+2")
            assert chat.draft == ""
            await chat.press("up")
            assert chat.draft == ""
            await chat.press(*"other", "alt+1")
            assert chat.draft == "draft"
            await chat.press("up")
            assert chat.draft == "sent to lunch"

    run(script)
