"""POST /api/webhook/elevenlabs/tools/<name>: the agent uses a tool while the caller waits. What failed is filed after its
answer; what was done is on file before it."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from offhook.directory import Directory
from offhook.errors import Unavailable
from offhook.refusals import Refusals
from offhook.tools import TOOLS, Tools
from offhook.webhooks.filings import Filings
from offhook.webhooks.keyholders import org_of_bearer
from offhook.webhooks.pace import Pace, take_up_to
from offhook.webhooks.requests import (
    Answer,
    Senders,
    TurnedAway,
    come_back_later,
    read_knock,
    refuse,
    send_answer,
)

_BODY_BYTES = 64 * 1024


class ToolDoor:
    """POST to one tool."""

    def __init__(
        self,
        tool: str,
        *,
        senders: Senders,
        directory: Directory,
        tools: Tools,
        filings: Filings,
        refusals: Refusals,
        pace: Pace,
        now: Callable[[], float],
    ) -> None:
        self.tool = tool
        self._senders = senders
        self._directory = directory
        self._tools = tools
        self._filings = filings
        self._refusals = refusals
        self._pace = pace
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        knock = read_knock(scope, self._senders)
        body = bytearray()
        try:
            org_id = await org_of_bearer(self._directory, self._senders, knock)
            await self._pace.read_body(receive, partial(take_up_to, body, _BODY_BYTES))
        except TurnedAway as refused:
            await send_answer(send, refuse(self._refusals, knock, refused, size_bytes=len(body), at=self._now()))
            return
        except Unavailable:
            await send_answer(send, come_back_later("Nobody can tell just now whose token this is"))
            return
        used = await self._tools.use(org_id, self.tool, bytes(body))
        await send_answer(send, Answer(HTTPStatus.OK, used.answer))
        if used.filing is not None:
            self._filings.file_later(used.filing)


def tool_doors(
    *,
    senders: Senders,
    directory: Directory,
    tools: Tools,
    filings: Filings,
    refusals: Refusals,
    now: Callable[[], float],
) -> dict[str, ToolDoor]:
    """One for each tool, by its name."""
    pace = Pace()
    return {
        tool: ToolDoor(
            tool,
            senders=senders,
            directory=directory,
            tools=tools,
            filings=filings,
            refusals=refusals,
            pace=pace,
            now=now,
        )
        for tool in TOOLS
    }
