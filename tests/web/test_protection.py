"""What other sites, other names of this machine and injected markup can do in a real browser: nothing."""

from __future__ import annotations

import json

from tests.brokers.wait import wait_until
from tests.web.elsewhere import Elsewhere
from tests.web.guests import Guests, Served


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(
    local_served: Served, guests: Guests
) -> None:
    visit = guests.visit(local_served.link(local_served.invite("ada")))
    (cookie,) = visit.tab.cookies
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    assert cookie["domain"] == "127.0.0.1"  # of this host alone: with a dot it were of those below it, too
    assert cookie["expires"] > 0
    assert visit.tab.run("document.cookie") == ""


def test_a_page_of_another_port_posts_with_the_cookie_and_is_refused(
    local_served: Served, guests: Guests, elsewhere: Elsewhere
) -> None:
    """Ports are one site to cookies, SameSite or not: only Origin tells them apart."""
    browser = guests.browser()
    visit = guests.visit(local_served.link(local_served.invite("victim")), browser)
    target = f"{local_served.base}/api/rooms/chat/messages"
    elsewhere.pages["/attack"] = "<title>attack</title><p>attack"
    attack = browser.tab(f"http://127.0.0.1:{elsewhere.port}/attack")
    attack.wait_for_text("attack")
    for kind in ("application/json", "text/plain"):
        script = f"""
        fetch({json.dumps(target)}, {{method: "POST", mode: {json.dumps("cors" if "json" in kind else "no-cors")},
          credentials: "include", headers: {{"content-type": {json.dumps(kind)}}}, body: '{{"text": "forged"}}'}})
        .then((answer) => answer.type, (error) => "refused")
        """
        assert attack.run(script) in ("refused", "opaque")
    read = (
        f"fetch({json.dumps(target)}, {{credentials: 'include'}}).then((a) => a.text(), () => 'unreadable')"
    )
    assert attack.run(read) == "unreadable"
    attack.run(
        f"(() => {{ const form = document.createElement('form'); form.method = 'POST'; form.action = {json.dumps(target)};"
        "document.body.append(form); form.submit(); })()"
    )
    attack.wait_for_text("another site")
    visit.write("genuine")
    visit.wait_for_texts("genuine")
    assert "forged" not in visit.texts


def test_a_name_that_is_made_to_lead_here_opens_nothing(local_served: Served, guests: Guests) -> None:
    tab = guests.browser().tab(f"http://rebound.test:{local_served.server.port}/")
    tab.wait_for_text("another name")
    assert tab.run("fetch('/api/session').then((answer) => answer.status)") == 421


def test_no_other_page_can_frame_the_room(local_served: Served, guests: Guests, elsewhere: Elsewhere) -> None:
    elsewhere.pages["/frame"] = f"<title>frame</title><iframe src='{local_served.base}/'></iframe>"
    tab = guests.browser().tab(f"http://framer.example:{elsewhere.port}/frame")
    wait_until(
        lambda: any("frame-ancestors" in each or "Framing" in each for each in tab.console),
        15,
        lambda: f"a word of the refused frame in {tab.console}",
    )


def test_nothing_that_is_injected_runs_or_loads(
    local_served: Served, guests: Guests, elsewhere: Elsewhere
) -> None:
    """Even a hole in the page would let nothing out."""
    visit = guests.visit(local_served.link(local_served.invite("injected")))
    before = len(elsewhere.asked)
    broken = visit.tab.run(
        """
        new Promise((resolve) => {
          const found = new Set();
          document.addEventListener("securitypolicyviolation", (event) => {
            found.add(event.effectiveDirective);
            if (found.size === 5) resolve([...found].sort());
          });
          setTimeout(() => resolve([...found].sort()), 8000);
          const script = document.createElement("script");
          script.textContent = "window.owned = 1";
          document.body.append(script);
          const host = document.createElement("div");
          host.innerHTML = `<img src="http://evil.example/pixel" onerror="window.owned = 2">
            <style>body { display: none }</style><iframe src="http://evil.example/frame"></iframe>`;
          document.body.append(host);
          fetch("http://evil.example/fetched").catch(() => {});
        })
        """
    )
    assert {"img-src", "style-src-elem", "connect-src", "script-src-elem"} <= set(broken), broken
    assert visit.tab.run("window.owned") is None
    assert elsewhere.asked[before:] == []
