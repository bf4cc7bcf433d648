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


@pytest.mark.parametrize(("method", "path"), URLS)
async def test_every_401_is_alike(api: Api, method: str, path: str) -> None:
    proofs = ["", "Bearer", "Bearer ", "Bearer ohk_wrong", "Basic b2hr", "Bearer \xff\xfe", "Bearer " + "a" * 8000]
    proofs += [f"Bearer {api.org.tool_secret}", f"Token {api.org.api_key}", f"Bearer {api.org.api_key}x"]
    async with api.client_with(None) as stranger:
        answers = [await stranger.request(method, path)]
        for proof in proofs:
            answers.append(await stranger.request(method, path, headers=[(b"Authorization", proof.encode("latin-1"))]))
    assert {(401, '{"error":"Unauthorized"}', "application/json")} == {
        (answer.status_code, answer.text, answer.headers["content-type"]) for answer in answers
    }


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_known_in_any_case(api: Api, scheme: str) -> None:
    async with api.client_with(None) as client:
        answer = await client.get("/api/contacts", headers={"Authorization": f"{scheme} {api.org.api_key}"})
    assert 200 == answer.status_code


@pytest.mark.parametrize(("method", "path"), URLS)
async def test_a_key_without_the_scope_is_forbidden(api: Api, method: str, path: str) -> None:
    needed = "admin" if path.endswith("refusals") else "read" if method == "GET" else "write"
    others = " ".join({"read", "write", "admin"} - {needed})
    async with api.client_with(await api.add_key(others)) as client:
        answer = await client.request(method, path)
    assert (403, "forbidden") == (answer.status_code, answer.json()["code"])
    assert needed in answer.json()["error"]
    async with api.client_with(await api.add_key(needed)) as client:
        assert (await client.request(method, path)).status_code not in (401, 403)


async def test_a_key_that_was_made_a_moment_ago_is_valid_at_once(api: Api) -> None:
    other = await api.add_organization()
    async with api.client_with(other.api_key) as client:
        assert 200 == (await client.get("/api/calls/history")).status_code


async def test_a_rotated_key_is_valid_until_its_overlap_ends(api: Api) -> None:
    rotation = api.deps.keys, api.org.id, "api_key", "ohk_" + "a" * 64, NOW
    await api.deps.database.write(organizations.rotate, *rotation, overlap_s=-1)
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


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/nothing", "/api/calls", "/api/calls/history/", "/docs", "/api//calls"]
)
async def test_an_unknown_address_is_a_404_in_the_envelope(api: Api, path: str) -> None:
    answer = await api.get(path)
    assert (404, {"error": "Not Found.", "success": False, "code": "not_found"}) == (answer.status_code, answer.json())


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/calls/history", "GET, HEAD"),
        ("PUT", "/api/contacts", "GET, HEAD, POST"),
        ("POST", f"/api/contacts/{hex_id(1)}", "DELETE, GET, HEAD, PATCH"),
        ("GET", f"/api/events/{hex_id(1)}/replay", "POST"),
        ("TRACE", "/api/events", "GET, HEAD"),
        ("OPTIONS", "/api/refusals", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_which_are_right(api: Api, method: str, path: str, allowed: str) -> None:
    answer = await api.client.request(method, path)
    assert (405, allowed) == (answer.status_code, answer.headers["allow"])
    assert (False, "method_not_allowed") == (answer.json()["success"], answer.json()["code"])


async def test_what_goes_wrong_here_is_a_500_that_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is swordfish")

    monkeypatch.setattr(api.deps.database, "read", broken)
    answer = await api.get("/api/calls/history")
    assert (500, "internal_error") == (answer.status_code, answer.json()["code"])
    assert "swordfish" not in answer.text


@pytest.mark.parametrize(("method", "path"), [url for url in URLS if url[0] == "GET"])
async def test_head_says_what_get_would_without_the_body(api: Api, method: str, path: str) -> None:
    assert (await api.client.request(method, path)).status_code == (await api.client.head(path)).status_code
