"""Twilio's callbacks and our word for its signature; a server that is killed with texts in hand."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from offhook.errors import Mistake
from offhook.sms import provider_named
from offhook.sms.twilio import Reply, is_signed, read_form, read_receipt, read_reply
from tests.fake_twilio import FROM, TOKEN, FakeTwilio, fake_twilio
from tests.payloads import payload
from tests.services import Server, eventually

PERSON = "+14165550155"
BUSY = "call_initiation_failure__twilio_busy"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FORM = st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=8, unique_by=lambda field: field[0])
URLS = st.sampled_from(
    [
        "https://calls.example.com/api/webhook/twilio/status?message=1",
        "http://10.0.0.1:8080/a",
        "https://a.example:443/b",
    ]
)


@given(URLS, FORM)
def test_what_twilios_own_library_signs_is_signed(url: str, fields: list[tuple[str, str]]) -> None:
    signature = RequestValidator(TOKEN).compute_signature(url, dict(fields))
    assert is_signed(TOKEN, [url], fields, signature)
    assert not is_signed("another", [url], fields, signature)
    assert not is_signed("", [url], fields, signature)
    assert not is_signed(TOKEN, [url + "x"], fields, signature)
    assert not is_signed(TOKEN, [url], [*fields, ("more", "1")], signature)
    assert not is_signed(TOKEN, [], fields, signature)


def test_the_port_may_be_signed_or_not() -> None:
    signature = RequestValidator(TOKEN).compute_signature("https://a.example:443/b?c=d", {"e": "f"})
    assert is_signed(TOKEN, ["https://a.example/b?c=d"], [("e", "f")], signature)


@pytest.mark.parametrize("host", ["calls.example:99999", "[", "calls.example:x", "℀.example"])
def test_an_address_that_nobody_can_read_is_not_signed(host: str) -> None:
    assert not is_signed(TOKEN, [f"https://{host}/api/webhook/twilio/status"], [("a", "b")], "signature")


WORDS = [
    ("STOP", "stop"),
    (" stop. ", "stop"),
    ("Unsubscribe", "stop"),
    ("START", "start"),
    ("UNSTOP", "start"),
    ("stop by", None),
]


@pytest.mark.parametrize(("body", "wish"), WORDS)
def test_the_words_that_end_and_begin_texts_are_known(body: str, wish: str | None) -> None:
    fields = [("MessageSid", "SM1"), ("From", PERSON), ("To", FROM), ("Body", body)]
    assert Reply("SM1", PERSON, (FROM,), body, wish) == read_reply(fields)  # type: ignore[arg-type]


@given(st.binary(max_size=200))
def test_no_form_is_a_fault(body: bytes) -> None:
    fields = read_form(body)
    read_receipt(fields)
    read_reply(fields)


def test_a_provider_that_does_not_exist_or_lacks_something_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Mistake, match=r"OFFHOOK_SMS names 'twillio', but there is no module offhook\.sms\.twillio"):
        provider_named("twillio")
    for name in ("contract", "../twilio", ""):
        with pytest.raises(Mistake, match="OFFHOOK_SMS names"):
            provider_named(name)
    with pytest.raises(Mistake, match="OFFHOOK_SMS=twilio needs OFFHOOK_TWILIO_ACCOUNT_SID"):
        provider_named("twilio")
    with pytest.raises(Mistake, match="OFFHOOK_APPRISE_URL cannot be used"):
        provider_named("apprise")
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    monkeypatch.delitem(__import__("sys").modules, "offhook.sms.apprise")
    with pytest.raises(Mistake, match=r"pip install apprise"):
        provider_named("apprise")


# A real server


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with fake_twilio() as fake:
        yield fake


@pytest.fixture
def texting(start_server: Callable[..., Server], twilio: FakeTwilio, database_url: str, request: Any) -> Server:
    url = "" if database_url.startswith("sqlite") else database_url
    server = start_server(database_url=url, env=twilio.env)
    message = "missed-call-message=Hi {{contactName}}, sorry we missed you. {{orgName}}"
    server.offhook("org", "set", server.org_id, "country=CA", "missed-call-text=on", message, "texts-per-day=10000")
    time.sleep(1.1)  # the server looks each second for what commands changed
    return server


def call_back(server: Server, path: str, form: dict[str, str], token: str = TOKEN) -> httpx.Response:
    url = server.base_url + path
    headers = {"X-Twilio-Signature": RequestValidator(token).compute_signature(url, form)}
    return httpx.post(url, data=form, headers=headers, timeout=10)


def messages_of(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("/api/messages", limit="500").json()["data"]
    return found


def test_a_missed_call_is_texted_its_receipt_counts_and_the_reply_is_kept(texting: Server, twilio: FakeTwilio) -> None:
    call_id = texting.deliver(json.dumps(payload(BUSY)).encode()).json()["callId"]
    (sent,) = eventually(lambda: [one for one in messages_of(texting) if one["status"] == "sent"])
    assert (PERSON, "Hi, sorry we missed you. Acme Corp", call_id) == (sent["to"], sent["body"], sent["callId"])
    path = twilio.taken[0]["callback"].removeprefix(texting.base_url)
    receipt = {"MessageSid": sent["providerMessageId"], "MessageStatus": "delivered"}
    assert 401 == call_back(texting, path, receipt, token="another").status_code
    assert 204 == call_back(texting, path, receipt).status_code
    assert 204 == call_back(texting, path, {**receipt, "MessageStatus": "sent"}).status_code
    assert "delivered" == messages_of(texting)[0]["status"]
    reply = {"MessageSid": "SM99", "From": PERSON, "To": FROM, "Body": "STOP"}
    assert 401 == httpx.post(f"{texting.base_url}/api/webhook/twilio/inbound", data=reply).status_code
    for _ in range(2):
        answer = call_back(texting, "/api/webhook/twilio/inbound", reply)
        assert (200, "text/xml") == (answer.status_code, answer.headers["content-type"])
    (received,) = [one for one in messages_of(texting) if one["status"] == "received"]
    assert (PERSON, "STOP", call_id) == (received["from"], received["body"], received["callId"])
    (opt_out,) = json.loads(texting.offhook("optout", "list", texting.org_id, "--json"))
    assert (PERSON, "stop") == (opt_out["number"], opt_out["source"])
    (event,) = [one for one in texting.get("/api/events").json()["data"] if one["callId"] == call_id]
    (effect,) = texting.get(f"/api/events/{event['_id']}").json()["data"]["effects"]
    assert ("missed_call_text", "done", "sent", 1) == (
        effect["kind"],
        effect["status"],
        effect["outcome"],
        effect["attempts"],
    )
    assert {"_id", "kind", "status", "outcome", "attempts", "dueAt"} == set(effect)
    assert {"done": 1} == httpx.get(f"{texting.base_url}/api/health").json()["effects"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("database_url", "calls", "kills"),
    [
        ("sqlite", 40, 2),
        *(pytest.param(engine, 60, 3, marks=pytest.mark.torture) for engine in ("sqlite", "postgresql")),
    ],
    indirect=["database_url"],
)
def test_killed_with_texts_in_hand_each_is_sent_and_none_twice(
    texting: Server, twilio: FakeTwilio, figure: Any, calls: int, kills: int
) -> None:
    """On PostgreSQL a killed worker's leases, of a minute, run out first; that one is torture's."""
    twilio.takes_s = 0.1
    numbers = [f"+1416{200 + n}{n:04d}" for n in range(calls)]
    for n, number in enumerate(numbers):
        to = [(f"data.metadata.body.{name}", number) for name in ("To", "Called")]
        body = payload(BUSY, ("data.conversation_id", f"conv_{n}"), ("data.metadata.body.CallSid", f"CA{n}"), *to)
        assert 200 == texting.deliver(json.dumps(body).encode()).status_code
    for kill in range(1, kills + 1):
        eventually(lambda kill=kill: len(twilio.taken) >= 12 * kill, within_s=100)  # type: ignore[misc]
        texting.kill()
        texting.start()
    eventually(lambda: len(messages_of(texting)) == calls, within_s=100)
    eventually(lambda: {"sent"} == {one["status"] for one in messages_of(texting)}, within_s=100, every_s=0.2)
    times = Counter(one["to"] for one in twilio.taken)
    figure(
        "killed with texts in hand",
        texts=calls,
        kills=kills,
        lost=calls - len(times),
        twice=sum(times.values()) - calls,
    )
    assert dict.fromkeys(numbers, 1) == times
    assert {one["sid"] for one in twilio.taken} == {one["providerMessageId"] for one in messages_of(texting)}
