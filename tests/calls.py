"""A day of an organisation, in this process: greetings, calls, recordings, tools, and what its people do meanwhile."""

import json
import time
from collections.abc import Sequence
from typing import Any

import httpx

from offhook.projection.projector import Projector
from offhook.simulator import deliveries
from offhook.simulator.calls import Attempt, Call, answered, attempted, deck
from offhook.simulator.deliveries import Delivery
from offhook.simulator.scenarios import Failure, Scenario
from tests.api import Api

DOOR = "/api/webhook/elevenlabs"


class Day:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.agent = api.client_with(api.org.tool_secret)

    async def calls(self, count: int, seed: str) -> Sequence[Call | Attempt]:
        """So many calls and attempts come in, each with its greeting, its tools, its events."""
        cards = deck(seed)
        made = [_made(next(cards), f"{seed}{number}") for number in range(count)]
        for call in made:
            await self._one(call)
        await self.api.filings.finish()
        return made

    async def project(self) -> None:
        """Everything that was filed is understood."""
        deps = self.api.deps
        projector = Projector(deps.database, deps.keys, deps.directory, deps.contexts, deps.folders, deps.now)
        await projector.start()
        await projector.drain()
        await projector.stop()

    async def ask(self, method: str, path: str, **body: Any) -> Any:
        answer = await self.api.client.request(method, path, json=body or None)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def _one(self, call: Call | Attempt) -> None:
        greeting = None
        for delivery in deliveries.before(call):
            greeting = (await self._post(delivery)).json()
        if isinstance(call, Call):
            await self._tools(call)
        for delivery in deliveries.after(call, int(time.time()), self.api.org.tool_secret, greeting):
            await self._post(delivery)

    async def _tools(self, call: Call) -> None:
        talk = {"conversation_id": call.line.conversation_id, "agent_id": call.line.agent_id}
        caller = call.scenario.person.number or "+14165550199"
        for tool, asked in (
            ("create-note", {"note": "The gate is green.", "tool_call_id": f"note{call.seed}"}),
            ("update-contact", {"email": f"{caller[-4:]}@example.com"}),
            ("transfer", {"reason": "Help"}),
            ("send-sms", {"message": "Hi."}),
        ):
            content = json.dumps({**talk, "caller_id": caller, "called_id": call.scenario.business.number, **asked})
            assert 200 == (await self.agent.post(f"{DOOR}/tools/{tool}", content=content)).status_code

    async def _post(self, delivery: Delivery) -> httpx.Response:
        body = delivery.body
        if delivery.kind == "personalization":
            answer = await self.agent.post(f"{DOOR}/personalization", content=body)
        else:
            header = {"ElevenLabs-Signature": deliveries.signature([body], self.api.org.webhook_secret)}
            answer = await self.api.client_with(None).post(
                f"{DOOR}?org={self.api.org.id}", content=body, headers=header
            )
        assert 200 == answer.status_code, answer.text
        return answer


def _made(card: Scenario | Failure, seed: str) -> Call | Attempt:
    return answered(card, seed, time.time()) if isinstance(card, Scenario) else attempted(card, seed, time.time())
