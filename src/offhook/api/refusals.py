"""Who was turned away at the doors, and why: for the operator whose webhook does not come through."""

from itertools import islice
from typing import Annotated

from fastapi import Query

from offhook.api import shapes
from offhook.api.access import Admin, Here
from offhook.api.queries import Page
from offhook.api.shapes import Json
from offhook.deps import Deps
from offhook.refusals import Refusal


async def list_refusals(deps: Here, key: Admin, asked: Annotated[Page, Query()]) -> Json:
    """The last refused webhook requests of this process, newest first; not those that claimed another organisation."""
    mine = [refused for refused in deps.refusals if not _is_anothers(deps, refused, key.org_id)]
    limit, offset = asked.bounds["limit"], asked.bounds["offset"]
    shown = [shapes.refusal(refused) for refused in islice(mine, offset, offset + limit)]
    return Json(shapes.RefusalList(data=shown, total=len(mine)))


def _is_anothers(deps: Deps, refused: Refusal, org_id: str) -> bool:
    """A claim that names nobody is shown: a mistyped webhook address is what one looks here for."""
    claimed = refused.org_id
    return claimed not in (None, org_id) and deps.directory.organization(claimed or "") is not None
