"""Keys and errors: every 401 alike, a scope for everything, and one envelope whatever goes wrong."""

import pytest

from offhook.errors import Unavailable
from offhook.store import organizations
from tests.api import NOW, Api, hex_id

URLS = [
    ("GET", "/api/calls/history"),
    ("GET", f"/api/calls/{hex_id(1)}"),
    ("GET", f"/api/calls/{hex_id(1)}/recording"),
    ("GET", f"/api/calls/{hex_id(1)}/audio"),
    ("GET", "/api/contacts"),
    ("POST", "/api/contacts"),
    ("GET", f"/api/contacts/{hex_id(1)}"),
    ("PATCH", f"/api/contacts/{hex_id(1)}"),
    ("DELETE", f"/api/contacts/{hex_id(1)}"),
    ("GET", "/api/contact-notes"),
    ("GET", "/api/events"),
    ("GET", f"/api/events/{hex_id(1)}"),
    ("POST", f"/api/events/{hex_id(1)}/replay"),
    ("GET", "/api/refusals"),
]


async def test_every_401_is_alike(api: Api) -> None:
    proofs = ["", "Bearer", "Bearer ", "Bearer ohk_wrong", "Basic b2hr", "Bearer \xff\xfe", "Bearer " + "a" * 8000]
    proofs += [f"Bearer {api.org.tool_secret}", f"Token {api.org.api_key}", f"Bearer {api.org.api_key}x"]
    async with api.client_with(None) as stranger:
        answers = [await stranger.request(method, path) for method, path in URLS]
        for proof in proofs:
            headers = [(b"Authorization", proof.encode("latin-1"))]
            answers += [await stranger.request(method, path, headers=headers) for method, path in URLS]
    assert {(401, '{"error":"Unauthorized"}', "application/json")} == {
        (answer.status_code, answer.text, answer.headers["content-type"]) for answer in answers
    }


async def test_the_scheme_is_known_in_any_case(api: Api) -> None:
    async with api.client_with(None) as client:
        for scheme in ("Bearer", "bearer", "BEARER"):
            answer = await client.get("/api/contacts", headers={"Authorization": f"{scheme} {api.org.api_key}"})
            assert 200 == answer.status_code


async def test_every_address_wants_its_scope(api: Api) -> None:
    scopes = "read", "write", "admin"
    clients = {scope: api.client_with(await api.add_key(scope)) for scope in scopes}
    for method, path in URLS:
        needed = "admin" if path.endswith("refusals") else "read" if method == "GET" else "write"
        for scope in scopes:
            answer = await clients[scope].request(method, path)
            if scope == needed:
                assert answer.status_code not in (401, 403)
            else:
                assert (403, "forbidden") == (answer.status_code, answer.json()["code"])
                assert answer.json()["error"].endswith(f"{needed}.")


async def test_a_key_that_was_made_a_moment_ago_is_valid_at_once(api: Api) -> None:
    other = await api.add_organization()
    async with api.client_with(other.api_key) as client:
        assert 200 == (await client.get("/api/calls/history")).status_code


async def test_a_rotated_key_is_valid_until_its_overlap_ends(api: Api) -> None:
    fresh = "ohk_" + "a" * 64
    await api.deps.database.write(organizations.rotate, api.deps.keys, api.org.id, "api_key", fresh, NOW, overlap_s=-1)
    await api.deps.directory.refresh()
    assert 401 == (await api.get("/api/calls/history")).status_code


async def test_while_the_database_is_silent_an_unknown_key_is_told_to_come_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object, **__: object) -> None:
        raise Unavailable

    monkeypatch.setattr(api.deps.database, "read", silent)
    async with api.client_with("ohk_unknown") as stranger:
        answers = [await stranger.get("/api/calls/history"), await api.get("/api/calls/history")]
    for answer in answers:
        assert (503, "unavailable") == (answer.status_code, answer.json()["code"])
        assert 0 < int(answer.headers["retry-after"])


async def test_an_unknown_address_is_a_404_in_the_envelope(api: Api) -> None:
    for path in ("/api", "/api/nothing", "/api/calls", "/api/calls/history/", "/api//calls"):
        answer = await api.get(path)
        envelope = {"error": "Not Found.", "success": False, "code": "not_found"}
        assert (404, envelope) == (answer.status_code, answer.json())


async def test_a_wrong_method_is_told_which_are_right(api: Api) -> None:
    allowed = {
        ("POST", "/api/calls/history"): "GET, HEAD",
        ("PUT", "/api/contacts"): "GET, HEAD, POST",
        ("POST", f"/api/contacts/{hex_id(1)}"): "DELETE, GET, HEAD, PATCH",
        ("GET", f"/api/events/{hex_id(1)}/replay"): "POST",
        ("TRACE", "/api/events"): "GET, HEAD",
        ("OPTIONS", "/api/refusals"): "GET, HEAD",
    }
    answers = {url: await api.client.request(*url) for url in allowed}
    assert {(405, "method_not_allowed")} == {(one.status_code, one.json()["code"]) for one in answers.values()}
    assert allowed == {url: answer.headers["allow"] for url, answer in answers.items()}


async def test_what_goes_wrong_here_is_a_500_that_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is swordfish")

    monkeypatch.setattr(api.deps.database, "read", broken)
    answer = await api.get("/api/calls/history")
    assert (500, "internal_error") == (answer.status_code, answer.json()["code"])
    assert "swordfish" not in answer.text


async def test_head_says_what_get_would_without_the_body(api: Api) -> None:
    for path in (path for method, path in URLS if method == "GET"):
        assert (await api.get(path)).status_code == (await api.client.head(path)).status_code
