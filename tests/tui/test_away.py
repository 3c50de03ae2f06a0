"""What is written while the connection is away, and what a broker refuses: on a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Callable

from kchat.client.subscriber import Subscriber
from tests.brokers.proxy import Proxy
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import Deadline, soon
from tests.tui.chatting import chatting, run, settings


def heard(subscriber: Subscriber, count: int) -> list[str]:
    """The texts of this number of messages, and of any that come right behind them."""
    texts: list[str] = []
    deadline = Deadline(soon(20))
    while len(texts) < count and not deadline.passed:
        texts += [message.text for message in subscriber.receive(0.1)]
    return texts + [message.text for message in subscriber.receive(0.5)]


def test_what_is_written_while_away_is_kept_in_order_and_sent_once(
    rabbitmq: RabbitMQ, vhost: str, amqp_url: str, proxy_to: Callable[[int], Proxy]
) -> None:
    proxy = proxy_to(rabbitmq.port)
    through = amqp_url.replace(f":{rabbitmq.port}/", f":{proxy.port}/")

    async def script() -> None:
        with Subscriber(settings(amqp_url), "bob") as bob:
            async with chatting(through) as chat:
                await chat.write("before")
                await chat.until(lambda: not chat.app.session.unsent)
                await chat.press(*"draft")
                proxy.refuse()
                proxy.cut()
                await chat.sees("connection")
                await chat.until(lambda: chat.app.session.current.status != "")
                assert chat.draft == "draft"
                await chat.press("ctrl+u")
                for text in ("one", "two", "three"):
                    await chat.write(text)
                assert chat.styles("two") == {"sending"}
                await chat.sees("3 not sent yet")
                await chat.press(*"draft")
                await chat.press("ctrl+c", "ctrl+c")
                await chat.sees("3 messages are not sent.")
                await chat.press("n")
                proxy.restore()
                await chat.sees("reconnected after", "messages may be missing")
                await chat.until(lambda: not chat.app.session.unsent, "not sent")
                assert heard(bob, 4) == ["before", "one", "two", "three"]
                await chat.until(lambda: not len(chat.app.session.current.outbox))
                for text in ("one", "two", "three"):
                    assert sum(line.endswith(f" {text}") for line in chat.messages) == 1
                    assert chat.styles(text) == {"own"}
                assert chat.draft == "draft"

    run(script)


def test_what_the_broker_refuses_stays_red_with_the_reason(
    rabbitmq: RabbitMQ, vhost: str, amqp_url: str
) -> None:
    async def script() -> None:
        rabbitmq.management.add_exchange(vhost, "lunch")
        with rabbitmq.new_account(vhost, configure="^kchat", write="^kchat", read=".*") as account:
            async with chatting(account.url) as chat:
                await chat.write("may I?")
                await chat.sees("not sent:", "Ctrl+R sends it again")
                assert chat.styles("may I?") == {"failed"}
                rabbitmq.management.permit(vhost, account.username, ".*", ".*", ".*")
                await chat.press("ctrl+r")
                await chat.until(lambda: chat.styles("may I?") == {"own"}, "not sent again")
                assert chat.app.session.unsent == []

    run(script)


def test_an_account_that_ends_is_said(rabbitmq: RabbitMQ, vhost: str) -> None:
    async def script() -> None:
        with rabbitmq.new_account(vhost, configure=".*", write=".*", read=".*") as account:
            async with chatting(account.url) as chat:
                rabbitmq.management.delete_user(account.username)
                for connection in rabbitmq.management.connections(vhost):
                    rabbitmq.management.close_connection(connection["name"])
                await chat.sees("not connected:")
                assert not chat.app._exit

    run(script)
