"""What the organisation is called and where it is; the addresses that ElevenLabs must know."""

import msgspec
from starlette.responses import Response

from offhook.dashboard.pages.settings.filled import Filled, read_filled
from offhook.dashboard.pages.settings.section import changed, differences, done, noted, show
from offhook.dashboard.visitors import Visit
from offhook.decisions import KEYS
from offhook.store import organizations

_URL = "/settings"
_FIELDS = {name: KEYS[name].read for name in ("name", "timezone", "country")}


async def organization(visit: Visit) -> Response:
    return await _show(visit, Filled(await _known(visit)))


async def change_organization(visit: Visit) -> Response:
    filled = read_filled(await visit.form(), _FIELDS)
    if not filled.is_usable:
        return await _show(visit, filled, status=400)
    details = differences(await _known(visit), filled.values)
    if details:
        entry = changed(visit, "organisation", details)
        await noted(visit, entry, organizations.change, visit.org_id, filled.values)
    return done(_URL, "saved")


async def _known(visit: Visit) -> dict[str, str]:
    known = await visit.deps.database.read(organizations.get, visit.org_id)
    return {name: msgspec.structs.asdict(known)[name] for name in _FIELDS}


async def _show(visit: Visit, filled: Filled, *, status: int = 200) -> Response:
    base = (visit.deps.settings.public_url or str(visit.request.base_url).rstrip("/")) + "/api/webhook/elevenlabs"
    addresses = (("webhook", f"{base}?org={visit.org_id}"), ("personalization", f"{base}/personalization"))
    return await show(visit, _URL, "organization.html", status=status, filled=filled, addresses=addresses)
