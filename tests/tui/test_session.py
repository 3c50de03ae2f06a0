"""What a window does, without a window."""

from __future__ import annotations

from pathlib import Path

from kchat.tui.inbox import CAPACITY, Inbox
from kchat.tui.options import ChatOptions
from kchat.tui.read_marks import ReadMarks
from kchat.tui.reports import Joined, Report
from kchat.tui.session import Session
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.wait import wait_until
from tests.tui.chatting import settings


def texts(session: Session) -> list[str]:
    session.take()
    timeline = session.current.timeline
    return [
        timeline[place].text for place in range(timeline.first, timeline.end) if not timeline[place].is_note
    ]


def opened(url: str) -> Session:
    options = ChatOptions([settings(url)], "ada", marks=ReadMarks(Path("/dev/null/none")))
    return Session(options, Inbox())


def test_what_is_typed_before_the_room_is_joined_is_sent_then(local_url: str) -> None:
    session = opened(local_url)
    session.say(session.current, "first")
    session.start()
    session.say(session.current, "second")
    wait_until(lambda: texts(session) == ["first", "second"], 10)
    assert session.unsent == []
    assert session.close(10).unsent == ()


def test_a_room_that_was_lost_is_joined_again_with_what_was_written(rabbitmq: RabbitMQ, vhost: str) -> None:
    with rabbitmq.new_account(vhost, configure=".*", write=".*", read=".*") as account:
        session = opened(account.url)
        session.start()
        session.say(session.current, "before")
        wait_until(lambda: texts(session) == ["before"], 10)
        rabbitmq.management.permit(vhost, account.username)
        for connection in rabbitmq.management.connections(vhost):
            rabbitmq.management.close_connection(connection["name"])
        wait_until(lambda: session.take() is not None and not session.current.joined, 30)
        rabbitmq.management.permit(vhost, account.username, ".*", ".*", ".*")
        session.say(session.current, "meanwhile")
        session.join("lunch")
        wait_until(lambda: texts(session) == ["before", "meanwhile"], 30, lambda: f"{texts(session)}")
        assert session.close(10).unsent == ()


def test_what_is_not_sent_at_the_end_is_handed_back() -> None:
    session = opened("memory://")
    session.say(session.current, "never sent")
    assert session.close(1).unsent == ("lunch: never sent",)


def test_the_inbox_keeps_order_and_wakes_once_for_what_was_not_taken() -> None:
    woken: list[int] = []
    inbox = Inbox(lambda: woken.append(1))
    reports: list[Report] = [Joined(str(number)) for number in range(CAPACITY)]
    for report in reports:
        inbox.put(report)
    assert len(woken) == 1
    assert inbox.take() == reports
    assert inbox.take() == []
    inbox.put(reports[0])
    assert len(woken) == 2


def test_a_full_inbox_holds_those_who_report_until_it_is_taken_or_closed() -> None:
    from threading import Thread

    inbox = Inbox()
    for number in range(CAPACITY):
        inbox.put(Joined(str(number)))
    for end in (inbox.take, inbox.close):
        waiting = Thread(target=inbox.put, args=(Joined("late"),), daemon=True)
        waiting.start()
        assert waiting.is_alive()
        end()
        waiting.join(10)
        assert not waiting.is_alive()
        for number in range(CAPACITY - 1):
            inbox.put(Joined(str(number)))
