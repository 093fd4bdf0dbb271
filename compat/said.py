"""What the programs print: a line of JSON for each thing they did."""

import json
import sys
import time


def say(case, **seen):
    """What was seen. `calls` (1 unless told) says how many calls that took, `books` what the books should know of them."""
    print(json.dumps({"case": case, **seen}, sort_keys=True), flush=True)


def refusals(refused):
    """With arguments (NAME URL KEY, repeated): what each refusal looks like, and nothing else."""
    told = sys.argv[1:]
    if not told:
        return
    for name, url, key in zip(told[::3], told[1::3], told[2::3]):
        since = time.monotonic()
        seen = refused(url, key) or {"error": None}
        say(name, seconds=round(time.monotonic() - since), **seen)
    sys.exit()
