"""The API in this process: the real application on a real database, with one organisation and a client with its key."""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import httpx
import sqlalchemy as sa

from offhook import app
from offhook.credentials import new_secret
from offhook.deps import Deps
from offhook.settings import Settings
from offhook.store import organizations
from offhook.store.organizations import NewOrganization
from offhook.store.tables import calls, notes, recordings, secrets

NOW = 1_747_580_641.25  #: 2025-05-18T15:04:01.250Z


class Api:
    """What a program with an API key sees, and the database behind it."""

    def __init__(self, deps: Deps) -> None:
        self.deps = deps
        self.app, self.filings = app.build(deps)
        self.org = NewOrganization(name="Acme Corp", timezone="America/Toronto", country="CA")
        self.client = self.client_with(self.org.api_key)

    def client_with(self, key: str | None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
        return httpx.AsyncClient(transport=transport, base_url="http://calls.example", headers=headers)

    async def get(self, path: str, /, **query: str) -> httpx.Response:
        return await self.client.get(path, params=query or None)

    async def add_organization(self, **facts: Any) -> NewOrganization:
        new = NewOrganization(**{"name": "Globex", **facts})
        await self.deps.database.write(organizations.create, self.deps.keys, new, NOW)
        return new

    async def add_key(self, scopes: str) -> str:
        """Another key of the organisation, with these scopes."""
        key = new_secret("api_key")
        rotated = await self.deps.database.write(
            organizations.rotate, self.deps.keys, self.org.id, "api_key", key, NOW, overlap_s=1e10
        )
        await self.deps.database.write(_narrow, rotated.id, scopes)
        return key

    async def insert(self, table: sa.Table, *rows: dict[str, Any]) -> None:
        await self.deps.database.write(_insert, table, rows)

    async def add_calls(self, *facts: dict[str, Any]) -> None:
        """Calls of the organisation, one for each of *facts*."""
        await self.insert(calls, *(call_row(self.org.id, **one) for one in facts))

    async def add_recording(self, call_id: str, content: bytes, **facts: Any) -> None:
        row = recording_row(self.org.id, call_id, content, **facts)
        folder = self.deps.settings.recordings_dir
        folder.mkdir(parents=True, exist_ok=True)
        (folder / row["file"]).write_bytes(content)
        await self.insert(recordings, row)

    async def settle(self) -> None:
        """Do what PostgreSQL does by itself within a minute of so many inserts; SQLite needs nothing of the kind."""
        if not self.deps.settings.is_sqlite:
            connection = await asyncpg.connect(self.deps.settings.database_url)
            await connection.execute("VACUUM ANALYZE")
            await connection.close()

    async def add_note(self, **facts: Any) -> None:
        row = {"org_id": self.org.id, "call_id": None, "contact_id": None, "type": "note", "note": "A note"}
        await self.insert(notes, {**row, "created_at": NOW, "updated_at": NOW, **facts})


@contextlib.asynccontextmanager
async def running_api(settings: Settings) -> AsyncIterator[Api]:
    async with app.house(settings, is_server=True, with_worker=False) as deps:
        api = Api(deps)
        await deps.database.write(organizations.create, deps.keys, api.org, NOW)
        async with api.client:
            yield api


def hex_id(number: int) -> str:
    return f"{number:024x}"


def call_row(org_id: str, **facts: Any) -> dict[str, Any]:
    """A row of `calls`; *facts* overwrite a completed inbound call of 42 seconds."""
    row: dict[str, Any] = {column.name: None for column in calls.c}
    row |= {
        "org_id": org_id, "provider": "elevenlabs", "provider_call_id": "conv_1", "direction": "inbound",
        "status": "completed", "channel": "phone", "from_number": "+14165550100", "to_number": "+12362320246",
        "agent_id": "agent_1", "agent_name": "Front desk", "started_at": NOW, "ended_at": NOW + 42, "duration_s": 42.0,
        "happened_at": NOW, "created_at": NOW, "updated_at": NOW, "transcript": "[]",
    }  # fmt: skip
    return {**row, **facts}


def recording_row(org_id: str, call_id: str, content: bytes, **facts: Any) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    row = {
        "id": digest[:24], "org_id": org_id, "call_id": call_id, "event_id": hex_id(1), "file": digest[:32],
        "size_bytes": len(content), "sha256": digest, "duration_s": 41.5, "state": "ready", "created_at": NOW,
    }  # fmt: skip
    return {**row, **facts}


def _insert(tx: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), 1000):
        tx.execute(table.insert(), list(rows[start : start + 1000]))


def _narrow(tx: sa.Connection, secret_id: str, scopes: str) -> None:
    tx.execute(secrets.update().where(secrets.c.id == secret_id).values(scopes=scopes))
    organizations._raise_version(tx)
