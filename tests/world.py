"""An organisation with one of everything that a page can show, in the words that a test gives it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from offhook.accounts import members
from offhook.credentials import hash_of, new_secret
from offhook.events import Event
from offhook.sealing import KeyRing
from offhook.store import invitations, organizations, tables, users, workspaces
from offhook.store.audit import Entry
from offhook.store.balances import Day
from offhook.store.events import FILED_COLUMNS, filed_values, sealed
from tests.api import Api, call_row, recording_row

AUDIO = b"\xff\xfbsound" * 100


class World(NamedTuple):
    org_id: str
    ids: Mapping[str, str]  #: by the name of a piece of a path: what there is of that kind
    links: Mapping[str, str]  #: by its kind, the token of a link that works
    forms: Mapping[str, str]  #: by the name of a field: what of this world a form could name
    file: str  #: of the recording, which is to hold AUDIO


async def furnished(api: Api, org_id: str, words: Sequence[str]) -> World:
    """The same in the database behind *api*, with its recording."""
    world = await api.deps.database.write(furnish, api.deps.keys, org_id, words, api.deps.now())
    folder = api.deps.settings.recordings_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / world.file).write_bytes(AUDIO)
    await api.deps.directory.refresh()
    return world


def furnish(tx: sa.Connection, keys: KeyRing, org_id: str, words: Sequence[str], now: float) -> World:
    """Of each kind one for each of *words*; the last word names what has a page of its own, with all that hangs on it."""
    world = _World(tx, keys, org_id, now)
    for number, word in enumerate(words):
        world.contact(number, word)
        world.call(number, word, words if number == len(words) - 1 else [word])
        world.event(number, word)
        world.follow_up(number, word)
    last = len(words) - 1
    world.on_the_call(last, words[-1])
    world.settings(words)
    world.health(words[-1])
    kept = recording_row(org_id, world.id("call", last), AUDIO, event_id=world.id("event", last), created_at=now)
    kept |= {"id": world.id("recording"), "file": f"{world.id('recording')}{'0' * 8}"}
    world.add(tables.recordings, kept)
    ids = {f"{kind}_id": world.id(kind, last) for kind in ("call", "contact", "event", "follow_up")}
    ids |= {
        "note_id": world.id("note"),
        "staff_id": world.id("staff"),
        "user_id": world.id("user"),
        "callback_id": world.id("callback"),
        **world.drawn(),
    }
    agent, person = f"agent_{org_id}", ids["contact_id"]
    forms = {
        "agent_id": agent, "agent": agent, "number": "+16475550000", "contact": person, "other": person, "org": org_id,
        "user": ids["user_id"], "id": world.id("effect"), "variable": "x", "sure": "1", "reason": "a", "role": "owner",
        "note": "a", "until": "hour",
    }  # fmt: skip
    links = world.links()
    return World(org_id, ids | {"invitation_id": links["id"]}, links, forms, str(kept["file"]))


class _World:
    def __init__(self, tx: sa.Connection, keys: KeyRing, org_id: str, now: float) -> None:
        self._tx, self._keys, self._org_id, self._now = tx, keys, org_id, now
        self._times = {"created_at": now, "updated_at": now}

    def id(self, kind: str, number: int = 0) -> str:
        return hashlib.sha256(f"{self._org_id} {kind} {number}".encode()).hexdigest()[:24]

    def add(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        self._tx.execute(table.insert(), {"org_id": self._org_id, **row} if "org_id" in table.c else row)

    def contact(self, number: int, word: str) -> None:
        self.add(tables.contacts, {
            "id": self.id("contact", number), "first_name": word, "last_name": word, "emails": json.dumps([word]),
            "external_id": f"{word[:200]} {number}", "source": "call", "search_text": word, **self._times,
        })  # fmt: skip
        phone = {"number": f"+1416555{number:04}", "contact_id": self.id("contact", number), "position": 0}
        self.add(tables.contact_numbers, phone)

    def call(self, number: int, word: str, said: Sequence[str]) -> None:
        turns: list[dict[str, Any]] = [
            {"role": role, "message": one, "timestamp": place}
            for place, one in enumerate(said)
            for role in ("agent", "user")
        ]
        turns += [{"role": "agent", "message": None, "timestamp": 9, "toolCalls": [
                      {"name": word, "requestId": "r", "arguments": json.dumps({word: word})}]},
                  {"role": "agent", "message": None, "timestamp": 9, "toolResults": [
                      {"requestId": "r", "value": word}]}]  # fmt: skip
        facts = {
            "data_collection_results": {f"field {place}": {"value": one} for place, one in enumerate(said)},
            "evaluation_criteria_results": {"polite": {"result": "success", "rationale": word}},
        }  # fmt: skip
        told = {"told": {"caller_name": word}, "variables": {f"var {n}": one for n, one in enumerate(said)}}
        self.add(tables.calls, call_row(
            self._org_id, id=self.id("call", number), contact_id=self.id("contact", number), title=word, summary=word,
            agent_name=word, agent_id=f"agent {number % 9}", failure=word, duration_s=60.0 + len(said),
            provider_call_id=f"conv {word}", transcript=json.dumps(turns), analysis=json.dumps(facts),
            happened_at=self._now - 60 - number, context=json.dumps(told),
            **self._times,
        ))  # fmt: skip

    def event(self, number: int, word: str) -> None:
        body = json.dumps({"type": word, "data": {"words": word, "list": [word] * 3}}).encode()
        digest = hashlib.sha256(f"{number}".encode() + body).hexdigest()
        event = Event(
            id=self.id("event", number), org_id=self._org_id, type=word, source="webhook", proof="hmac", sha256=digest,
            size_bytes=len(body), received_at=self._now - 60 - number, body=body, conversation_id=word,
            call_id=self.id("call", number), agent_id=word, status="quarantined", reason=word,
            answer=json.dumps({"said": word}).encode(),
        )  # fmt: skip
        values = filed_values(sealed(event, self._keys))
        self._tx.execute(tables.events.insert(), dict(zip(FILED_COLUMNS, values, strict=True)))

    def follow_up(self, number: int, word: str) -> None:
        self.add(tables.follow_ups, {
            "id": self.id("follow_up", number), "contact_id": self.id("contact", number), "reason": word, "note": word,
            "number": f"+1416555{number:04}", "call_id": self.id("call", number), "kind": "callback", "status": "open",
            "due_at": self._now + 60 + number, "assigned_to": self.id("user"), **self._times,
        })  # fmt: skip

    def on_the_call(self, last: int, word: str) -> None:
        """Notes, a text, an effect: of the one that is looked at."""
        its = {"call_id": self.id("call", last), "contact_id": self.id("contact", last)}
        self.add(tables.notes, {"id": self.id("note"), "type": "note", "note": word, **its, **self._times})
        self.add(tables.notes, {"id": self.id("note", 1), "type": "ai_summary", "note": word, **its, **self._times,
                               "created_at": self._now - 1})  # fmt: skip
        self.add(tables.messages, {"id": self.id("message"), "kind": "person", "to_number": f"+1416555{last:04}",
                                   "body": word, "status": "failed", "reason": word, **its, **self._times})  # fmt: skip
        self.add(tables.callbacks, {"id": self.id("callback"), "reason": word, "status": "open", **its, **self._times})
        self.add(tables.effects, {
            "id": self.id("effect"), "kind": "missed_call_text", "key": self.id("effect"), "call_id": its["call_id"],
            "payload": "{}", "status": "dead", "outcome": word, "attempts": 3, "due_at": self._now, **self._times,
        })  # fmt: skip

    def settings(self, words: Sequence[str]) -> None:
        for number, word in enumerate(words):
            agent = f"{word} {number}"
            organizations.add_agent(self._tx, self._org_id, agent, word, self._now)
            organizations.add_number(self._tx, self._org_id, f"+1647555{number:04}", word, self._now)
        organizations.add_agent(self._tx, self._org_id, f"agent_{self._org_id}", "Desk", self._now)
        self.add(tables.staff, {"id": self.id("staff"), "name": words[-1], "number": None, "is_online": True,
                                "is_available": True, **self._times})  # fmt: skip
        self.add(tables.users, {"id": self.id("user"), "email": f"{self.id('user')}@{words[-1]}", "name": words[-1],
                                "password_hash": "-", "password_set_at": self._now, **self._times})  # fmt: skip
        users.set_role(self._tx, self.id("user"), self._org_id, "agent", self._now)
        self.add(tables.audit, {"at": self._now, "user_id": self.id("user"), "who": words[-1], "action": "settings_changed",
                                "object_kind": "section", "object_id": words[-1], "address": "192.0.2.1",
                                "details": json.dumps({"name": words[-1]})})  # fmt: skip

    def health(self, word: str) -> None:
        workspaces.keep(self._tx, self._keys, self._org_id, "an API key", {}, self._now)
        day = Day(day="2026-11-22", theirs=3, ours=2, fetched=1, absent=1, updated_at=self._now)
        self.add(tables.balances, {**msgspec.structs.asdict(day), "org_id": self._org_id})
        self.add(tables.absences, {"conversation_id": word, "what": "audio", "reason": word, "is_final": False,
                                   "began_at": self._now, "noticed_at": self._now})  # fmt: skip
        details = json.dumps({"agents": [word]})
        self.add(tables.warnings, {"code": "agents", "severity": "error", "message": word, "details": details,
                                   "remedy": "`offhook connect ORG`", "since": self._now, "seen_at": self._now})  # fmt: skip

    def drawn(self) -> dict[str, str]:
        """Ids of what has one that does not follow from anything."""
        key = organizations.add_api_key(
            self._tx, self._keys, self._org_id, new_secret("api_key"), label="crm", scopes=["read"], now=self._now
        )
        secret = organizations.rotate(self._tx, self._keys, self._org_id, "tool", new_secret("tool"), self._now, None)
        return {"key_id": key, "secret_id": secret.id, "kind": "tool"}

    def links(self) -> dict[str, str]:
        """By kind, the token of each link that works; and the id of the invitation."""
        tokens = {kind: f"{kind}-{self._org_id}" for kind in ("invitation", "password")}
        by = Entry(at=self._now, org_id=self._org_id, user_id=None, who="", action="user_invited")
        guest = f"guest@{self._org_id}.example"
        invited = members.invite(self._tx, by, self._org_id, tokens["invitation"], email=guest, role="agent")
        its: dict[str, Any] = {
            "email": f"{self.id('user')}@acme.example",
            "now": self._now,
            "expires_at": self._now + 1e6,
        }
        invitations.make(self._tx, hash_of(tokens["password"]), "password", **its)
        return {**tokens, "id": invited.id}
