"""The programs that the tests stand on do what the tests believe of them."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil
import pytest
import sqlalchemy as sa

from offhook.settings import Settings
from offhook.store.database import Database
from offhook.store.tables import metadata
from tests.services import Postgresql, Redis, Server, free_port


def _tables(tx: sa.Connection) -> set[str]:
    return set(sa.inspect(tx).get_table_names())


async def test_a_test_gets_an_empty_database_with_every_table(database: Database) -> None:
    assert set(metadata.tables) <= await database.read(_tables)


async def test_every_test_has_a_postgresql_database_of_its_own(postgresql: Postgresql, postgresql_url: str) -> None:
    connection = await asyncpg.connect(postgresql_url)
    try:
        assert 0 == await connection.fetchval("SELECT count(*) FROM events")
        assert "off" == await connection.fetchval("SHOW fsync")
        assert postgresql_url.endswith(await connection.fetchval("SELECT current_database()"))
    finally:
        await connection.close()


@pytest.mark.torture
async def test_a_cluster_to_be_tortured_is_durable_and_outlives_a_kill(durable_postgresql: Postgresql) -> None:
    url = durable_postgresql.url("postgres")
    connection = await asyncpg.connect(url)
    assert "on" == await connection.fetchval("SHOW fsync")
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")

    durable_postgresql.freeze()
    with pytest.raises(TimeoutError):
        await asyncpg.connect(url, timeout=0.5)
    durable_postgresql.thaw()
    durable_postgresql.kill()
    durable_postgresql.start()

    connection = await asyncpg.connect(url)
    assert 1 == await connection.fetchval("SELECT one FROM kept")
    await connection.close()


def test_redis_is_real_and_empty(redis_server: Redis, redis_url: str) -> None:
    assert redis_url == redis_server.url
    assert b":0\r\n" == redis_server.command("DBSIZE")


def test_settings_point_at_the_engine_under_test(settings: Settings, database_url: str) -> None:
    assert settings.is_sqlite is database_url.startswith("sqlite")
    assert not settings.is_sqlite or settings.sqlite_path.samefile(settings.data_dir / "offhook.db")


def test_a_server_is_offhook_itself_and_starts_again_after_a_kill(
    start_server: Callable[..., Server], database_url: str, redis_url: str
) -> None:
    server = start_server(database_url=database_url, redis_url=redis_url)
    told = {"type": "call_initiation_failure", "event_timestamp": 1, "data": {"conversation_id": "conv_1"}}
    call_id = server.deliver(json.dumps(told).encode()).json()["callId"]

    server.kill()
    server.start()

    assert 200 == server.ask({}).status_code
    kept = [event for event in server.get("/api/events").json()["data"] if event["source"] == "webhook"]
    assert [call_id] == [event["callId"] for event in kept]
    assert 0 == server.stop()
    assert "server.stopped" in server.log


def test_what_a_killed_run_left_is_swept_by_the_next() -> None:
    killed = """
        import os, signal
        from tests.services import Process, new_folder
        sleeper = Process(["sleep", "600"], new_folder("sleeper") / "log")
        sleeper.start()
        print(sleeper.pid, sleeper.log_path, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    sweeps = "from tests.services import new_folder; new_folder('next')"
    left = subprocess.run([sys.executable, "-c", textwrap.dedent(killed)], capture_output=True, text=True)
    pid, log_path = left.stdout.split()
    assert psutil.pid_exists(int(pid))

    subprocess.run([sys.executable, "-c", sweeps], check=True)

    assert not psutil.pid_exists(int(pid))
    assert not Path(log_path).exists()


def test_free_ports_are_free_and_below_the_range_the_kernel_uses() -> None:
    assert all(12_000 <= free_port() <= 32_000 for _ in range(100))
