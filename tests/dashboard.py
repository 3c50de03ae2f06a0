"""Looks at a room in RabbitMQ's dashboard, in a headless Chromium, and types a message into its form.

    python -m tests.dashboard FOLDER

writes screenshots into the folder, and ends with an error unless the connection's name, the subscriber's queue and the
room's exchange are recognisable and the message typed there appears in ``kchat subscribe``. It takes a Chromium (Debian's
package ``chromium``) and a RabbitMQ as the tests find one: see CONTRIBUTING.md. Not a part of the test suite, for the
size of Chromium.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from tests.brokers.chromium import Page, find_chromium
from tests.brokers.processes import Commands
from tests.brokers.rabbitmq import RabbitMQ, find_rabbitmq

TYPED = "hello from the dashboard"


def look(node: RabbitMQ, vhost: str, page: Page, commands: Commands, pictures: Path) -> None:
    """Goes through the dashboard's pages.

    Raises:
        AssertionError, TimeoutError: something is not there.
    """
    url = node.url_for(vhost)
    plain = commands.kchat("subscribe", "--url", url, "--username", "ada")
    as_json = commands.kchat("subscribe", "--url", url, "--username", "bob", "--mode", "json")
    for subscriber in (plain, as_json):
        subscriber.wait_for("listening")
    page.open(node.management_url)
    page.wait_for("document.querySelector('input[name=username]') !== null")
    page.run(
        f"document.querySelector('input[name=username]').value = {json.dumps(node.username)};"
        f"document.querySelector('input[name=password]').value = {json.dumps(node.password)};"
        "document.querySelector('input[type=submit]').click()"
    )
    page.wait_for("document.body.innerText.includes('Overview')")
    place = quote(vhost, safe="")
    for path, words in (
        ("connections", ["kchat subscribe chat", node.username]),
        ("queues", [f"kchat.chat.{node.username}.{each}." for each in ("ada", "bob")] + ["Excl"]),
        ("exchanges", ["chat", "fanout"]),
    ):
        page.run(f"location.hash = '#/{path}'")
        for word in words:
            page.wait_for(f"document.body.innerText.includes({json.dumps(word)})")
        page.picture(pictures / f"{path}.png")
        print(f"{path}: {', '.join(words)} are there")
    page.run(f"location.hash = '#/exchanges/{place}/chat'")
    page.wait_for("document.querySelector('form[action=\"#/exchanges/publish\"]') !== null")
    page.run(
        "const form = document.querySelector('form[action=\"#/exchanges/publish\"]');"
        "form.closest('.section, .section-hidden').querySelector('h2').click();"
        f"form.querySelector('textarea[name=payload]').value = {json.dumps(TYPED)};"
        "form.scrollIntoView();"
    )
    page.picture(pictures / "publish.png")
    page.run("form.querySelector('input[type=submit]').click()")
    line = plain.read_line()
    told = json.loads(as_json.read_line())
    assert line.endswith(f"?: {TYPED}"), line
    assert (told["username"], told["message"], told["verified"]) == (None, TYPED, False), told
    page.wait_for("document.body.innerText.includes('Message published')")
    page.picture(pictures / "published.png")
    print(f"typed there, shown by kchat subscribe: {line}")


def main() -> None:
    """Runs it, with the folder for the screenshots as the argument."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    program = find_chromium()
    if program is None:
        raise SystemExit("no Chromium is installed; on Debian: apt-get install chromium")
    pictures = Path(sys.argv[1])
    pictures.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("rabbitmq", "chromium", "home"):
            (folder / part).mkdir()
        commands = Commands(folder / "home")
        try:
            with (
                find_rabbitmq(folder / "rabbitmq") as node,
                node.new_vhost() as vhost,
                Page(program, folder / "chromium") as page,
            ):
                look(node, vhost, page, commands, pictures)
        finally:
            commands.end()


if __name__ == "__main__":
    main()
