"""A recording that comes as bytes, taken in as if it had been sent to us: as base64 in a JSON body.

So what is fetched is an event like any other, the same bytes are the same event, and replay needs nobody's server.
"""

import asyncio

import pybase64

from offhook.voice.body import Intake

_PIECE_BYTES = 192 * 1024  #: a multiple of three, so that the base64 of the pieces is the base64 of the whole


class ToldAudio:
    """Feeds an intake, off the event loop: `take` each piece, then `finish`."""

    def __init__(self, intake: Intake, before: bytes, after: bytes) -> None:
        """*before*: the body up to the quote that opens the recording; *after*: from the one that closes it."""
        self.size_bytes = 0  #: of the recording so far
        self._intake = intake
        self._held = bytearray()
        self._after = after
        intake.feed(before)

    async def take(self, piece: bytes) -> None:
        self.size_bytes += len(piece)
        self._held.extend(piece)
        if len(self._held) >= _PIECE_BYTES:
            whole = len(self._held) // 3 * 3
            await asyncio.to_thread(self._intake.feed, pybase64.b64encode(bytes(self._held[:whole])))
            del self._held[:whole]

    async def finish(self) -> None:
        await asyncio.to_thread(self._intake.feed, pybase64.b64encode(bytes(self._held)) + self._after)
