"""Whether an address at ElevenLabs leads to this offhook. Pure."""

from urllib.parse import parse_qs, urlsplit

WEBHOOK = "/api/webhook/elevenlabs"
PERSONALIZATION = f"{WEBHOOK}/personalization"
_PORTS = {"http": 80, "https": 443}


def leads_to(url: str, path: str, public_url: str) -> bool:
    """Whether *url* is our *path* below *public_url*, whatever its query; an empty one is not known, and any host will do."""
    try:
        given, ours = urlsplit(url), urlsplit(public_url)
        is_ours = not public_url or _place(given.scheme, given.hostname, given.port) == _place(
            ours.scheme, ours.hostname, ours.port
        )
    except ValueError:
        return False
    given_path = given.path.rstrip("/")
    return is_ours and (given_path == ours.path.rstrip("/") + path if public_url else given_path.endswith(path))


def org_in(url: str) -> str | None:
    """Whose events come by *url*, as far as it says."""
    return next(iter(parse_qs(urlsplit(url).query).get("org", [])), None)


def _place(scheme: str, host: str | None, port: int | None) -> tuple[str, str | None, int | None]:
    return scheme.lower(), host, port or _PORTS.get(scheme.lower())
