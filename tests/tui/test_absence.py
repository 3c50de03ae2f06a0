"""Who is here in the windows of others, who is not seen, and who was killed.

Whoever was killed is here for another minute. So this file comes first: other tests run beside that one.
"""

from __future__ import annotations

import json

from tests.brokers.processes import Commands
from tests.tui.desk import Desk, chat, process_of, sees
from tests.window import Window


def test_three_people_see_each_other_and_who_is_killed_is_gone(
    desk: Desk, amqp_url: str, redis_url: str, local_url: str
) -> None:
    left = [_talk_until_cy_is_killed(desk, url) for url in (amqp_url, redis_url, local_url)]
    for ada, bob in left:  # they wait for the same minute
        for window in (ada, bob):
            sees(window, "cy", " left", "2 here", seconds=62)
        bob.type("C-q")
        sees(bob, "code=0")
        sees(ada, "ada   1 here", "grace left")
        ada.type("anybody?", "Enter")
        sees(ada, "nobody is here to read it")
        ada.type("C-q")
        sees(ada, "code=0")


def _talk_until_cy_is_killed(desk: Desk, url: str) -> tuple[Window, Window]:
    """Three talk in a room, bob gets another name, and cy is killed; returns the windows of the others."""
    people = {name: desk.open(f"{url.partition(':')[0]}-{name}") for name in ("ada", "bob", "cy")}
    for name, window in people.items():
        chat(window, url, name)
    for name, window in people.items():
        others = " · ".join(sorted(set(people) - {name}))
        sees(window, f"{name} · {others}   3 here")
        window.type(f"hello from {name}", "Enter")
    for window in people.values():
        sees(window, *(f"hello from {name}" for name in people))
    ada, bob, cy = people.values()
    ada.type("/who", "Enter")
    sees(ada, "· 3 here: ada, bob, cy")
    bob.type("/nick grace", "Enter")
    sees(bob, "grace · ada · cy   3 here")
    # That grace joined is not told, if it is less than three seconds since ada has.
    sees(ada, "ada · cy · grace   3 here")
    process_of(cy).kill()
    return ada, bob


def test_a_hidden_one_sees_and_is_not_seen(desk: Desk, amqp_url: str, commands: Commands) -> None:
    ada, mallory = desk.open("ada"), desk.open("mallory")
    chat(ada, amqp_url, "ada")
    chat(mallory, amqp_url, "mallory", "--hidden")
    sees(mallory, "ada   1 here")
    sees(ada, "ada   1 here")
    mallory.type("I see you", "Enter")
    sees(ada, "I see you")
    found = commands.run_kchat("who", "--url", amqp_url, "--room", "lunch", "--json").stdout
    assert [each["username"] for each in json.loads(found)["here"]] == ["ada"]
