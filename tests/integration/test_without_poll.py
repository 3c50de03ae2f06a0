"""Commands where eventlet or gevent have taken ``select.poll`` away."""

from __future__ import annotations

from tests.brokers.processes import Commands


def test_a_subscriber_works_without_poll(commands: Commands, amqp_url: str, redis_url: str) -> None:
    script = "import select; del select.poll\nfrom kchat.__main__ import run; run()"
    for url in (amqp_url, redis_url):
        subscriber = commands.python(script, "subscribe", "--url", url, "--limit", "1")
        subscriber.wait_for("listening")
        sent = commands.python(script, "send", "--url", url, "hello")
        assert sent.wait() == 0, sent.stderr
        assert subscriber.wait() == 0, subscriber.stderr
