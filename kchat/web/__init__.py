"""The room in a browser: a page, its server, and the same for programs (``kchat serve``).

A message's path: browser → ``api`` → ``lanes`` (a sender for each account) → broker → ``live_room`` (one subscriber for
each room) → ``stream`` (one for each open page) → browser. Who is asking is decided in ``access``, from what ``store`` has
of guests; what may ask at all in ``guard``.
"""
