"""Alerts for whoever runs offhook, through whatever service Apprise speaks: `pip install apprise`.

https://github.com/caronc/apprise/wiki, read 2026-11. Its address holds the service's key, so no error repeats it.
"""

import asyncio
import contextlib
import importlib
import logging
from collections.abc import Iterator
from typing import Any

from offhook.errors import Mistake, TryLater

WITHIN_S = 20.0


class Alerts:
    """One service."""

    def __init__(self, service: Any) -> None:
        self._service = service

    async def tell(self, title: str, body: str, *, kind: str) -> None:
        """*kind* is Apprise's: failure, warning or success. TryLater when the service did not take it, or did not say so."""
        try:
            async with asyncio.timeout(WITHIN_S):
                is_taken = await self._service.async_notify(title=title, body=body, notify_type=kind)
        except TimeoutError:
            raise TryLater("The alert service did not answer.") from None
        if not is_taken:
            raise TryLater("The alert service did not take it, or did not say so.")


def opened(url: str) -> Alerts | None:
    """The service of OFFHOOK_ALERT_URL; None when there is none. Mistake when it cannot be used."""
    if not url:
        return None
    try:
        apprise = importlib.import_module("apprise")  # a third of a second that only those wait who want it
    except ModuleNotFoundError:
        raise Mistake(
            "OFFHOOK_ALERT_URL needs the package apprise: install it with .venv/bin/pip install apprise."
        ) from None
    service = apprise.Apprise()
    with _silent():
        is_known = service.add(url)
    if not is_known:
        raise Mistake("OFFHOOK_ALERT_URL cannot be used: write an Apprise address, such as mailto:// or ntfy:// ones.")
    return Alerts(service)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Apprise logs an address that it cannot use, key and all."""
    logger = logging.getLogger("apprise")
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False
