"""The document at /openapi.json: the doors as the user's two documents have them, and every URL of the API."""

import re
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from offhook.api import router
from tests.api import Api
from tests.test_seeds_schemathesis import SEEDS, seed_document

DOORS = {"000": "/api/webhook/elevenlabs", "002": "/api/webhook/elevenlabs/personalization"}


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    async with api.client_with(None) as stranger:
        answer = await stranger.get("/openapi.json")
    assert 200 == answer.status_code
    return dict(answer.json())


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_seeds_schemas_stand_here_to_the_letter(document: dict[str, Any], seed: str) -> None:
    wanted = yaml.safe_load(seed_document(seed))
    for name, schema in wanted["components"]["schemas"].items():
        assert schema == document["components"]["schemas"][name]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_door_is_the_seeds_and_more_answers(document: dict[str, Any], seed: str) -> None:
    wanted = yaml.safe_load(seed_document(seed))["paths"][DOORS[seed]]["post"]
    ours = document["paths"][DOORS[seed]]["post"]
    assert {"405", "413", "503"} == set(ours["responses"]) - set(wanted["responses"])
    assert wanted["responses"].items() <= ours["responses"].items()
    for key in ("tags", "summary", "description", "operationId", "requestBody"):
        assert wanted[key] == ours[key]


async def test_every_url_of_the_api_is_described_and_every_described_url_is_served(
    api: Api, document: dict[str, Any]
) -> None:
    described = [(method, path) for path, operations in document["paths"].items() for method in operations]
    assert {getattr(route, "path", None) for route in router.routes} < {path for _, path in described}
    for method, path in described:
        answer = await api.client.request(method.upper(), re.sub(r"\{.*?\}", "0" * 24, path))
        assert 405 != answer.status_code
        assert "Not Found." != answer.json().get("error")


async def test_every_reference_leads_somewhere_and_every_schema_is_used(document: dict[str, Any]) -> None:
    referred = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert referred == set(document["components"]["schemas"])


async def test_every_operation_says_what_it_does_and_who_may(document: dict[str, Any]) -> None:
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    for operation in operations:
        assert operation["summary"]
        assert operation["security"]
        assert "422" not in operation["responses"]
        assert all("description" in answer for answer in operation["responses"].values())
