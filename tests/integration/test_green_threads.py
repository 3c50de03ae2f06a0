"""Programs whose threads gevent or eventlet have replaced by green ones, from the first line on."""

from __future__ import annotations

import importlib.util

import pytest

from tests.brokers.processes import Commands

PATCH = {
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
PROGRAM = """
import sys, threading, time
import kchat

turns = []

def turn():
    while True:
        turns.append(None)
        time.sleep(0.01)

threading.Thread(target=turn, daemon=True).start()
with kchat.connect(sys.argv[1], room=sys.argv[2], username="ada", heartbeat=2) as room:
    texts = []

    def receive():
        for message in room:
            texts.append(message.text)
            if len(texts) == 30:
                break

    def send(sender):
        for number in range(10):
            assert room.send(f"{sender} {number}").confirmed

    threads = [threading.Thread(target=receive), *(threading.Thread(target=send, args=(each,)) for each in "abc")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(texts) == [f"{sender} {number}" for sender in "abc" for number in range(10)]

    before = len(turns)
    assert room.receive(timeout=0.5) is None
    assert len(turns) > before  # the wait stopped nobody else

    loop = threading.Thread(target=lambda: list(room))
    loop.start()
    time.sleep(0)
    room.stop()
    loop.join()
print("done")
"""


@pytest.mark.parametrize("broker", ["amqp", "local"])
@pytest.mark.parametrize("library", PATCH)
def test_a_room_works_on_green_threads_and_stops(
    library: str, broker: str, commands: Commands, room: str, request: pytest.FixtureRequest
) -> None:
    if importlib.util.find_spec(library) is None:  # importing it here would change Kombu for the other tests
        pytest.skip(f"{library} is not installed: there may be no wheel of it for this Python")
    url = request.getfixturevalue(f"{broker}_url")
    program = commands.python(PATCH[library] + PROGRAM, url, room)
    assert program.wait() == 0, program.stderr
    assert "done" in program.stdout
