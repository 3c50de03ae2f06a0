"""A reader of an embedded room that is slower than its history is short."""

from __future__ import annotations

from time import monotonic

from kchat import Sender, Settings, Subscriber, events


def test_a_subscriber_is_told_how_much_the_room_has_removed_before_it_was_read(local_url: str) -> None:
    told: list[events.Event] = []
    settings = Settings.resolve(url=f"{local_url}?history_max_bytes=200000")
    texts: list[str] = []
    with Subscriber(settings, "slow", on_event=told.append) as subscriber:
        with Sender(settings, "ada") as sender:
            assert sum(receipt.confirmed for receipt in sender.send_many(map(str, range(5000)))) == 5000
        ends = monotonic() + 30
        while "4999" not in texts and monotonic() < ends:
            texts += [message.text for message in subscriber.receive(timeout=1)]
            subscriber.acknowledge()
    assert told == [events.Dropped(5000 - len(texts), pruned=True)]
    assert "history is full" in str(told[0])


def test_no_loss_is_reported_for_messages_removed_before_a_reader_came(local_url: str) -> None:
    told: list[events.Event] = []
    settings = Settings.resolve(url=f"{local_url}?history_max_bytes=200000")
    with Sender(settings, "ada") as sender:
        list(sender.send_many(map(str, range(3000))))
        with Subscriber(settings, "late", last=1_000_000, on_event=told.append) as subscriber:
            sender.send("the last one")
            ends = monotonic() + 30
            while monotonic() < ends:
                if "the last one" in [each.text for each in subscriber.receive(timeout=1)]:
                    break
                subscriber.acknowledge()
    assert told == []
