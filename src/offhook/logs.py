"""Logs: one stable word, then facts. No secret and no payload is ever among them, and numbers come masked (phone.masked)."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor

from offhook.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def set_up(settings: Settings) -> None:
    """Write to standard error: JSON lines for programs, or plain words where a person watches."""
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # A plain traceback: the pretty one shows every local variable, and bodies and secrets are among them.
    drawn: list[Processor] = (
        [_harmless, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if as_text
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    level = getattr(logging, settings.log_level.upper())
    structlog.configure(
        processors=[*shared, *drawn],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        stream=sys.stderr, level=max(level, logging.WARNING), format="%(levelname)s %(name)s %(message)s"
    )


def _harmless(_: object, __: str, facts: EventDict) -> EventDict:
    """*facts* with what a terminal would obey spelled out: control characters, direction marks, line ends."""
    return {name: _spelled_out(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}


def _spelled_out(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]
