"""Passwords in what is shown: masked wherever a URL or an invitation stands, and nothing else is."""

from __future__ import annotations

from kchat.config.masking import holds_password, mask

PASSWORDS = [
    "s3cr3t",
    "s3/cr3t",
    "s3@cr3t",
    "s3 cr3t",
    "s3'cr3t\"",
    "s3%40cr3t",
    "s3#cr3t?",
    "1234",
    "5672/x",
    "s3:cr3t",
]
AROUND = [
    "{}",
    "no profile '{}' in /home/ada",
    "No such command {!r}.",
    "{}: refused; see {}",
    "a //comment and {}",
]


def test_a_password_is_masked_in_whatever_stands_around_its_url() -> None:
    failed = []
    for password in PASSWORDS:
        urls = [
            f"amqp://ada:{password}@h:5672/v",
            f"redis://:{password}@h/0",
            f"AMQPS://a%40b:{password}@[::1]/",
            f"amqp//ada:{password}@h",
            f"amqp:/ada:{password}@h",
            f"amqp%3A%2F%2Fada%3A{password}%40h%2F",
            f"amqp://a;amqp://ada:{password}@h/",
            f"amqp://ada:***@a/;amqp://ada:{password}@h/",
        ]
        failed += [
            (url, around)
            for url in urls
            for around in AROUND
            if password in mask(around.format(url, url)) or not holds_password(url)
        ]
    assert failed == []


def test_an_invitation_is_masked() -> None:
    assert mask("No such command 'kchat://1.AwEAAg-_x'.") == "No such command 'kchat://1.***'."
    wrapped = "kchat://1.AwEAAg-_x4\n  bXktc2VjcmV0LXBhc3N3b3Jk\n  aW4tdGhyZWUtbGluZXMtaGVyZQ"
    assert mask(f"{wrapped} is not one") == "kchat://1.*** is not one"


def test_text_without_a_password_stays_unchanged() -> None:
    for text in (
        "chat at amqp://rmq:***@localhost:5672/",
        "amqp://localhost:5672/: refused, ask ada@home",
        "rediss://h:6379/0: not authorised for 'ada@home'",
        "amqp://[::1]:5672/ for ada@home",
        "amqp://ada@h:5672/v: ask grace@home",
        "https://www.rabbitmq.com/docs/ttl#x and ada@home",
        "mail ada@home: hello",
        "// a: comment",
    ):
        assert mask(text) == text


def test_masked_text_stays_as_it_is() -> None:
    once = mask("no profile 'amqp://ada:s3cr3t@h/'")
    assert once == "no profile 'amqp://ada:***@h/'"
    assert mask(once) == once
