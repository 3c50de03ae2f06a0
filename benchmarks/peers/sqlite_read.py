"""sqlite3 with nothing around it: the newest rows of kchat's own file, shown. Arguments: file, count."""

import json
import sqlite3
import sys

database = sqlite3.connect(sys.argv[1])
rows = database.execute(
    "SELECT body FROM message ORDER BY rowid DESC LIMIT ?", (int(sys.argv[2]),)
).fetchall()
for (body,) in reversed(rows):
    said = json.loads(body)
    print(f"{said['username']}: {said['message']}")
