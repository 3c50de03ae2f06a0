"""Invitations: everything comes back, nothing is shown, and a mangled one is recognised."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from kchat.config.settings import Broker, Settings
from kchat.errors import SettingsError
from kchat.hosting import inviting
from kchat.hosting.invitation import LONGEST, Invitation
from kchat.message.times import moment
from tests.cases import check_each

SECRET = "s3cr3t-of-ada"
PIN = "sha256:" + "0123456789abcdef" * 4


def an_invitation(url: str = "amqp://ada@broker.example:5672/", **more: object) -> Invitation:
    return Invitation((Broker.parse(url),), **{"password": SECRET, **more})  # type: ignore[arg-type]  # by keyword


LINE = an_invitation(room="lunch", tls_pin=PIN, expires=1_900_000_000).encode()


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("amqp://ada@broker.example:5672/", {}),
        ("amqp://ada@[2001:db8::1]:5672/a%2Fb", {"room": "a room/with odd: ñame", "send_only": True}),
        ("amqps://ada%40home@10.0.0.1:5671/", {"tls_pin": PIN, "expires": 1_900_000_000}),
        ("local:///srv/kchat/room.db", {"password": None}),
        ("pubsub://example.com:my-project", {"password": None, "room": "lunch"}),
        ("redis://ada@h:6379/3", {"username": "Ada Lovelace"}),
    ],
)
def test_an_invitation_decodes_to_what_was_encoded(url: str, more: dict[str, object]) -> None:
    invitation = an_invitation(url, **more)
    again = Invitation.decode(invitation.encode())
    assert again == invitation
    assert again.password == invitation.password


def test_the_nodes_of_a_cluster_come_out_in_their_order() -> None:
    brokers = tuple(Broker.parse(f"amqp://ada@{host}:5672/") for host in ("b", "a", "c"))
    assert Invitation.decode(Invitation(brokers).encode()).brokers == brokers


def test_certificates_come_out_as_they_went_in() -> None:
    pem = b"".join(trustme.CA().cert_pem.bytes() for _ in range(2)).decode()
    again = Invitation.decode(an_invitation(tls_ca="some words before\n" + pem).encode())
    assert again.tls_ca is not None
    assert again.tls_ca.split() == pem.split()


def test_an_invitation_is_short_and_needs_no_quoting() -> None:
    assert re.fullmatch(r"kchat://1\.[A-Za-z0-9_-]+", LINE)
    assert len(LINE) < 200


def test_the_password_is_shown_nowhere() -> None:
    invitation = an_invitation("amqp://ada:s3cr3t-of-ada@h:1/")
    assert SECRET not in f"{invitation!r} {invitation} {invitation.brokers} {invitation.url}"
    assert str(invitation) == "chat at amqp://ada@h:1/"


@pytest.mark.parametrize(
    "pasted",
    [
        f"  {LINE}\n",
        f"<{LINE}>",
        f'"{LINE}"',
        f"'{LINE}'",
        f"{LINE[:60]}\r\n{LINE[60:]}",
        f"kchat join '{LINE}'",
        f"Hi Ada,\n\n  {LINE}\n\nsee you there",
        LINE.replace("kchat://", "KCHAT://"),
    ],
)
def test_an_invitation_survives_mail_and_chat(pasted: str) -> None:
    assert Invitation.decode(pasted).password == SECRET


def test_a_cut_invitation_is_recognised_wherever_it_was_cut() -> None:
    def is_recognised(cut: int) -> None:
        with pytest.raises(SettingsError, match="damaged"):
            Invitation.decode(LINE[:cut])

    check_each(range(len("kchat://1."), len(LINE)), is_recognised)


@given(st.integers(len("kchat://1."), len(LINE) - 1), st.sampled_from("AZaz09-_~é"))
def test_a_changed_character_is_recognised(place: int, character: str) -> None:
    changed = LINE[:place] + character + LINE[place + 1 :]
    try:
        again = Invitation.decode(changed)
    except SettingsError:
        return
    # In base64 the last character has bits to spare.
    assert again == Invitation.decode(LINE)
    assert changed == LINE or place == len(LINE) - 1


@given(st.text() | st.text(alphabet="kchat:/1.AQ_-").map(lambda text: "kchat://1." + text))
def test_no_text_makes_decoding_raise_anything_else(text: str) -> None:
    with pytest.raises(SettingsError):
        Invitation.decode(text)


@given(st.binary(max_size=200))
def test_no_row_with_a_right_checksum_makes_decoding_raise_anything_else(row: bytes) -> None:
    import base64
    import hashlib

    whole = row + hashlib.sha256(b"1" + row).digest()[:4]
    line = "kchat://1." + base64.urlsafe_b64encode(whole).rstrip(b"=").decode()
    try:
        Invitation.decode(line)
    except SettingsError:
        return


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not an invitation"),
        ("amqp://ada:s3cr3t-of-ada@h/", "not an invitation"),
        ("kchat://", "not an invitation"),
        ("kchat://x.abc", "not an invitation"),
        (LINE.replace("//1.", "//2."), "version 2"),
        ("kchat://1." + "A" * LONGEST, "damaged"),
    ],
)
def test_an_error_about_an_invalid_invitation_does_not_quote_it(text: str, word: str) -> None:
    with pytest.raises(SettingsError, match=word) as caught:
        Invitation.decode(text)
    assert SECRET not in str(caught.value) + caught.value.hint


def test_one_that_is_over_says_so() -> None:
    assert an_invitation(expires=1).expired
    assert not an_invitation(expires=4_000_000_000).expired
    assert not an_invitation().expired
    assert moment(0) == "1970-01-01 00:00 UTC"


@pytest.mark.parametrize("url", ["rediss://h/0?ssl_ca_certs={}", "amqps://h/?cacertfile={}"])
def test_an_invitation_carries_the_ca_that_the_hosts_url_names(url: str, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    settings = Settings.resolve(url=url.format(ca))
    made = inviting.invitation(settings, inviting.guest_brokers(settings, None, "ada"), SECRET)
    assert made.tls_ca == ca.read_text()
    assert made.brokers[0].options == {}
