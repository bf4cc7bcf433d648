"""The table: its rows, and how it is printed."""

from collections.abc import Iterable
from functools import partial

from rich import box
from rich.console import Console
from rich.table import Table

from bench.audio import audio
from bench.contenders import Workshop
from bench.greetings import greetings, greetings_beside_audio
from bench.ingest import faster, faster_and_steady, faster_steady_and_cheap, ingest
from bench.load import NotHere
from bench.outcome import Check, Effort, Figures, Line, Outcome, Row
from bench.pages import LIST, SEARCH, pages

_50_KB = 50 * 1024

_WIDTHS = {
    "work": 25,
    "baseline": 15,
    "offhook": 22,
    "came to": 18,
    "floor": 8,
    "goal": 8,
    "verdict": 17,
}  #: characters
WIDTH = 125  #: of the whole table; a terminal that is narrower must not squeeze it

#: How a figure is said.
_SAID = {
    "elapsed_s": "{:.2f} s",
    "growth_mib": "+{:,.0f} MiB",
    "rate": "{:,.0f}/s",
    "p50_ms": "p50 {:,.2f} ms",
    "p99_ms": "p99 {:,.1f} ms",
    "cpu_us": "{:,.0f} µs CPU",
    "accept_cpu_us": "{:,.0f} µs to accept",
    "settled_rate": "{:,.0f}/s until projected",
    "settled_cpu_us": "{:,.0f} µs until projected",
}


def _without_n8n(_: Workshop, __: Effort) -> Outcome:
    raise NotHere("it takes an n8n.")


ROWS = (
    Row("ingest-sqlite", "10 KB transcriptions, 32 connections, SQLite",
        partial(ingest, checks=faster_steady_and_cheap, is_taken_apart=True)),
    Row("ingest-slow-disk", "the same with fsync 5 ms slower",
        partial(ingest, checks=faster(floor=12, goal=20), has_slow_fsync=True)),
    Row("ingest-postgresql", "the same, PostgreSQL",
        partial(ingest, checks=faster_and_steady(floor=5, goal=8, p99_floor=4), engine="postgresql")),
    Row("ingest-one-by-one", "one connection at a time, SQLite",
        partial(ingest, checks=faster(floor=2.5, goal=3.4), connections=1)),
    Row("ingest-50kb-sqlite", "50 KB, SQLite",
        partial(ingest, checks=faster(floor=7, goal=10), size_bytes=_50_KB)),
    Row("ingest-50kb-postgresql", "50 KB, PostgreSQL",
        partial(ingest, checks=faster(floor=3), size_bytes=_50_KB, engine="postgresql")),
    Row("audio", "256 MiB of chunked audio", audio),
    Row("greetings-sqlite", "personalization at 1,000/s, 1 M contacts, against a bare route of the same server, SQLite",
        partial(greetings, engine="sqlite", p50=(4, 2.7), p99=(2.5, 1.5))),
    Row("greetings-postgresql", "the same, PostgreSQL",
        partial(greetings, engine="postgresql", p50=(4, None), p99=(4, None))),
    Row("greetings-beside-audio", "personalization while 100 MB recordings arrive", greetings_beside_audio),
    Row("calls-list", "a page of 100,000 calls, against a bare route of the same server, SQLite",
        partial(pages, asked=LIST)),
    Row("search", "what was said in 100,000 calls, SQLite", partial(pages, asked=SEARCH)),
    Row("n8n", "against n8n, 32 connections, 10 KB", _without_n8n),
)  # fmt: skip


def show(lines: Iterable[Line], console: Console) -> None:
    """Print the table."""
    table = Table(box=box.SIMPLE, show_lines=True, padding=(0, 1, 0, 0))
    for heading, width in _WIDTHS.items():
        table.add_column(heading, width=width)
    for line in lines:
        table.add_row(*_cells(line))
    console.print(table)


def _cells(line: Line) -> tuple[str, ...]:
    outcome = line.outcome
    if outcome is None:
        return (line.row.work, "", "", "", "", "", line.said)
    checks = outcome.checks
    return (
        line.row.work,
        _said(outcome.baseline),
        _said(outcome.offhook),
        "\n".join(f"{check.what} {_figure(check.value, check.unit)}" for check in checks),
        "\n".join(_mark(check, check.floor) for check in checks),
        "\n".join(_mark(check, check.goal) for check in checks),
        line.said,
    )


def _said(figures: Figures) -> str:
    return "\n".join(said.format(figures[name]) for name, said in _SAID.items() if name in figures)


def _mark(check: Check, mark: float | None) -> str:
    return "-" if mark is None else f"{'≥' if check.is_more_better else '≤'} {_figure(mark, check.unit)}"


def _figure(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}".removesuffix(".00").removesuffix(".0") + (unit if unit == "x" else f" {unit}")
