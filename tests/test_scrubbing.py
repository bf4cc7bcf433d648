"""Secrets leave a payload before anything else reads it, wherever they stand; what is none stays as it was."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.projection.gathering import gather
from offhook.projection.settling import settle
from offhook.voice.elevenlabs.scrub import SCRUBBED, scrubbed
from tests.payloads import BOOKING, SECRETS, event, payload

TOOL_SECRET = "oht_5ecre7t00l5ecre7t00l5ecre7t00l5ecre7"


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_of_a_whole_payload_is_left(secret: str) -> None:
    content = payload(BOOKING)
    assert secret in json.dumps(content)
    assert secret not in json.dumps(scrubbed(content))


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_reaches_the_rows_of_a_call(secret: str) -> None:
    gathered = gather([event(payload(BOOKING))])
    assert gathered is not None
    folded = settle(gathered, None, "CA")
    assert secret not in repr(folded)


def test_a_payload_loses_nothing_but_its_secrets() -> None:
    before, after = payload(BOOKING), scrubbed(payload(BOOKING))
    call = after["data"]["transcript"][2]["tool_calls"][0]
    assert {"Authorization": SCRUBBED, "X-Clinic": SCRUBBED, "Content-Type": "application/json"} == call[
        "tool_details"
    ]["headers"]
    assert {"day": "2025-11-21", "api_key": SCRUBBED} == json.loads(call["tool_details"]["body"])
    for block in ("metadata", "analysis"):
        assert before["data"][block] == after["data"][block]
    assert [turn["message"] for turn in before["data"]["transcript"]] == [
        turn["message"] for turn in after["data"]["transcript"]
    ]


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "Authorization", "AUTHORIZATION", "proxy-authorization", "x-authorization", "auth", "bearer",
        "x-api-key", "X-API-Key", "xi-api-key", "apiKey", "api_key", "my_secret_thing", "secret", "clientSecret",
        "secret__crm", "webhook_secret", "password", "db_password", "passwd", "Cookie", "set-cookie", "access_token",
        "token", "refreshToken", "TOKEN", "credentials", "private_key", "authorizationHeader", "jwt",
    ],
)  # fmt: skip
def test_what_stands_under_a_secret_name_is_replaced(name: str) -> None:
    assert {name: SCRUBBED} == scrubbed({name: "abc"})
    assert [{"a": [{name: SCRUBBED}]}] == scrubbed([{"a": [{name: "abc"}]}])


@pytest.mark.parametrize(
    "value",
    [
        {"tokens": 412, "price": 0.1},
        {"max_tokens": 100, "token_usage": {"input": {"tokens": 1}}},
        {"authorization_method": "signed_url"},
        {"credential_id": "cred_1"},
        {"key": "value", "monkey": "business", "keyword": "basic"},
        {"secret": None, "token": None, "is_secret": True},
        {"queue_token": {"data_collection_id": "queue_token", "value": "A 12", "rationale": "He said A 12."}},
        {"passwordless": "yes", "author": "Anne", "authority": "town hall"},
        "The bearer certificate is a basic instrument.",
        "Bearer of good news, please call back.",
        "Basic plan, thank you.",
        "sk_live is what he said",
        "Write to alex@example.com, https://example.com/a?page=2&q=token",
        '{"not": "secret", "tokens": 3}',
        "{not json, token",
        "[1, 2, 3] is the key",
        12,
        None,
        True,
        "",
    ],
    ids=repr,
)
def test_what_is_no_secret_stays(value: Any) -> None:
    assert value == scrubbed(value)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Bearer abcdefgh", SCRUBBED),
        ("bearer\tabc.def", SCRUBBED),
        ("  BEARER abcdefgh ", SCRUBBED),
        ("Basic dXNlcjpwYXNz", SCRUBBED),
        ("401 for Authorization: Bearer abc123def456, sorry", f"401 for Authorization: Bearer {SCRUBBED}, sorry"),
        ("curl -H 'Authorization: Basic dXNlcjpwYXNz1=' x", f"curl -H 'Authorization: Basic {SCRUBBED}' x"),
        (f"the secret is {TOOL_SECRET}.", f"the secret is {SCRUBBED}."),
        ("key sk_0123456789abcdef0123", f"key {SCRUBBED}"),
        ("jwt eyJhbGciOiJub25l.eyJzdWIiOjF9.c2lnbmVk.", f"jwt {SCRUBBED}."),
        ("https://x.example/a?token=abc&day=1", f"https://x.example/a?token={SCRUBBED}&day=1"),
        ("https://x.example/a?day=1&api_key=abc#top", f"https://x.example/a?day=1&api_key={SCRUBBED}#top"),
        ("https://user:pass@x.example/", f"https://{SCRUBBED}@x.example/"),
        ("{'tool_secret': 'abc', 'day': 1}", f"{{'tool_secret': '{SCRUBBED}', 'day': 1}}"),
        ('{"day": 1, "api_key": "abc', f'{{"day": 1, "api_key": "{SCRUBBED}'),
        ('{"token":"abc","day":1}', f'{{"token":"{SCRUBBED}","day":1}}'),
        (' [{"headers":{"X-Mine":"abc"}}]', f'[{{"headers":{{"X-Mine":"{SCRUBBED}"}}}}]'),
        ('{"body":"{\\"secret\\":\\"abc\\"}"}', f'{{"body":"{{\\"secret\\":\\"{SCRUBBED}\\"}}"}}'),
    ],
)
def test_a_secret_within_a_text_is_replaced_and_the_rest_stays(text: str, clean: str) -> None:
    assert clean == scrubbed(text)
    assert {"message": clean} == scrubbed({"message": text})


@pytest.mark.parametrize("headers", [{"X-Anything": "abc"}, {"Content-Type": "text/plain", "X-Tool": "abc"}])
def test_a_header_of_any_name_may_carry_the_tools_secret(headers: dict[str, str]) -> None:
    assert "abc" not in json.dumps(scrubbed({"tool_details": {"headers": headers}}))
    assert "abc" not in json.dumps(scrubbed({"request_headers": headers, "requestHeaders": headers}))


@pytest.mark.parametrize("headers", ["X-Tool: abc", ["X-Tool: abc"], 7])
def test_headers_of_another_kind_are_replaced_whole(headers: Any) -> None:
    assert {"headers": SCRUBBED} == scrubbed({"headers": headers})


@pytest.mark.parametrize("value", [12345, 1.5, ["a", "b"], {"a": "b"}])
def test_under_a_secret_name_everything_is_one(value: Any) -> None:
    assert {"password": SCRUBBED} == scrubbed({"password": value})


def test_a_list_of_tokens_loses_each_of_them() -> None:
    assert {"tokens": [SCRUBBED, SCRUBBED, 3]} == scrubbed({"tokens": ["abc", "def", 3]})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(SECRETS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_scrubbing_twice_is_scrubbing_once(value: Any) -> None:
    once = scrubbed(value)
    assert once == scrubbed(once)


@given(JSON, st.sampled_from(["token", "secret", "Authorization", "x-api-key"]))
def test_no_text_under_a_secret_name_is_left_wherever_it_stands(value: Any, name: str) -> None:
    assert "a private thing" not in json.dumps(scrubbed({"a": [value, {name: "a private thing"}]}))


def test_naughty_strings_are_no_secrets(corpora: Path) -> None:
    naughty = json.loads((corpora / "strings" / "blns.json").read_text())
    assert [] == [text for text in naughty if text != scrubbed(text) and "@" not in text]


@pytest.mark.parametrize(
    "text",
    [
        "?token" * 200_000,
        "?" + "token-" * 200_000,
        "bearer " * 200_000,
        "bearer+" * 200_000,
        "bearer" + " " * 1_000_000,
        "://" * 400_000 + "@",
        "sk_" + "a" * 1_000_000 + "_",
        "_secret" * 200_000,
        "eyJ-" * 250_000,
        "eyJaaaaaaaa." * 100_000,
        "[" * 500_000 + "token",
        '{"token":' * 100_000,
    ],
    ids=lambda text: text[:8],
)
def test_no_text_however_long_makes_it_slow(text: str) -> None:
    begun = time.process_time()
    scrubbed({text[:100]: text, "headers": {text: text}, text: 1})
    assert time.process_time() - begun < 2


def test_what_is_nested_without_end_is_cut() -> None:
    deep: Any = "Bearer abcdefgh1"
    for _ in range(500):
        deep = [deep]
    assert "abcdefgh1" not in json.dumps(scrubbed(deep))
