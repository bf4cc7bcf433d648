"""A Thursday of an office that was made up, for pictures: the same people, calls and minutes each time.

Every number is reserved for fiction, every name is invented. What came in today came through the doors; what is older
was laid down as rows.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import cycle
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import sqlalchemy as sa

from offhook.credentials import hash_of
from offhook.projection.projector import Projector
from offhook.refusals import Refusal
from offhook.simulator import deliveries
from offhook.simulator.calls import Attempt, Call, answered, attempted
from offhook.simulator.deliveries import Delivery
from offhook.simulator.scenarios import ALEX, FAILURES, JORDAN, MARCUS, OLENA, PRIYA, SAM, SCENARIOS, ZOE
from offhook.store import contacts, sessions, users, workspaces
from offhook.store.effects import Effect
from offhook.store.tables import balances, effects, messages, recordings, warnings
from offhook.store.tables import workspaces as workspace_rows
from offhook.texts import filled
from offhook.waveforms import Waveforms
from tests.api import Api, hex_id
from tests.test_api_events import file

ZONE = ZoneInfo("America/Toronto")
ADDRESS = "calls.example.com"
TOKEN = "a token for pictures"
_DOOR = "/api/webhook/elevenlabs"
_DAY_S = 86_400.0
_MESSAGE = "Hi {{contactName}}, sorry we missed you. {{orgName}} rings back soon."

#: The clock of the office; setting up turns it through the day.
CLOCK = [datetime(2026, 11, 19, 14, 35, tzinfo=ZONE).timestamp()]
NOW = CLOCK[0]

_TEAM = (
    ("owner", "Ines Duarte", "ines@harbourfront.example"), ("manager", "Tom Okafor", "tom@harbourfront.example"),
    ("agent", "Maya Lindqvist", "maya@harbourfront.example"), ("auditor", "Noor Haddad", "noor@harbourfront.example"),
)  # fmt: skip
_BY_NAME = {one.name: one for one in SCENARIOS} | {one.name: one for one in FAILURES}
_TODAY = (
    ("09:12", "sick-child"), ("09:48", "busy-twilio"), ("10:05", "appointment-reminder"), ("10:41", "delivery-window"),
    ("11:16", "no-heating"), ("11:57", "bistro-table"), ("12:22", "no-answer-twilio"), ("13:34", "burst-pipe"),
    ("13:58", "price-question"), ("14:29", "dental-cleaning"),
)  # fmt: skip
_STRANGERS = (
    ("Amara", "Nwosu", "+14165550111"), ("Felix", "Tremblay", "+15145550112"), ("Grace", "Kim", "+16045550113"),
    ("Hassan", "Aziz", "+16475550114"), ("Isla", "MacLeod", "+12125550115"), ("Rosa", "Delgado", "+14165550116"),
    ("Viktor", "Lund", "+16045550117"), ("Wen", "Zhao", "+16475550118"),
)  # fmt: skip
_EARLIER = (
    ("Check-up moved", "Moved Friday's check-up to Monday at 8:30; asked for a text with the new time."),
    ("Drain blocked", "The kitchen drain is blocked. A plumber comes tomorrow between nine and eleven."),
    ("Invoice question", "Asked why the invoice lists two visits. The office will look at it and write an email."),
    ("Table for two", "Booked a table for two by the window, Saturday at 20:00."),
    ("Lost key", "Locked out of the building. The caretaker was rung and is on his way."),
    ("Delivery confirmed", "Confirmed the delivery of an oak table for Wednesday afternoon."),
    ("Prescription ready", "Asked whether the prescription is ready. It is, and can be picked up until six."),
    ("Opening hours", "Wanted to know whether somebody is there on Saturday morning."),
)


async def furnish(api: Api) -> None:
    """Everything that pictures show."""
    await api.deps.database.write(_let_in, api.org.id)
    await api.deps.directory.refresh()
    await _introduce(api)
    await _look_back(api)
    CLOCK[0] = _at("08:03")
    await _decide(api)
    await _live_through_today(api)
    await _stand_well(api)


def _let_in(tx: sa.Connection, org_id: str) -> None:
    for role, name, email in _TEAM:
        user = users.create(tx, email=email, name=name, password_hash="-", now=NOW - 40 * _DAY_S)
        users.set_role(tx, user.id, org_id, role, NOW - 40 * _DAY_S)  # type: ignore[arg-type]
        users.stamp_signed_in(tx, user.id, NOW - 3600)
        if role == "owner":
            sign_in(tx, user.id, org_id, TOKEN)


async def let_in(api: Api, org_id: str, token: str) -> None:
    """Ines, as owner of another organisation."""
    await api.deps.database.write(_let_ines_in, org_id, token)


def _let_ines_in(tx: sa.Connection, org_id: str, token: str) -> None:
    user = users.create(tx, email=f"{token}@harbourfront.example", name="Ines Duarte", password_hash="-", now=NOW)
    users.set_role(tx, user.id, org_id, "owner", NOW)
    sign_in(tx, user.id, org_id, token)


def sign_in(tx: sa.Connection, user_id: str, org_id: str, token: str) -> None:
    browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    sessions.start(
        tx, hash_of(token), user_id, org_id=org_id, address="198.51.100.20", browser=browser, now=NOW - 1800,
        idle_s=86_400, absolute_s=7 * 86_400,
    )  # fmt: skip


async def _introduce(api: Api) -> None:
    """Who is known by name."""
    CLOCK[0] = NOW - 30 * _DAY_S
    for person in (ALEX, ZOE, MARCUS, JORDAN, OLENA, PRIYA, SAM):
        known = {"firstName": person.first_name, "lastName": person.last_name, "phoneNumber": person.number}
        await _posted(api, "/api/contacts", {**known, "email": [person.email]})
    for first, last, number in _STRANGERS:
        await _posted(api, "/api/contacts", {"firstName": first, "lastName": last, "phoneNumber": number})


async def _look_back(api: Api) -> None:
    """Four weeks of calls, of which the usual day is made."""
    phones = [ALEX.number, *(phone for _, _, phone in _STRANGERS)]
    found = {phone: await api.deps.database.read(contacts.find_by_number, api.org.id, phone) for phone in phones}
    people = {phone: who.id for phone, who in found.items() if who}
    told, callers = cycle(_EARLIER), cycle([*_STRANGERS, ("", "", ALEX.number), ("", "", "+16135550119")])
    rows = []
    for number in range(1, 28 * 9):
        title, summary = next(told)
        _, _, phone = next(callers)
        at = _office_hour(number)
        turns: list[dict[str, Any]] = [
            {
                "role": ("agent", "user")[n % 2],
                "message": "so " * (8 + (number + n) % 9),
                "timestamp": float(n * (4 + (number + n) % 5)),
            }
            for n in range(6 + number % 7)
        ]
        length = turns[-1]["timestamp"] + 6
        rows.append({
            "id": hex_id(1000 + number), "provider_call_id": f"conv_{number:04}", "contact_id": people.get(phone),
            "from_number": phone, "to_number": "+14165550190", "agent_name": "Robin, Maple Street Dental",
            "agent_id": "agent_maple_street", "title": title, "summary": summary, "is_successful": number % 8 != 3,
            "happened_at": at, "started_at": at, "ended_at": at + length, "duration_s": length, "created_at": at,
            "updated_at": at, "transcript": json.dumps(turns),
        })  # fmt: skip
    await api.add_calls(*rows)


def _office_hour(number: int) -> float:
    """Nine calls a day, more of them before noon."""
    day, call = divmod(number, 9)
    minutes = (510, 545, 580, 622, 661, 715, 800, 877, 960)[call] + (number * 7) % 19
    return NOW - (day + 1) * _DAY_S - (14 * 60 + 35 - minutes) * 60


async def _live_through_today(api: Api) -> None:
    """What ElevenLabs tells of the day; at the end each recording that is shown is drawn."""
    for clock, name in _TODAY:
        card, at = _BY_NAME[name], _at(clock)
        CLOCK[0] = at
        call = answered(card, name, at) if hasattr(card, "turns") else attempted(card, name, at)  # type: ignore[arg-type]
        await _tell(api, call)
        if name in ("burst-pipe", "delivery-window"):
            await _ask_for_a_person(api, call)
        await api.filings.finish()
        await _project(api)
        if name == "dental-cleaning":
            await _draw(api)
    CLOCK[0] = _at("14:21")
    await _posted(api, "/api/calls/ingest", {
        "direction": "inbound", "fromNumber": "+16135550119", "toNumber": "+14165550190", "status": "no-answer",
        "duration": 0, "callStartTime": "2026-11-19T19:20:10Z", "externalCallId": "desk-20418", "agentName": "Front desk",
    })  # fmt: skip
    await _project(api)


async def _tell(api: Api, call: Call | Attempt) -> None:
    greeting, ended_at = None, CLOCK[0]
    CLOCK[0] = call.started_at - 4.0
    for delivery in deliveries.before(call):
        greeting = (await _delivered(api, delivery)).json()
    CLOCK[0] = ended_at
    for delivery in deliveries.after(call, int(CLOCK[0]), api.org.tool_secret, greeting):
        CLOCK[0] += 1.5
        await _delivered(api, delivery)


async def _ask_for_a_person(api: Api, call: Call | Attempt) -> None:
    assert isinstance(call, Call)
    asked = {
        "conversation_id": call.line.conversation_id, "agent_id": call.line.agent_id,
        "caller_id": call.scenario.person.number, "called_id": call.scenario.business.number,
        "reason": "Book the delivery crew by hand" if "delivery" in call.scenario.name else "Where is the plumber?",
    }  # fmt: skip
    bearer = {"Authorization": f"Bearer {api.org.tool_secret}"}
    answer = await api.client_with(None).post(f"{_DOOR}/tools/transfer", json=asked, headers=bearer)
    assert 200 == answer.status_code, answer.text


async def _delivered(api: Api, delivery: Delivery) -> httpx.Response:
    if delivery.kind == "personalization":
        bearer = {"Authorization": f"Bearer {api.org.tool_secret}"}
        answer = await api.client_with(None).post(f"{_DOOR}/personalization", content=delivery.body, headers=bearer)
    else:
        body = delivery.body
        proof = {"ElevenLabs-Signature": deliveries.signature([body], api.org.webhook_secret, CLOCK[0])}
        answer = await api.client_with(None).post(f"{_DOOR}?org={api.org.id}", content=body, headers=proof)
    assert 200 == answer.status_code, answer.text
    return answer


async def _project(api: Api) -> None:
    deps = api.deps
    projector = Projector(deps.database, deps.keys, deps.directory, deps.contexts, deps.folders, deps.now)
    await projector.start()
    await projector.drain()
    await projector.stop()


async def _draw(api: Api) -> None:
    """The waveform of the latest recording."""
    latest = sa.select(recordings.c.id).order_by(recordings.c.created_at.desc()).limit(1)
    recording_id = await api.deps.database.read(lambda tx: tx.scalar(latest))
    drawer = Waveforms(api.deps.database, api.deps.settings.recordings_dir, api.deps.now)
    await drawer.draw(Effect(id=hex_id(1), org_id=None, kind="waveform", key="1", call_id=None,
                             payload={"recording": recording_id}, attempts=1, created_at=0))  # fmt: skip


async def _stand_well(api: Api) -> None:
    """Connected, compared day by day; a few things that were not as they should be."""
    CLOCK[0] = NOW
    await api.deps.database.write(_connect, api, api.org.id, NOW - 40 * _DAY_S)
    await _balance(api, api.org.id, fetched={3: 1, 8: 2})
    await file(api, b"fetched", received_at=NOW - 14_000, source="reconciled", proof="none", size_bytes=21_977,
               conversation_id="conv_0233", call_id=hex_id(1001), event_timestamp=NOW - 15_000)  # fmt: skip
    for minutes, sender in ((190, "198.51.100.9"), (32, "203.0.113.77"), (31, "203.0.113.77")):
        api.deps.refusals.add(Refusal(at=NOW - minutes * 60, path=f"{_DOOR}?org={api.org.id}", sender=sender,
                                      size_bytes=1187, check="signature", org_id=api.org.id))  # fmt: skip
    await api.deps.database.write(_have_done_all)
    await _texts(api)


def _have_done_all(tx: sa.Connection) -> None:
    """What a worker would have done meanwhile."""
    outcome = sa.case((effects.c.kind == "waveform", "It is drawn."), else_="Sent.")
    tx.execute(effects.update().where(effects.c.status == "due").values(status="done", outcome=outcome, attempts=1))


async def endanger(api: Api, org_id: str) -> None:
    """Its last deliveries failed, and were fetched."""
    await api.deps.database.write(_connect, api, org_id, NOW - 40 * _DAY_S)
    for number in range(48):
        await file(api, f"good {number}".encode(), org_id=org_id, received_at=NOW - 6.1 * _DAY_S - number * 1800)
    for number in range(7):
        at = NOW - number * 20 * 3600 - 2400
        await file(api, f"missed {number}".encode(), org_id=org_id, source="reconciled", proof="none", received_at=at,
                   event_timestamp=at - 600, call_id=hex_id(number), conversation_id=f"conv_{number}")  # fmt: skip
    await _balance(api, org_id, fetched={0: 1, 1: 1, 2: 1, 3: 2, 4: 1, 5: 1})
    await api.insert(warnings, {
        "org_id": org_id, "code": "deliveries_missing", "severity": "warning", "details": "{}", "told_at": None,
        "message": "Of the last 7 calls ElevenLabs has delivered 0; the others had to be fetched.",
        "remedy": "Nothing is lost. See the webhook in ElevenLabs, the log, and that the proxy lets every delivery through.",
        "since": NOW - 20 * 3600, "seen_at": NOW - 1200,
    })  # fmt: skip
    await api.insert(effects, *(_given_up(org_id, number) for number in (1, 2)))
    await file(api, org_id=org_id, received_at=NOW - 6.2 * _DAY_S, status="quarantined", conversation_id="conv_5pq1m8",
               size_bytes=18_342, call_id=None, reason="It is not JSON: expected a comma at byte 18,340.")  # fmt: skip


def _connect(tx: sa.Connection, api: Api, org_id: str, since: float) -> None:
    workspaces.keep(tx, api.deps.keys, org_id, "sk_made_up", {}, since)
    workspaces.stamp_reconciled(tx, org_id, NOW - 240, NOW - 240)
    tx.execute(workspace_rows.update().where(workspace_rows.c.org_id == org_id).values(created_at=since))


async def _balance(api: Api, org_id: str, fetched: dict[int, int]) -> None:
    for day in range(14):
        theirs = fetched.get(day, 9 + day % 4)
        when = datetime.fromtimestamp(NOW - day * _DAY_S, ZONE).date().isoformat()
        row = {"org_id": org_id, "day": when, "theirs": theirs, "ours": theirs, "fetched": fetched.get(day, 0)}
        await api.insert(balances, {**row, "absent": 0, "updated_at": NOW - 240})


def _given_up(org_id: str, number: int) -> dict[str, Any]:
    at = NOW - number * 5 * 3600
    return {
        "id": hex_id(number), "org_id": org_id, "kind": "missed_call_text", "key": str(number), "payload": "{}",
        "call_id": hex_id(number), "status": "dead", "attempts": 9, "due_at": at, "created_at": at - 7200, "updated_at": at,
        "outcome": "Given up after 9 attempts: Twilio did not answer.",
    }  # fmt: skip


async def _texts(api: Api) -> None:
    """What was written to and fro with who is first in the queue."""
    said: Sequence[tuple[float, str, str, str]] = (
        (12, "missed_call", "delivered", filled(_MESSAGE, {"orgName": "Harbourfront Answering"})),
        (9, "reply", "received", "Thanks! Any time before four is fine."),
    )
    who = await api.deps.database.read(contacts.find_by_number, api.org.id, "+16135550119")
    for number, (minutes, kind, status, body) in enumerate(said, 1):
        person, ours = "+16135550119", "+14165550190"
        at = NOW - minutes * 60
        await api.insert(messages, {
            "id": hex_id(number), "org_id": api.org.id, "call_id": None, "contact_id": who and who.id, "kind": kind,
            "to_number": ours if kind == "reply" else person, "from_number": person if kind == "reply" else ours,
            "body": body, "status": status, "reason": None, "provider": "twilio", "provider_message_id": f"SM{number}",
            "begun_at": at, "created_at": at, "updated_at": at,
        })  # fmt: skip


async def _decide(api: Api) -> None:
    """Through the very forms, so that the audit log has something to tell."""
    browser = owner(api)
    for path, fields in (
        ("/settings/hours", {**dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), "08:00-12:00, 13:00-18:00"),
                             "sat": "09:00-13:00", "holidays": "2026-12-25\n2027-01-01"}),
        ("/settings/people", {"name": "Tomas Novak", "number": "+16475550188", "is_online": "1"}),
        ("/settings/people", {"name": "Maya Lindqvist", "number": "+14165550181", "is_online": "1", "is_available": "1"}),
        ("/settings/people", {"name": "Greta Sand", "number": ""}),
        ("/settings/numbers", {"number": "+14165550190", "label": "Maple Street Dental"}),
        ("/settings/numbers", {"number": "+16475550191", "label": "Northside Plumbing"}),
        ("/settings/variables", {"variable": "loyalty_tier", "type": "string", "default": "regular"}),
        ("/settings/variables", {"variable": "visits", "type": "number", "default": "0"}),
        ("/settings/texts", {"missed-call-text": "1", "quiet-hours": "21:00-08:00", "text-countries": "CA, US",
                             "missed-call-message": _MESSAGE}),
        ("/settings/keys", {"label": "CRM", "scope": "read"}),
        ("/settings/users", {"email": "lee@harbourfront.example", "role": "agent"}),
    ):  # fmt: skip
        answer = await browser.post(path, data=fields)
        assert answer.status_code in (200, 303), f"{path}: {answer.status_code} {answer.text}"
        CLOCK[0] += 20


def owner(api: Api) -> httpx.AsyncClient:
    """The owner's browser, without one."""
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False, client=("198.51.100.20", 1))
    headers = {"Accept": "text/html", "Origin": f"https://{ADDRESS}"}
    browser = httpx.AsyncClient(transport=transport, base_url=f"https://{ADDRESS}", headers=headers)
    browser.cookies.set("__Host-offhook", TOKEN)
    return browser


def _at(clock: str) -> float:
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 11, 19, hour, minute, tzinfo=ZONE).timestamp()


async def _posted(api: Api, path: str, body: dict[str, Any]) -> Any:
    answer = await api.client.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()
