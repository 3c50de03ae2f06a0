"""sqlite3 with nothing around it: a row and a commit for each line of standard input. Argument: file."""

import json
import sqlite3
import sys

database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode=WAL")
database.execute("PRAGMA synchronous=NORMAL")
database.execute("CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, body BLOB)")
for line in sys.stdin:
    body = json.dumps({"username": "ada", "message": line.rstrip("\n")}).encode()
    database.execute("INSERT INTO message (body) VALUES (?)", (body,))
database.close()
