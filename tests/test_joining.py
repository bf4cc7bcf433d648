"""Links that let somebody in: each works once, until it expires, for what it was made for."""

from urllib.parse import urlsplit

import httpx
import pytest
import sqlalchemy as sa
import structlog

from offhook.accounts import members
from offhook.accounts.joining import SETUP_S
from offhook.accounts.sign_ins import new_token
from offhook.credentials import hash_of
from offhook.errors import Conflict, Unavailable
from offhook.roles import Role
from offhook.server import _invite_the_first
from offhook.store import audit, invitations, users
from offhook.store.audit import Entry, Wanted
from offhook.store.tables import audit as audit_table
from tests.api import Api
from tests.people import PASSWORD, add_user, sign_in, stranger

SAM = {"name": "Sam Lee", "password": PASSWORD}
FIRST = {**SAM, "email": "sam@acme.example"}


async def test_the_first_user_gets_in_by_the_link_of_the_first_start_and_owns_everything(
    api: Api,
) -> None:
    other = await api.add_organization(name="Globex")
    with structlog.testing.capture_logs() as said:
        for _ in range(2):
            await _invite_the_first(api.deps, "http://calls.example")
    (link,) = [one["url"] for one in said if one["event"] == "setup.link"]
    browser, path = stranger(api), urlsplit(link).path
    assert 200 == (await browser.get(path)).status_code
    for wrong, says in (
        ({**FIRST, "email": "sam"}, "email"),
        ({**FIRST, "password": "x"}, "at least"),
        ({**FIRST, "name": " "}, "called"),
    ):
        refused = await browser.post(path, data=wrong)
        assert 400 == refused.status_code
        assert says in refused.text
    assert 303 == (await browser.post(path, data=FIRST)).status_code
    assert 200 == (await browser.get("/calls")).status_code
    user = await api.deps.database.read(users.find, "sam@acme.example")
    for org_id in (api.org.id, other.id):
        assert "owner" == await api.deps.database.read(users.role_of, user.id, org_id)
    again = stranger(api)
    assert [404, 404] == [(await again.get(path)).status_code, (await again.post(path, data=FIRST)).status_code]


async def test_the_first_user_of_an_empty_installation_makes_its_organisation(api: Api) -> None:
    await api.deps.database.write(_without_organizations)
    token = await api.deps.joining.first_link()
    browser = stranger(api)
    assert 400 == (await browser.post(f"/setup/{token}", data={**FIRST, "timezone": "Mars/Base"})).status_code
    assert "organisation" in (await browser.post(f"/setup/{token}", data=FIRST)).text
    fields = {**FIRST, "organization": "Bistro", "timezone": "Europe/Berlin"}
    assert 303 == (await browser.post(f"/setup/{token}", data=fields)).status_code
    assert "Bistro" in (await browser.get("/account")).text


async def test_an_invitation_lets_one_person_in_once(api: Api) -> None:
    token = await _invite(api, "sam@acme.example", "manager")
    browser, other = stranger(api), stranger(api)
    assert "sam@acme.example" in (await browser.get(f"/invitation/{token}")).text
    assert 400 == (await browser.post(f"/invitation/{token}", data={**SAM, "password": "short"})).status_code
    assert 303 == (await browser.post(f"/invitation/{token}", data=SAM)).status_code
    assert 200 == (await browser.get("/calls")).status_code
    assert 404 == (await other.get(f"/invitation/{token}")).status_code
    assert 404 == (await other.post(f"/invitation/{token}", data=SAM)).status_code
    assert 303 == (await sign_in(other, "sam@acme.example")).status_code
    with pytest.raises(Conflict, match="member already"):
        await _invite(api, "SAM@acme.example", "owner")
    rows = await api.deps.database.read(audit.page, api.org.id, Wanted(), limit=9)
    assert ["signed_in", "signed_in", "user_joined", "user_invited"] == [row.action for row in rows]


async def test_an_invitation_that_is_over_withdrawn_or_made_anew_lets_nobody_in(api: Api) -> None:
    over = await _invite(api, "a@acme.example", "agent", valid_s=-1)
    older, newer = [await _invite(api, "b@acme.example", "agent") for _ in range(2)]
    withdrawn = await _invite(api, "c@acme.example", "agent")
    made = await api.deps.database.read(invitations.open_ones, api.org.id, api.deps.now())
    id = next(one.id for one in made if one.email == "c@acme.example")
    assert await api.deps.database.write(members.withdraw, _by(api), api.org.id, id) is not None
    assert await api.deps.database.write(members.withdraw, _by(api), api.org.id, id) is None
    for token in (over, older, withdrawn, "guessed"):
        assert 404 == (await stranger(api).post(f"/invitation/{token}", data=SAM)).status_code
    assert 404 == (await stranger(api).get(f"/setup/{newer}")).status_code  # a link is good for one thing
    assert 303 == (await stranger(api).post(f"/invitation/{newer}", data=SAM)).status_code


async def test_who_has_an_account_joins_with_its_password_and_no_other(api: Api) -> None:
    other = await api.add_organization(name="Globex")
    await add_user(api, "sam@acme.example", "agent")
    token = await _invite(api, "sam@acme.example", "owner", org_id=other.id)
    browser = stranger(api)
    assert 400 == (await browser.post(f"/invitation/{token}", data={"password": "another one"})).status_code
    assert 303 == (await browser.post(f"/invitation/{token}", data={"password": PASSWORD})).status_code
    assert 200 == (await browser.get("/settings/audit")).status_code  # an owner, of the one that it joined


async def test_a_forgotten_password_is_replaced_by_a_link(api: Api) -> None:
    await add_user(api, "sam@acme.example", "agent")
    before = stranger(api)
    await sign_in(before, "sam@acme.example")
    token, now = new_token(), api.deps.now()
    await api.deps.database.write(
        invitations.make, hash_of(token), "password", email="sam@acme.example", now=now, expires_at=now + SETUP_S
    )
    browser = stranger(api)
    assert 200 == (await browser.get(f"/password/{token}")).status_code
    assert 303 == (await browser.post(f"/password/{token}", data={"password": "three other words"})).status_code
    assert 200 == (await browser.get("/account")).status_code
    assert 303 == (await before.get("/account")).status_code
    assert 404 == (await browser.post(f"/password/{token}", data={"password": "three other words"})).status_code


async def test_an_organisation_keeps_an_owner(api: Api) -> None:
    await add_user(api, "sam@acme.example", "owner")
    sam = await api.deps.database.read(users.find, "sam@acme.example")
    with pytest.raises(Conflict, match="last owner"):
        await api.deps.database.write(members.set_role, _by(api), api.org.id, sam, "agent")
    with pytest.raises(Conflict, match="last owner"):
        await api.deps.database.write(members.remove, _by(api), api.org.id, sam)
    await add_user(api, "lee@acme.example", "owner")
    await api.deps.database.write(members.remove, _by(api), api.org.id, sam)
    assert await api.deps.database.read(users.by_email, "sam@acme.example") is None


async def test_the_audit_log_only_grows(api: Api) -> None:
    await api.deps.database.write(audit.add, _by(api, "call_read"))
    for statement in (audit_table.update().values(who="nobody"), audit_table.delete()):
        with pytest.raises((sa.exc.DBAPIError, Unavailable), match="append-only"):
            await api.deps.database.write(_do, statement)
    for _ in range(3):
        entry = Entry(
            at=api.deps.now(), org_id=api.org.id, user_id="u" * 24, who="a", action="recording_heard", object_id="c"
        )
        await api.deps.database.write(audit.add_once_in, entry, 600)
    rows = await api.deps.database.read(audit.page, api.org.id, Wanted(action="recording_heard"), limit=9)
    assert 1 == len(rows)
    assert 1 == len(await api.deps.database.read(audit.page, api.org.id, Wanted(), limit=9, before=rows[0].seq))


async def test_the_audit_log_is_read_and_filtered(api: Api) -> None:
    await add_user(api, "olga@acme.example", "owner")
    browser = stranger(api)
    await sign_in(browser, "olga@acme.example")
    for place in range(120):
        await api.deps.database.write(audit.add, _by(api, "call_read", object_id=f"call-{place}"))
    page = (await browser.get("/settings/audit")).text
    assert "Olga" in page
    assert "call-119" in page
    assert "call-1<" not in page
    older = httpx.URL(page.split('href="/settings/audit?')[1].split('"')[0])
    assert "call-1<" in (await browser.get(f"/settings/audit?{older}")).text
    assert "call-119" not in (await browser.get("/settings/audit?action=signed_in")).text
    for odd in (
        "from=nonsense&to=9999-12-31",
        "before=x",
        "before=99999999999999999999",
        "action=%00",
        "user=%ff",
        "object=x",
    ):
        assert 200 == (await browser.get(f"/settings/audit?{odd}")).status_code, odd


def _by(api: Api, action: str = "", *, object_id: str | None = None) -> Entry:
    return Entry(at=api.deps.now(), org_id=api.org.id, user_id=None, who="a test", action=action, object_id=object_id)


async def _invite(api: Api, email: str, role: Role, *, org_id: str = "", valid_s: float = 60.0) -> str:
    token = new_token()
    await api.deps.database.write(
        members.invite, _by(api), org_id or api.org.id, token, email=email, role=role, valid_s=valid_s
    )
    return token


def _do(tx: sa.Connection, statement: sa.Executable) -> None:
    tx.execute(statement)


def _without_organizations(tx: sa.Connection) -> None:
    tx.execute(sa.text("DELETE FROM organizations"))
