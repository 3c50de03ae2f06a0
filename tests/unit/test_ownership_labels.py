"""Whether the owner of a subscription is dead: said only where it is known."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kchat.transports.pubsub import ownership_labels


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Labels of a process on another host, where it has the same PID."""
    labels = ownership_labels.own_labels()
    monkeypatch.setattr(ownership_labels, "host", lambda: "another")
    return labels


def test_labels_are_legal() -> None:
    for key, value in ownership_labels.own_labels().items():
        for text in (key, value):
            assert len(text) <= 63
            assert text.replace("-", "").replace("_", "").isalnum()
            assert text == text.lower()


def test_this_process_lives_and_knows_its_own() -> None:
    labels = ownership_labels.own_labels()
    assert ownership_labels.is_own(labels)
    assert ownership_labels.is_mine(labels)
    assert not ownership_labels.why_dead(labels)


def test_a_process_that_ended_is_dead_also_before_its_parent_looked() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
        labels = ownership_labels.own_labels() | {ownership_labels.PROCESS: f"{child.pid}-1"}
        assert str(child.pid) in ownership_labels.why_dead(labels)
    assert str(child.pid) in ownership_labels.why_dead(labels)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process was started")
def test_another_process_under_the_same_pid_is_not_it() -> None:
    assert ownership_labels.why_dead(
        ownership_labels.own_labels() | {ownership_labels.PROCESS: f"{os.getpid()}-1"}
    )


def test_a_process_on_another_host_is_never_dead(elsewhere: dict[str, str]) -> None:
    assert not ownership_labels.is_mine(elsewhere)
    assert not ownership_labels.why_dead(elsewhere)


def test_a_lease_of_an_older_kchat_counts_for_nothing(elsewhere: dict[str, str]) -> None:
    assert not ownership_labels.why_dead({**elsewhere, "kchat-lease": "1"})
    assert not ownership_labels.why_dead({**ownership_labels.own_labels(), "kchat-lease": "1"})


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"app": "kchat"},
        {"app": "other", ownership_labels.PROCESS: "1-1"},
        {"app": "kchat", ownership_labels.PROCESS: "x-y"},
    ],
)
def test_labels_of_others_say_nothing(labels: dict[str, str]) -> None:
    assert not ownership_labels.why_dead(labels)


def test_a_durable_queue_has_no_owner() -> None:
    assert not ownership_labels.is_own(ownership_labels.APP)
