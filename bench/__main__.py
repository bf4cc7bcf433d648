"""`make bench`: measures both, prints the table. It fails when something broke, such as an answer but 200; never by time."""

import argparse
import os
import platform
import sqlite3
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from bench.contenders import CORES, Workshop
from bench.load import Broken, NotHere
from bench.outcome import Effort, Line, Outcome, Row
from bench.table import ROWS, WIDTH, show
from tests.services import Missing, new_folder

_progress = Console(stderr=True, highlight=False)


def main() -> int:
    told = _arguments()
    rows = [row for row in ROWS if not told.only or any(word in row.name for word in told.only)]
    effort = Effort(rounds=told.rounds, seconds=told.seconds, contacts=told.contacts)
    machine = _machine()
    shop = Workshop()
    lines = [_measured(row, shop, effort) for row in rows]
    show(lines, Console(width=WIDTH))
    print("; ".join(f"{name}: {value}" for name, value in machine.items()))
    if told.json:
        facts = {"machine": machine, "effort": effort, "rows": [_facts(line) for line in lines]}
        told.json.write_bytes(msgspec.json.format(msgspec.json.encode(facts)) + b"\n")
    return 1 if any(line.is_broken for line in lines) else 0


def _arguments() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="make bench", description=__doc__, epilog=f"Rows: {', '.join(_names())}.")
    words.add_argument("--only", action="append", metavar="WORD", help="rows with WORD in their name; may be repeated")
    words.add_argument("--rounds", type=int, default=3, help="how often both are measured in turn; medians count (3)")
    words.add_argument("--seconds", type=float, default=2.0, help="how long the load lasts each time (2)")
    words.add_argument("--contacts", type=int, default=1_000_000, help="people to find a caller among (1000000)")
    words.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE, too")
    told = words.parse_args()
    for word in told.only or ():
        if not any(word in name for name in _names()):
            words.error(f"no row has {word!r} in its name; there are {', '.join(_names())}")
    return told


def _names() -> list[str]:
    return [row.name for row in ROWS]


def _measured(row: Row, shop: Workshop, effort: Effort) -> Line:
    begun = time.monotonic()
    _progress.print(f"{row.name} ...", end=" ")
    outcome: Outcome | None = None
    said, is_broken = "", False
    try:
        outcome = row.measure(shop, effort)
        said = outcome.verdict
    except (NotHere, Missing) as missing:
        said = f"not measured here: {missing}"
    except Broken as broken:
        said, is_broken = f"broken: {broken}", True
    _progress.print(f"{said} ({time.monotonic() - begun:.0f} s)")
    return Line(row=row, outcome=outcome, said=said, is_broken=is_broken)


def _facts(line: Line) -> dict[str, Any]:
    found = line.outcome
    measured = {} if found is None else {"baseline": found.baseline, "offhook": found.offhook, "checks": found.checks}
    return {"name": line.row.name, "work": line.row.work, "verdict": line.said, **measured}


def _machine() -> dict[str, str]:
    return {
        "processor": f"{_processor()}, {len(CORES) or os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "fsync": f"{_fsync_s() * 1e3:.2f} ms",
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def _fsync_s() -> float:
    """What making 4 KB durable takes where the databases will lie; next to nothing means that it is no real disk."""
    taken = []
    with (new_folder("fsync") / "probe").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(bytes(4096))
            begun = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


if __name__ == "__main__":
    sys.exit(main())
