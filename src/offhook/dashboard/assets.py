"""Stylesheet, scripts and icons. Their address holds the hash of all of them, so browsers may keep them for ever."""

import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css"}  # whatever this machine believes
_FOR_EVER = "public, max-age=31536000, immutable"


class _Asset(NamedTuple):
    content: bytes
    media_type: str


@cache
def _assets() -> dict[str, _Asset]:
    """By path below static/. A quarter of a megabyte at most: it stays in memory."""
    paths = sorted(path for path in _FOLDER.rglob("*") if path.is_file())
    return {path.relative_to(_FOLDER).as_posix(): _Asset(path.read_bytes(), _type_of(path)) for path in paths}


def _type_of(path: Path) -> str:
    return _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


@cache
def version() -> str:
    digest = hashlib.sha256()
    for name, asset in _assets().items():
        digest.update(f"{name}\0{len(asset.content)}\0".encode() + asset.content)
    return digest.hexdigest()[:12]


def address(name: str) -> str:
    """Where a page finds static/*name*."""
    assert name in _assets(), name
    return f"/static/{version()}/{name}"


async def _serve(request: Request) -> Response:
    """An old page asks for what is no longer here: it gets today's, and may not keep it under the old address."""
    asset = _assets().get(request.path_params["name"])
    if asset is None:
        raise HTTPException(404)
    is_current = request.path_params["version"] == version()
    headers = {"Cache-Control": _FOR_EVER if is_current else "no-cache"}
    return Response(asset.content, headers=headers, media_type=asset.media_type)


ROUTE = Route("/static/{version}/{name:path}", _serve)
