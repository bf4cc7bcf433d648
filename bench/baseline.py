"""What offhook is measured against: the handler that ElevenLabs' documentation shows, made durable.

The whole body is awaited, its HMAC compared, `json.loads` reads it, and a call and its note are written with SQLAlchemy,
one commit a request, fsync'd as offhook's are. The server beneath is the same as offhook's.
https://elevenlabs.io/docs/eleven-agents/workflows/post-call-webhooks, read 2026-10.
"""

import argparse
import base64
import hmac
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_TOLERANCE_S = 30 * 60
_LOCK_PATIENCE_S = 60  #: SQLite's default of 5 s would turn some of these requests into errors


class Base(DeclarativeBase):
    pass


class Call(Base):
    __tablename__ = "calls"
    conversation_id: Mapped[str] = mapped_column(primary_key=True)
    agent_id: Mapped[str]
    status: Mapped[str]
    caller: Mapped[str | None]
    called: Mapped[str | None]
    started_at: Mapped[float | None]
    duration_s: Mapped[float | None]
    payload: Mapped[str]


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[str] = mapped_column(index=True)
    note: Mapped[str]


class Contact(Base):
    __tablename__ = "contacts"
    number: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


def build(database_url: str, secret: str, tool_secret: str, recordings_dir: Path) -> FastAPI:
    """The application; its database is made at the start."""
    engine = _engine(database_url)
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/webhook")
    async def webhook(request: Request) -> dict[str, str]:
        payload = await request.body()
        _verify(payload, request.headers.get("elevenlabs-signature"), secret)
        event = json.loads(payload)
        data = event["data"]
        if event["type"] == "post_call_audio":
            _keep_audio(recordings_dir / f"{data['conversation_id']}.mp3", base64.b64decode(data["full_audio"]))
            return {"status": "received"}
        async with sessions() as session:
            session.add_all(_rows(data))
            await session.commit()
        return {"status": "received"}

    @app.post("/personalization")
    async def personalization(request: Request) -> dict[str, Any]:
        if request.headers.get("authorization") != f"Bearer {tool_secret}":
            raise HTTPException(401)
        asked = await request.json()
        async with sessions() as session:
            contact = await session.get(Contact, asked["caller_id"])
        if contact is None:
            return {}
        return {"type": "conversation_initiation_client_data", "dynamic_variables": {"caller_name": contact.name}}

    return app


def _engine(database_url: str) -> AsyncEngine:
    if database_url.startswith("postgresql:"):
        return create_async_engine(database_url.replace("postgresql:", "postgresql+asyncpg:", 1))
    engine = create_async_engine(
        database_url.replace("sqlite:", "sqlite+aiosqlite:", 1), connect_args={"timeout": _LOCK_PATIENCE_S}
    )
    sa.event.listen(engine.sync_engine, "connect", _be_durable)
    return engine


def _be_durable(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _verify(payload: bytes, header: str | None, secret: str) -> None:
    if header is None:
        raise HTTPException(401)
    timestamp, signed = (item.split("=", 1)[1] for item in header.split(","))
    if int(timestamp) < time.time() - _TOLERANCE_S:
        raise HTTPException(401)
    digest = hmac.new(secret.encode(), f"{timestamp}.{payload.decode()}".encode(), "sha256").hexdigest()
    if not hmac.compare_digest(digest, signed):
        raise HTTPException(401)


def _rows(data: dict[str, Any]) -> list[Base]:
    conversation_id = data["conversation_id"]
    metadata = data["metadata"]
    phone_call = metadata.get("phone_call") or {}
    call = Call(
        conversation_id=conversation_id,
        agent_id=data["agent_id"],
        status=data["status"],
        caller=phone_call.get("external_number"),
        called=phone_call.get("agent_number"),
        started_at=metadata.get("start_time_unix_secs"),
        duration_s=metadata.get("call_duration_secs"),
        payload=json.dumps(data),
    )
    return [call, Note(conversation_id=conversation_id, note=data["analysis"]["transcript_summary"])]


def _keep_audio(path: Path, mp3: bytes) -> None:
    with path.open("wb") as file:
        file.write(mp3)
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    words = argparse.ArgumentParser()
    for name in ("port", "database-url", "secret", "tool-secret", "recordings-dir"):
        words.add_argument(f"--{name}", required=True)
    told = words.parse_args()
    app = build(told.database_url, told.secret, told.tool_secret, Path(told.recordings_dir))
    uvicorn.run(
        app,
        port=int(told.port),
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        backlog=2048,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
