"""Who says when that they are here, and who is known to be: a crowd of announcers on a clock of its own."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable

import pytest

from kchat.client import crowd as crowds
from kchat.client.announcer import APART, MINUTE, MOST_IN_A_MINUTE, MOST_LATE, Announcer
from kchat.client.roster import Roster
from kchat.events import Person
from kchat.message.announcement import GONE, HERE, LIST, LONGEST, MOST_PEOPLE, Announcement, Other

PEOPLE = 120
"""Of a crowd."""

LINK = 0.005
"""Seconds from one to another."""


class Member:
    """One who is here, or a hidden one, without a connection and a thread."""

    def __init__(self, crowd: Crowd, username: str, *, asks: bool, hidden: bool) -> None:
        self.username = username
        self.session = f"s{next(crowd.numbers)}"
        self.roster = Roster(None if hidden else Person(username), self.session)
        self.announcer = Announcer(
            self.roster, self.session, "" if hidden else username, asks=asks, chance=crowd.random.random
        )
        self.crowd = crowds.Crowd(self.roster, self.announcer, keeps=not hidden, chance=crowd.random.random)
        if not crowd.members:  # alone
            self.announcer.told()
        self.sent: list[float] = []
        self.list_heard_after: float | None = None
        self.joined = crowd.now
        self.heard, self.considered, self.has_lists = 0, -1, crowd.has_lists
        self.roster.learn(crowd.now)

    def hear(self, said: Announcement, account: str, now: float) -> None:
        """As a presence does."""
        self.roster.hear(said, account, now)
        self.announcer.hear(said, now)
        self.crowd.hear(said, now)
        self.heard += 1
        if said.count >= 0 and said.session != self.session:
            self.announcer.told()
            if self.list_heard_after is None:
                self.list_heard_after = now - self.joined
        self.consider(now)

    def consider(self, now: float) -> None:
        """As a presence does on a broker that has lists."""
        if self.has_lists and (self.roster.version != self.considered or now >= self.crowd.due):
            self.considered = self.roster.version
            self.crowd.consider(now, self.roster.people(now).count)

    def count(self, now: float) -> int:
        """How many it takes to be here."""
        self.roster.expire(now)
        return self.roster.people(now).count

    def names(self, now: float) -> list[str]:
        """Whom it takes to be here."""
        self.roster.expire(now)
        return self.roster.people(now).names


class Crowd:
    """A room in which time passes when it is told to. What one says, all hear, itself included.

    Of those who hear lists alone, it is lists.

    Arguments:
        seed: of what is drawn.
        latest: seconds that an announcement is on its way at the most. Default: 5 ms, each of them.
        has_lists: as of a presence's policy.
    """

    def __init__(self, seed: int = 1, latest: float = LINK, *, has_lists: bool = False) -> None:
        self.now = 1000.0
        self.random = random.Random(seed)
        self.numbers = itertools.count()
        self.latest = latest
        self.has_lists = has_lists
        self.members: list[Member] = []
        self.said: list[Announcement] = []
        self._arriving: list[tuple[float, int, Announcement, str]] = []

    def join(self, username: str, *, asks: bool = True, hidden: bool = False) -> Member:
        """Somebody comes."""
        member = Member(self, username, asks=asks, hidden=hidden)
        self.members.append(member)
        hello = member.announcer.hello(self.now)
        assert hello is not None
        self._publish(member, hello)
        return member

    def rejoin(self, member: Member) -> None:
        """Somebody's connection is lost and made again."""
        member.announcer.pause()
        hello = member.announcer.hello(self.now)
        member.roster.learn(self.now)
        if hello is not None:
            self._publish(member, hello)

    def kill(self, member: Member) -> None:
        """Somebody vanishes."""
        self.members.remove(member)

    def leave(self, member: Member) -> None:
        """Somebody goes, and says so."""
        self.members.remove(member)
        goodbye = member.announcer.goodbye()
        if goodbye is not None:
            self._publish(member, goodbye)

    def _publish(self, member: Member, said: Announcement) -> None:
        if said.presence != GONE:
            member.sent.append(self.now)
        self.said.append(said)
        again = Announcement.decode(said.encode())
        assert again is not None
        way = LINK if self.latest == LINK else self.random.uniform(0.0, self.latest)
        heapq.heappush(self._arriving, (self.now + way, next(self.numbers), again, member.username))

    def pass_time(self, seconds: float, look: Callable[[], None] = lambda: None) -> None:
        """Let all that is due in that time happen, in its order; ``look`` after each."""
        ends = self.now + seconds
        while True:
            speaker = min(self.members, key=lambda each: each.announcer.due, default=None)
            speaks = ends + 1 if speaker is None else speaker.announcer.due
            arrives = self._arriving[0][0] if self._arriving else ends + 1
            considers = min((each.crowd.due for each in self.members), default=math.inf)
            if min(speaks, arrives, considers) > ends:
                break
            self.now = max(self.now, min(speaks, arrives, considers))
            if considers <= min(speaks, arrives):
                for member in self.members:
                    member.roster.expire(self.now)
                    member.consider(self.now)
            elif arrives <= speaks:
                _, _, said, account = heapq.heappop(self._arriving)
                for member in (each for each in self.members if each.crowd.hears or said.count >= 0):
                    member.hear(said, account, self.now)
            else:
                assert speaker is not None
                self._publish(speaker, speaker.announcer.announcement(self.now))
            look()
        self.now = ends


def most_in_a_minute(sent: list[float]) -> int:
    """The most announcements in any minute."""
    return max((sum(start <= at < start + MINUTE for at in sent) for start in sent), default=0)


@pytest.mark.parametrize("seed", range(20))
def test_nobody_speaks_more_than_twice_in_any_minute_whatever_is_asked(seed: int) -> None:
    crowd = Crowd(seed)
    everybody: list[Member] = []
    for number in range(30):
        everybody.append(crowd.join(f"member {number}", asks=crowd.random.random() < 0.5))
        crowd.pass_time(crowd.random.uniform(0, 20))
        for _ in range(crowd.random.randrange(4)):
            curious = crowd.join("curious", hidden=True)
            crowd.pass_time(crowd.random.uniform(0, 3))
            crowd.leave(curious)
            everybody.append(curious)
        if crowd.random.random() < 0.3:
            crowd.kill(crowd.random.choice(crowd.members))
        if crowd.members and crowd.random.random() < 0.3:
            crowd.rejoin(crowd.random.choice(crowd.members))
    crowd.pass_time(300)
    assert max(most_in_a_minute(each.sent) for each in everybody) <= MOST_IN_A_MINUTE
    # And as rarely as that: 300 s of quiet.
    quiet = [sum(at > crowd.now - 250 for at in each.sent) for each in crowd.members]
    assert max(quiet) <= 6


def history(crowd: Crowd, look: Callable[[dict[Member, float], dict[Member, float]], None]) -> None:
    """People come, lose their connections and are killed for ten minutes; ``look`` gets when each came and was killed."""
    draw, came, killed = crowd.random, {}, {}
    for number in range(60):
        if len(crowd.members) < 25:
            came[crowd.join(f"member {number}", asks=draw.random() < 0.5)] = crowd.now
        for member in draw.sample(crowd.members, min(2, len(crowd.members))):
            if draw.random() < 0.3:
                crowd.rejoin(member)
            elif draw.random() < 0.3 and len(crowd.members) > 1:
                crowd.kill(member)
                killed[member] = crowd.now
                del came[member]
        for _ in range(10):
            crowd.pass_time(draw.uniform(0.0, 2.0))
            look(came, killed)


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_taken_to_be_gone_whose_announcements_are_up_to_5_seconds_late(seed: int) -> None:
    crowd, compared = Crowd(seed, latest=MOST_LATE), 0
    missed: list[str] = []

    def look(came: dict[Member, float], _: dict[Member, float]) -> None:
        nonlocal compared
        # Of each other, two know after a minute, or sooner.
        known = {each for each, at in came.items() if crowd.now - at > MINUTE + MOST_LATE}
        names = {each.username for each in known}
        for member in known:
            missed.extend(names - set(member.names(crowd.now)))
            compared += 1

    history(crowd, look)
    assert compared > 100
    assert missed == []


@pytest.mark.parametrize("seed", range(20))
def test_who_was_killed_is_gone_within_a_minute_for_everybody(seed: int) -> None:
    crowd, compared = Crowd(seed, latest=1.0), 0
    left: list[str] = []

    def look(came: dict[Member, float], killed: dict[Member, float]) -> None:
        nonlocal compared
        gone = {each.username for each, at in killed.items() if crowd.now - at >= MINUTE}
        for member in came:
            left.extend(gone & set(member.names(crowd.now)))
            compared += bool(gone)

    history(crowd, look)
    assert compared > 100
    assert left == []


def test_in_a_crowd_some_hear_everybody_and_the_others_hear_from_them_how_many_are_here() -> None:
    crowd = Crowd(has_lists=True)
    for number in range(PEOPLE):
        crowd.join(f"member {number:03}", asks=number % 3 == 0)
        crowd.pass_time(0.1)
    crowd.pass_time(120)

    def keepers() -> list[Member]:
        return [each for each in crowd.members if each.crowd.hears]

    def counts() -> set[int]:
        return {each.count(crowd.now) for each in crowd.members}

    assert crowds.FEW // 2 <= len(keepers()) <= crowds.MANY * 1.5
    assert counts() == {PEOPLE}
    before = sum(each.heard for each in crowd.members)
    crowd.pass_time(100)
    # All of them hearing all of them is that many times 100 / 45.
    assert sum(each.heard for each in crowd.members) - before < PEOPLE * PEOPLE * 100 / 45 / 2
    curious = crowd.join("curious", hidden=True)
    crowd.pass_time(1)
    assert curious.count(crowd.now) == PEOPLE
    crowd.members.remove(curious)
    # All but two of those who give lists vanish, and some others.
    for member in keepers()[2:] + [each for each in crowd.members if not each.crowd.hears][:30]:
        crowd.kill(member)
    left = len(crowd.members)
    crowd.pass_time(2 * MINUTE)
    assert crowds.FEW // 2 <= len(keepers()) <= crowds.MANY * 1.5
    assert counts() == {left}
    # It becomes a small room again, where everybody knows everybody.
    for member in crowd.members[20:]:
        crowd.leave(member)
    crowd.pass_time(2 * MINUTE)
    assert len(keepers()) == 20
    assert {tuple(each.names(crowd.now)) for each in crowd.members} == {
        tuple(sorted(each.username for each in crowd.members))
    }
    assert max(most_in_a_minute(each.sent) for each in crowd.members) <= MOST_IN_A_MINUTE


def test_all_who_hear_everybody_vanish_and_others_take_their_place() -> None:
    crowd = Crowd(has_lists=True)
    for number in range(PEOPLE):
        crowd.join(f"member {number:03}", asks=False)
        crowd.pass_time(0.1)
    crowd.pass_time(120)
    for member in [each for each in crowd.members if each.crowd.hears]:
        crowd.kill(member)
    left = len(crowd.members)
    crowd.pass_time(2 * MINUTE)
    assert {each.count(crowd.now) for each in crowd.members} == {left}
    curious = crowd.join("curious", hidden=True)
    crowd.pass_time(1)
    assert curious.count(crowd.now) == left


@pytest.mark.parametrize("people", [1, 2, 5, 20, 100, 500])
def test_a_newcomer_is_told_who_is_here_within_a_second_and_by_few(people: int) -> None:
    crowd = Crowd(people)
    for number in range(people):
        crowd.join(f"member {number:03}", asks=False)
        crowd.pass_time(0.2)
    crowd.pass_time(100)
    # Somebody may speak again: in a small room that need not be so.
    crowd.pass_time(max(0.0, min(each.sent[-2] for each in crowd.members) + MINUTE - crowd.now))
    before = len(crowd.said)
    newcomer = crowd.join("newcomer")
    crowd.pass_time(1.0)
    lists = [each for each in crowd.said[before:] if each.count >= 0]
    assert 1 <= len(lists) <= 5
    told = newcomer.roster.people(crowd.now)
    assert told.count == people + 1
    assert len(told.here) >= min(people, 20) + 1
    assert newcomer.list_heard_after is not None
    assert newcomer.list_heard_after < 1.0
    crowd.pass_time(60)
    assert newcomer.names(crowd.now) == sorted([*(f"member {each:03}" for each in range(people)), "newcomer"])


def test_questions_one_after_the_other_are_each_answered_by_another_one() -> None:
    crowd = Crowd()
    for name in ("ada", "bob", "cy"):
        crowd.join(name, asks=False)
        crowd.pass_time(1)
    crowd.pass_time(APART)
    for _ in range(3):
        curious = crowd.join("curious", hidden=True)
        crowd.pass_time(1)
        assert curious.names(crowd.now) == ["ada", "bob", "cy"]
        crowd.leave(curious)


def test_a_list_is_only_given_by_somebody_who_knows_everybody() -> None:
    crowd = Crowd()
    ada = crowd.join("ada", asks=False)
    crowd.pass_time(APART)
    curious = crowd.join("curious", hidden=True)  # now ada has spoken twice
    crowd.pass_time(1)
    crowd.leave(curious)
    for name in ("bob", "cy"):  # who have not heard her
        crowd.join(name, asks=False)
        crowd.pass_time(APART)
    curious = crowd.join("curious", hidden=True)
    crowd.pass_time(1)
    assert set(curious.names(crowd.now)) <= {"bob", "cy"}  # who say so themselves
    assert curious.names(crowd.now) != []
    # What the first question was answered with.
    assert [each.count for each in crowd.said if each.count >= 0] == [1]
    crowd.pass_time(ada.sent[0] + MINUTE + 1 - crowd.now)
    assert [each.count for each in crowd.said if each.count >= 0] == [1, 3]
    assert curious.names(crowd.now) == ["ada", "bob", "cy"]


def test_who_could_not_answer_adds_the_list_to_what_is_said_next() -> None:
    crowd = Crowd()
    ada = crowd.join("ada")
    crowd.join("curious", hidden=True)
    crowd.pass_time(1)
    crowd.members = [ada]
    curious = crowd.join("curious", hidden=True)
    crowd.pass_time(1)
    assert curious.list_heard_after is None
    crowd.pass_time(60)
    assert curious.names(crowd.now) == ["ada"]
    assert most_in_a_minute(ada.sent) <= MOST_IN_A_MINUTE


def test_nobody_who_is_here_is_ever_missed_and_who_vanished_is_gone_after_a_minute() -> None:
    crowd = Crowd()
    members = [crowd.join(f"member {number}") for number in range(8)]
    watcher = members[0]
    crowd.pass_time(2)
    killed = members[-1]
    here = sorted(each.username for each in members)
    missed: list[list[str]] = []

    def look() -> None:
        if crowd.random.random() < 0.05 and len(crowd.members) < 20:
            crowd.join("curious", hidden=True)
        names = watcher.names(crowd.now)
        missed.extend([names] if names != here else [])

    crowd.pass_time(600, look)
    assert missed == []
    spoke = killed.sent[-1]
    crowd.kill(killed)
    crowd.pass_time(spoke + LONGEST + LINK - crowd.now)
    assert watcher.names(crowd.now) == here[:-1]


def test_who_leaves_is_gone_at_once_and_two_windows_are_one_person() -> None:
    crowd = Crowd()
    watcher = crowd.join("watcher")
    first, second = crowd.join("ada"), crowd.join("ada")
    crowd.pass_time(1)
    assert watcher.names(crowd.now) == ["ada", "watcher"]
    assert watcher.roster.people(crowd.now).count == 2
    crowd.leave(first)
    crowd.pass_time(0.1)
    assert watcher.names(crowd.now) == ["ada", "watcher"]
    crowd.leave(second)
    crowd.pass_time(0.1)
    assert watcher.names(crowd.now) == ["watcher"]


def test_what_nobody_was_there_to_hear_does_not_delay_the_answer_to_the_first_who_comes() -> None:
    for returned in (True, False):
        announcer = Announcer(Roster(Person("ada"), "s1"), "s1", "ada", chance=lambda: 0.0)
        assert announcer.hello(0.0) is not None
        announcer.told()
        if returned:
            announcer.unheard()
        announcer.hear(Announcement("ask", "s2", asks=True), 1.0)
        assert (announcer.due < 2.0) is returned
        assert announcer.due <= APART + 1.0


def test_somebody_hidden_answers_where_nobody_else_is() -> None:
    crowd = Crowd()
    hidden = crowd.join("hidden", hidden=True)
    hidden.announcer.told()
    curious = crowd.join("curious", hidden=True)
    crowd.pass_time(2)
    assert curious.list_heard_after is not None
    assert curious.roster.people(crowd.now).count == 0
    assert most_in_a_minute(hidden.sent) <= MOST_IN_A_MINUTE


def test_many_who_are_hidden_do_not_all_answer() -> None:
    crowd = Crowd()
    for _ in range(200):
        crowd.join("hidden", hidden=True)
        crowd.pass_time(2)
    lists = [each for each in crowd.said if each.presence == LIST]
    assert 200 <= len(lists) <= 600
    assert len({each.session for each in lists}) >= 100


# ---- whom it takes to be here


def here(session: str, username: str = "ada", lasts: float = 55.0) -> Announcement:
    """An announcement."""
    return Announcement(HERE, session, username, lasts)


def test_a_flood_of_people_is_bounded_and_the_count_says_so() -> None:
    roster = Roster(Person("own"), "own")
    roster.learn(0.0)
    for number in range(20_000):
        roster.hear(here(f"s{number}", f"fake {number}"), "mallory", 1.0)
    people = roster.people(1.0)
    assert (people.count, people.more) == (MOST_PEOPLE, True)
    assert str(people) == "more than 1,000 here"
    assert len(people.here) <= MOST_PEOPLE + 1
    roster.expire(100.0)
    assert roster.people(100.0).count == 1
    assert not roster.people(100.0).more


def test_one_who_lies_about_the_number_is_believed_for_a_minute_at_most_and_not_against_others() -> None:
    roster = Roster(None, "own")
    roster.learn(0.0)
    roster.hear(here("s1")._replace(count=10**6), None, 1.0)
    assert roster.people(1.0) == ((Person("ada"),), MOST_PEOPLE, True)
    roster.hear(here("s2", "bob")._replace(count=2), None, 2.0)
    assert roster.people(2.0).count == 2
    assert roster.expire(2.0) < LONGEST
    roster.hear(here("s1")._replace(count=10**6), None, 70.0)
    roster.expire(70.0)
    assert roster.people(70.0).count == 1


def test_hearsay_has_no_account_gives_way_to_what_is_heard_and_keeps_nobody_alive() -> None:
    roster = Roster(None, "own")
    roster.learn(0.0)
    roster.hear(here("s1")._replace(count=2, others=(Other("root", "s2", 40.0),)), "ada", 1.0)
    assert roster.people(1.0).here == (Person("ada", "ada"), Person("root", None))
    roster.hear(here("s2", "root"), "root", 2.0)
    assert roster.people(2.0).here == (Person("ada", "ada"), Person("root", "root"))
    roster.hear(here("s1")._replace(count=2, others=(Other("ghost", "s3", 62.0),)), "ada", 65.0)
    roster.expire(65.0)
    assert roster.people(65.0).names == ["ada"]


@pytest.mark.parametrize("leaves", [False, True])
def test_who_has_vanished_or_left_does_not_come_back_by_the_word_of_others(leaves: bool) -> None:
    roster = Roster(Person("ada"), "own")
    roster.learn(10.0)  # it is learning until 68
    roster.hear(here("s2", "cy"), None, 11.0)  # until 66
    if leaves:
        roster.hear(Announcement(GONE, "s2"), None, 60.0)
    roster.expire(66.5)
    # Somebody has heard cy's last announcement a second later.
    roster.hear(here("s3", "bob")._replace(count=3, others=(Other("cy", "s2", 0.5),)), None, 66.5)
    assert roster.people(66.5) == ((Person("ada"), Person("bob")), 2, False)
    roster.hear(here("s2", "cy"), None, 67.0)
    assert roster.people(67.0).names == ["ada", "bob", "cy"]


def test_who_ran_out_while_one_was_away_comes_back_by_the_word_of_those_who_heard_more() -> None:
    roster = Roster(Person("ada"), "own")
    roster.learn(0.0)
    roster.hear(here("s2", "cy"), None, 1.0)  # until 56
    roster.learn(60.0)
    roster.expire(60.0)
    roster.hear(here("s3", "bob")._replace(count=3, others=(Other("cy", "s2", 0.5),)), None, 60.1)
    assert roster.people(60.1).names == ["ada", "bob"]
    roster.hear(here("s3", "bob")._replace(count=3, others=(Other("cy", "s2", 30.0),)), None, 60.2)
    assert roster.people(60.2).names == ["ada", "bob", "cy"]


def test_what_ran_out_by_hearsay_does_not_come_back_by_the_hearsay_of_the_same_announcement() -> None:
    roster = Roster(Person("ada"), "own")
    roster.learn(0.0)
    roster.hear(here("s3", "bob")._replace(count=3, others=(Other("cy", "s2", 1.0),)), None, 1.0)
    assert roster.people(1.0).count == 3
    roster.expire(2.0)
    roster.hear(here("s4", "dot")._replace(count=4, others=(Other("cy", "s2", 2.0),)), None, 2.1)
    assert roster.people(2.1).names == ["ada", "bob", "dot"]
    roster.hear(here("s2", "cy"), None, 2.2)
    assert roster.people(2.2).names == ["ada", "bob", "cy", "dot"]


def test_the_number_never_counts_one_who_is_known_to_have_vanished() -> None:
    """Also in the first minute, when what others have counted is believed."""
    roster = Roster(Person("ada"), "own")
    roster.learn(0.0)
    roster.hear(here("s2", "cy", 50.0), None, 2.0)
    roster.hear(here("s3", "bob")._replace(count=3), None, 3.0)
    assert roster.people(3.0).count == 3
    roster.expire(52.0)  # it is learning until 58
    assert roster.people(52.0) == ((Person("ada"), Person("bob")), 2, False)


def test_a_second_window_that_closes_is_nobody_less() -> None:
    roster = Roster(Person("ada"), "own")
    roster.learn(0.0)
    for session, name in (("s2", "cy"), ("s3", "cy"), ("s4", "ada")):
        roster.hear(here(session, name), None, 1.0)
    roster.hear(here("s2", "cy")._replace(count=30), None, 2.0)
    roster.hear(Announcement(GONE, "s3"), None, 3.0)
    roster.hear(Announcement(GONE, "s4"), None, 3.0)
    assert roster.people(3.0).count == 30
    roster.hear(Announcement(GONE, "s2"), None, 3.0)
    assert roster.people(3.0).count == 29


def _person_is_back(seed: int, latest: float) -> list[str]:
    """Those who were gone for somebody, and are back without having said anything."""
    crowd = Crowd(seed, latest=latest)
    back: list[str] = []
    killed_at: dict[str, float] = {}
    seen: dict[Member, set[str]] = {}
    missed: dict[Member, set[str]] = {}

    def look(came: dict[Member, float], killed: dict[Member, float]) -> None:
        for member, at in killed.items():
            killed_at.setdefault(member.username, at)
        for member in came:
            here = set(member.names(crowd.now))
            known, gone = seen.setdefault(member, set()), missed.setdefault(member, set())
            known |= here
            back.extend(gone & here)
            gone |= {
                name for name, at in killed_at.items() if crowd.now - at > latest and name in known - here
            }

    history(crowd, look)
    assert len(killed_at) > 10
    return back


@pytest.mark.parametrize("seed", range(10))
def test_nobody_who_was_gone_is_back_without_a_word(seed: int) -> None:
    assert _person_is_back(seed, 2.0) == []


def test_hearsay_is_believed_of_the_own_account_of_the_one_who_says_so_alone() -> None:
    teller, roster = Roster(Person("ada", "shared"), "s1"), Roster(None, "own")
    teller.hear(here("s2", "bob"), "shared", 0.0)
    teller.hear(here("s3", "cy"), "cy", 0.0)
    roster.learn(0.0)
    said = here("s1")._replace(count=3, others=teller.others(1.0))
    roster.hear(said, "shared", 1.0)
    assert roster.people(1.0).here == (Person("ada", "shared"), Person("bob", "shared"), Person("cy", None))


def test_nobody_can_see_another_off_where_the_broker_checks_accounts() -> None:
    roster = Roster(None, "own")
    roster.hear(here("s1"), "ada", 0.0)
    roster.hear(Announcement(GONE, "s1"), "mallory", 1.0)
    assert roster.people(1.0).names == ["ada"]
    roster.hear(Announcement(GONE, "s1"), "ada", 2.0)
    assert roster.people(2.0).names == []


def test_a_name_that_two_accounts_claim_is_two_people() -> None:
    roster = Roster(Person("ada", "ada"), "own")
    roster.hear(here("s1"), "mallory", 0.0)
    people = roster.people(0.0)
    assert people.here == (Person("ada", "ada"), Person("ada", "mallory"))
    assert (people.names, people.count) == (["ada"], 2)
