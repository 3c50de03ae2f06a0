"""Sends each line of standard input when the one before is confirmed: ``send_each.py <url> <room>``.

``kchat send -`` does not wait for that, so in an embedded room lines that come in quick succession share a commit. By
``Sender.send`` each has its own.
"""

import sys

from kchat import Sender, Settings

with Sender(Settings.resolve(url=sys.argv[1], room=sys.argv[2]), "ada") as sender:
    for line in sys.stdin:
        sender.send(line.rstrip("\n"))
