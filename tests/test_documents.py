"""The documents tell the truth: their links, their commands, and every URL and key of the API."""

import contextlib
import io
import os
import re
import shlex
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any
from unittest import mock

from fastapi import FastAPI
from prometheus_client import REGISTRY

from offhook import app as _every_metric  # noqa: F401 - registers them
from offhook.api import router
from offhook.api.openapi import document
from offhook.cli import run

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def test_relative_links_in_the_documents_lead_somewhere() -> None:
    links = [(page, link) for page in DOCUMENTS for link in re.findall(r"\]\(([^)#\s]+)", page.read_text())]
    local = [(page, link) for page, link in links if "://" not in link and not link.startswith("mailto:")]
    assert [] == [f"{page.name}: {link}" for page, link in local if not (page.parent / link).exists()]


def test_every_command_in_the_documents_exists() -> None:
    """Its words are known to the command line, and so is each of its options."""
    unknown = []
    for page in DOCUMENTS:
        for command in _commands_in(page):
            words, options = _words_and_options(command)
            shown = _help(*words)
            unknown += [f"{page.name}: {command}: {option}" for option in options if option not in shown]
    assert [] == unknown


def test_every_url_of_the_api_is_documented() -> None:
    page = (ROOT / "docs/api.md").read_text()
    urls = {f"`{method} {path}`" for path, of in _openapi()["paths"].items() for method in map(str.upper, of)}
    assert [] == sorted(url for url in urls if url not in page and "/webhook/" not in url)
    assert [] == sorted(url for url in re.findall(r"^\| (`[A-Z]+ /api/[^`?]+`)", page, re.M) if url not in urls)


def test_every_key_of_an_answer_of_the_api_is_documented() -> None:
    page = (ROOT / "docs/api.md").read_text() + (ROOT / "docs/tools.md").read_text()
    schemas = _openapi()["components"]["schemas"]
    keys = {
        key for name, schema in schemas.items() if not name.startswith("ElevenLabs") for key in schema["properties"]
    }
    assert [] == sorted(key for key in keys if not re.search(rf"`{key}`|`{key}\b|\"{key}\"", page))


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    metrics = {metric.name for metric in REGISTRY.collect() if metric.name.startswith("offhook_")}
    assert [] == sorted(name for name in metrics if f"`{name}" not in page)
    assert "offhook_accept_seconds" in metrics


def _commands_in(page: Path) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("offhook ")]


def _words_and_options(command: str) -> tuple[list[str], list[str]]:
    tokens = shlex.split(command, comments=True)[1:]
    words = list(takewhile(re.compile(r"[a-z-]+\Z").match, tokens))[:2]
    return words, [token.partition("=")[0] for token in tokens if token.startswith("--")]


@cache
def _help(*words: str) -> str:
    shown = io.StringIO()
    with mock.patch.dict(os.environ, {"COLUMNS": "200", "NO_COLOR": "1"}), contextlib.redirect_stdout(shown):
        code = run([*words, "--help"])
    assert 0 == code, f"offhook {' '.join(words)}: {shown.getvalue()}"
    return shown.getvalue()


def _openapi() -> dict[str, Any]:
    return document(FastAPI(routes=list(router.routes)))
