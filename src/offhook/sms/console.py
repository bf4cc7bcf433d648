"""Texts that nobody gets: a line in the log instead. For trying out; what they say is on the API, not in the log."""

from collections.abc import Collection

from offhook.logs import log
from offhook.phone import masked
from offhook.sms.contract import NotTaken, Taken, Text


class Console:
    name = "console"
    sender: str | None = None

    async def send(self, text: Text) -> Taken:
        log.info("sms.console", to=masked(text.to), characters=len(text.body), message=text.id)
        return Taken(f"console-{text.id}")

    async def ask(self, text: Text, since: float, known: Collection[str]) -> NotTaken:
        return NotTaken()

    async def close(self) -> None:
        return


def opened() -> Console:
    return Console()
