"""Who was turned away at the doors, and why: for the operator whose webhook does not come through."""

from itertools import islice
from typing import Annotated

from fastapi import Query

from offhook.api import shapes
from offhook.api.access import Admin, Here
from offhook.api.queries import Page
from offhook.api.shapes import Json


async def list_refusals(deps: Here, key: Admin, asked: Annotated[Page, Query()]) -> Json:
    """The last refused webhook requests of this process, newest first; not those that claimed another organisation."""
    mine = deps.refusals.concerning(key.org_id, lambda claimed: deps.directory.organization(claimed) is not None)
    limit, offset = asked.bounds["limit"], asked.bounds["offset"]
    shown = [shapes.refusal(refused) for refused in islice(mine, offset, offset + limit)]
    return Json(shapes.RefusalList(data=shown, total=len(mine)))
