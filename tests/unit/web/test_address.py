"""Where the server listens, and its names."""

from __future__ import annotations

from pathlib import Path

import pytest

from kchat.config.settings import Settings
from kchat.errors import SettingsError
from kchat.web.address import Authority, Names, PublicUrl, check_address, limited_address
from kchat.web.options import ServeOptions

CERT = Path("cert.pem")


def _options(**given: object) -> ServeOptions:
    if "tls_cert" in given:
        given["tls_key"] = CERT
    return ServeOptions([Settings.resolve(url="memory://", room="tea")], **given)  # type: ignore[arg-type]


def test_addresses_that_others_reach_need_tls_and_a_name() -> None:
    url = "https://chat.example.org"
    cases: list[tuple[dict[str, object], str]] = [
        ({}, ""),
        ({"host": "::1"}, ""),
        ({"host": "localhost"}, ""),
        ({"host": "127.0.0.2"}, ""),
        ({"host": "0.0.0.0"}, "no TLS"),
        ({"host": "::"}, "no TLS"),
        ({"host": "192.168.1.5"}, "no TLS"),
        ({"host": "chat.local"}, "no TLS"),
        ({"host": "localhost.evil.example"}, "no TLS"),
        ({"host": "0.0.0.0", "public_url": url}, "no TLS"),
        ({"host": "0.0.0.0", "tls_cert": CERT}, "name"),
        ({"host": "::", "tls_cert": CERT}, "name"),
        ({"host": "", "tls_cert": CERT}, "name"),
        ({"host": "192.168.1.5", "tls_cert": CERT}, ""),
        ({"host": "0.0.0.0", "tls_cert": CERT, "public_url": url}, ""),
        ({"behind_proxy": True}, "name"),
        ({"behind_proxy": True, "public_url": url}, ""),
        ({"host": "0.0.0.0", "behind_proxy": True, "public_url": url}, ""),
        ({"public_url": url}, "no TLS"),
        ({"tls_cert": CERT, "public_url": "http://localhost:8765"}, "has TLS"),
        ({"public_url": "http://localhost:8765"}, ""),
    ]
    wrong = []
    for given, why in cases:
        try:
            check_address(_options(**given))
        except SettingsError as error:
            if not why or why not in str(error):
                wrong.append((given, str(error)))
        else:
            if why:
                wrong.append((given, "accepted"))
    assert not wrong


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="belong together"):
        check_address(ServeOptions([], tls_cert=CERT))


def test_public_urls_are_a_scheme_a_host_and_maybe_a_port_and_a_path() -> None:
    assert PublicUrl.parse("https://Chat.Example.org.:443/").base == "https://chat.example.org"
    assert PublicUrl.parse("https://chat.example.org:8443/a/b/").base == "https://chat.example.org:8443/a/b"
    assert PublicUrl.parse("http://[0:0::1]:80").base == "http://[::1]"
    wrong = [
        *(
            "",
            "chat.example.org",
            "//chat.example.org",
            "ftp://chat.example.org",
            "https://",
            "https:///chat",
        ),
        *("https://chat.example.org?x=1", "https://chat.example.org#x", "https://chat.example.org?"),
        *("https://ada:secret@chat.example.org", "https://@chat.example.org", "https://chat.example.org:x"),
        *(
            "https://chat.example.org:99999",
            "https://[::1",
            "https://chat example.org",
            "https://chat.example.org/a b",
        ),
        *("https://chat.example.org/a;b", "https://chat.example.org/../a", "https://chat.example.org//a"),
        *(
            "https://chat.example.org/api",
            "http://chat.example.org",
            "http://192.168.1.5",
            "https://bücher.example",
        ),
        *("https://chat.example.org\n", "https://-.example", "https://chat.example.org/%2e%2e/"),
    ]
    taken = []
    for each in wrong:
        try:
            PublicUrl.parse(each)
        except SettingsError as error:
            if "secret" not in f"{error} {error.hint}":
                continue
        taken.append(each)
    assert not taken


def test_authorities_that_mean_the_same_are_equal() -> None:
    chat = Authority("chat.example.org", 443)
    assert Authority.parse("CHAT.example.org", "https") == chat
    assert Authority.parse("chat.example.org.", "https") == chat
    assert Authority.parse("chat.example.org.:443", "https") == chat
    assert Authority.parse("[0:0:0::1]:80", "http") == Authority("::1", 80)
    for text in (
        "",
        ":443",
        "a b",
        "[::1",
        "[x]",
        "[::1]x",
        "a:b",
        "a:-1",
        "a:٣",
        "a..b..:1:2",
        "a@b",
        "a/b",
    ):
        assert Authority.parse(text, "https") is None, text


def test_the_names_of_a_server_are_its_public_one_and_those_on_this_machine() -> None:
    names = Names.of(_options(public_url="https://chat.example.org/room", behind_proxy=True), 8765)
    assert names.origins >= {"https://chat.example.org", "http://127.0.0.1:8765", "http://[::1]:8765"}
    assert "http://chat.example.org" not in names.origins
    assert names.public.prefix == "/room"
    assert Names.of(_options(host="::1"), 8765).public.base == "http://[::1]:8765"
    assert Names.of(_options(host="127.0.0.2"), 8765).public.base == "http://127.0.0.2:8765"


def test_limits_count_an_ipv6_network_as_one_address() -> None:
    assert limited_address("2001:db8:1:2:3::4") == limited_address("2001:db8:1:2:ffff::1")
    assert limited_address("2001:db8:1:2::1") != limited_address("2001:db8:1:3::1")
    assert limited_address("::ffff:192.0.2.1") == limited_address("192.0.2.1") == "192.0.2.1"
    assert limited_address("<script>") == limited_address("") == "unknown"


def test_the_cookie_is_for_the_path_of_the_public_url() -> None:
    assert _options().cookie_path == "/"
    assert _options(public_url="https://chat.example.org/room").cookie_path == "/room/"
    assert _options(public_url="https://chat.example.org/").cookie_path == "/"
