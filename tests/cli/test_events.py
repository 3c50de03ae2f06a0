"""`kchat subscribe --mode json --events`: what happens to the connection, as objects among the messages."""

from __future__ import annotations

import json
from dataclasses import replace

from kchat import Settings
from kchat.client.connection import connect
from tests.brokers.processes import Commands
from tests.brokers.proxy import Proxy


def test_a_program_learns_that_it_was_away_and_what_was_caught_up(
    commands: Commands, amqp_url: str, room: str
) -> None:
    settings = Settings.resolve(url=amqp_url, room=room)
    connection, broker = connect(settings, purpose="test")
    settings.transport.history(room).switch_on(connection.channel())
    settings.transport.close(connection)
    with Proxy(broker.port or 0) as proxy:
        through = replace(settings.broker, port=proxy.port).url()
        listener = commands.kchat("subscribe", "--url", through, "--room", room, "--mode", "json", "--events")
        listener.wait_for("listening")
        proxy.refuse()
        proxy.cut()
        for text in ("one", "two"):
            assert commands.run_kchat("send", "--url", amqp_url, "--room", room, text).code == 0
        proxy.restore()
        listener.wait_for('"reconnected"', "stdout")
        found = [json.loads(line) for line in listener.lines]
    kinds = [each.get("type", each.get("message")) for each in found]
    assert kinds[0] == "disconnected"
    assert [kind for kind in kinds if kind != "reconnecting"] == ["disconnected", "one", "two", "reconnected"]
    back = found[-1]
    assert (back["caught_up"], back["missing"]) == (2, 0)
    assert "2 messages caught up" in back["text"]


def test_other_modes_have_no_events(commands: Commands, local_url: str) -> None:
    refused = commands.run_kchat("subscribe", "--url", local_url, "--mode", "plain", "--events")
    assert refused.code == 2
    assert "no events" in refused.stderr
