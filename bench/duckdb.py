"""Asks DuckDB what the bench asks of the store.

usage: duckdb.py CALLS.csv DATABASE

Loads the file, then reads one query a line from standard input and answers each with one line:
milliseconds, number of groups, sum of their cost. Every query gives the last two in one row.
"""

import sys
import time
from pathlib import Path

# This file has the name of the package.
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

import duckdb  # noqa: E402

COLUMNS = {
    "id": "VARCHAR",
    "occurred_at": "TIMESTAMPTZ",
    "source": "VARCHAR",
    "provider": "VARCHAR",
    "model": "VARCHAR",
    "status": "VARCHAR",
    "evidence": "VARCHAR",
    "project": "VARCHAR",
    "customer": "VARCHAR",
    "user": "VARCHAR",
    "agent": "VARCHAR",
    "operation": "VARCHAR",
    "session": "VARCHAR",
    "key": "VARCHAR",
    "team": "VARCHAR",
    "feature": "VARCHAR",
    "input_tokens": "BIGINT",
    "output_tokens": "BIGINT",
    "cost": "BIGINT",
    "latency_ms": "BIGINT",
}


def main() -> None:
    calls, database = sys.argv[1:3]
    connection = duckdb.connect(database)
    connection.execute("SET threads = 2; SET TimeZone = 'UTC'")
    start = time.perf_counter()
    connection.execute(
        "CREATE TABLE calls AS SELECT * FROM read_csv(?, header = false, columns = ?, nullstr = '')",
        [calls, COLUMNS],
    )
    connection.execute("CHECKPOINT")
    rows = connection.execute("SELECT count(*) FROM calls").fetchone()[0]
    seconds = time.perf_counter() - start
    size = Path(database).stat().st_size
    print(f"ready {duckdb.__version__} {rows} {seconds:.1f} {size}", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        groups, cost = connection.execute(line).fetchone()
        took_ms = (time.perf_counter() - start) * 1000
        print(f"{took_ms:.3f} {groups} {'-' if cost is None else cost}", flush=True)


main()
