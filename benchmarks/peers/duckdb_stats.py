"""The figures of ``kchat stats`` by DuckDB from a Parquet file, as JSON. Arguments: file, and ``words`` to count those."""

import json
import sys

import duckdb

path, *also = sys.argv[1:]
db = duckdb.connect()
db.execute(f"CREATE VIEW message AS SELECT * FROM read_parquet('{path}')")


def rows(sql):
    return db.execute(sql).fetchall()


found = {}
if "words" in also:
    found["words"] = rows(
        "SELECT word, count(*) AS many FROM (SELECT unnest(regexp_extract_all(lower(text), '[a-z]{3,40}')) AS word"
        " FROM message) GROUP BY word ORDER BY many DESC, word LIMIT 10"
    )
else:
    found["all"] = rows(
        "SELECT count(*), count(DISTINCT username), min(moment), max(moment), count_if(verified),"
        " count_if(client = 'kchat') FROM message"
    )
    found["top"] = rows(
        "SELECT username, count(*) AS many, sum(length), count_if(verified) FROM message"
        " GROUP BY username ORDER BY many DESC, username LIMIT 10"
    )
    # Who wrote on which day, once for what is asked of days, weeks, and who is new.
    db.execute(
        "CREATE TEMP TABLE day AS SELECT moment::DATE AS day, username, count(*) AS many FROM message GROUP BY ALL"
    )
    db.execute("CREATE TEMP TABLE begun AS SELECT username, min(day) AS first FROM day GROUP BY username")
    for name, unit in (("per_date", "day"), ("per_week", "week")):
        found[name] = rows(
            f"SELECT date_trunc('{unit}', day) AS d, sum(many), count(DISTINCT username),"
            f" count(DISTINCT username) FILTER (WHERE date_trunc('{unit}', first) = date_trunc('{unit}', day))"
            " FROM day JOIN begun USING (username) GROUP BY d ORDER BY d"
        )
    found["heat"] = rows(
        "SELECT isodow(moment) AS d, hour(moment) AS h, count(*) FROM message GROUP BY d, h ORDER BY d, h"
    )
    found["busiest"] = rows(
        "SELECT date_trunc('minute', moment) AS m, count(*) AS many FROM message GROUP BY m ORDER BY many DESC, m LIMIT 1"
    )
    db.execute(
        "CREATE TEMP TABLE gap AS SELECT username, moment, lag(username) OVER w AS before,"
        " epoch_ms(moment) - epoch_ms(lag(moment) OVER w) AS gap"
        " FROM message WINDOW w AS (PARTITION BY room ORDER BY moment, id)"
    )
    spread = "count(gap), avg(gap), approx_quantile(gap, 0.5), approx_quantile(gap, 0.95), max(gap), arg_max(moment, gap)"
    found["gaps"] = rows(f"SELECT {spread} FROM gap")
    found["replies"] = rows(
        f"SELECT {spread} FROM gap WHERE gap < 1800000 AND before IS DISTINCT FROM username"
    )
    found["starters"] = rows(
        "SELECT username, count(*) AS many FROM gap WHERE gap IS NULL OR gap >= 1800000"
        " GROUP BY username ORDER BY many DESC, username LIMIT 10"
    )
    found["mentions"] = rows(
        "SELECT username, name, count(*) AS many FROM (SELECT username, unnest(mentions) AS name FROM message)"
        " WHERE name IN (SELECT username FROM begun) AND name <> username"
        " GROUP BY username, name ORDER BY many DESC, username, name LIMIT 10"
    )
print(json.dumps(found, default=str))
