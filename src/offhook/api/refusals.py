"""Who was turned away at the doors, and why: for the operator whose webhook does not come through."""

from itertools import islice
from typing import Annotated

from fastapi import Query

from offhook.api import shapes
from offhook.api.access import Admin, Here
from offhook.api.queries import Page
from offhook.api.shapes import Json


async def list_refusals(deps: Here, key: Admin, asked: Annotated[Page, Query()]) -> Json:
    """The last refused webhook requests of this process, newest first: those that claimed this organisation, or none."""
    mine = [refused for refused in deps.refusals if refused.org_id in (None, key.org_id)]
    limit, offset = asked.bounds["limit"], asked.bounds["offset"]
    shown = [shapes.refusal(refused) for refused in islice(mine, offset, offset + limit)]
    return Json(shapes.RefusalList(data=shown, total=len(mine)))
