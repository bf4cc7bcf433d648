"""Settings: what an organisation decides and who may get in, as people change it on pages, on both databases."""

import asyncio
import re
from typing import Any

import pytest

from offhook.settings import Settings
from offhook.store import organizations, staff, users, workspaces
from offhook.store.audit import Wanted
from offhook.store.audit import page as audit_page
from offhook.store.organizations import Organization
from tests.api import Api, running_api
from tests.pages import Page
from tests.people import add_user, signed_in, stranger
from tests.twins import KEY, Twin

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  #: what no query decides
HOSTILE = "<script>alert(1)</script>\"'--><img src=x onerror=alert(1)> {{ 7*7 }} &amp;"
_SECTIONS = ("", "/hours", "/people", "/numbers", "/agents", "/texts", "/secrets", "/users", "/keys")


async def test_an_organisation_gets_another_name_zone_and_country_and_the_log_says_from_what(api: Api) -> None:
    browser = await signed_in(api, "manager")
    facts = {"name": "  Acme & Sons ", "timezone": "europe/berlin", "country": "de"}
    answer = await browser.post("/settings", data=facts)
    assert (303, "/settings?done=saved") == (answer.status_code, answer.headers["location"])
    now = await _organization(api)
    assert ("Acme & Sons", "Europe/Berlin", "DE") == (now.name, now.timezone, now.country)
    assert "Saved" in Page((await browser.get(answer.headers["location"])).text).text
    (entry,) = await _logged(api, "settings_changed")
    assert ("manager@acme.example", "organisation") == (entry.who, entry.object_id)
    assert "Acme Corp → Acme & Sons" in entry.details


@on_sqlite
async def test_what_cannot_be_used_is_said_beside_its_field_and_what_was_typed_stays(api: Api) -> None:
    browser = await signed_in(api, "owner")
    answer = await browser.post("/settings", data={"name": "Kept", "timezone": "Toronto!", "country": "Canada"})
    page = Page(answer.text)
    assert 400 == answer.status_code
    assert ["Kept", "Toronto!"] == [page.values("input", "value", name=name)[0] for name in ("name", "timezone")]
    assert ["f-timezone", "f-country"] == page.values("input", "id", aria_invalid="true")
    zone, country = page.all("small", class_="why")
    assert "There is no time zone 'Toronto!': did you mean America/Toronto?" == zone
    assert "There is no country 'Canada'" in country
    assert "Acme Corp" == (await _organization(api)).name
    assert [] == await _logged(api, "settings_changed")


async def test_a_form_that_changes_nothing_writes_nothing_into_the_log(api: Api) -> None:
    browser = await signed_in(api, "owner")
    for section in ("", "/hours", "/texts"):
        form = _form((await browser.get(f"/settings{section}")).text)
        assert 303 == (await browser.post(f"/settings{section}", data=form)).status_code
    assert [] == await _logged(api, "settings_changed")


async def test_hours_and_holidays_are_typed_by_the_day(api: Api) -> None:
    browser = await signed_in(api, "manager")
    days = {"mon": "9-12, 13:00-17:30", "sat": "22:00-02:00", "holidays": "12-25\n2027-04-02"}
    assert 303 == (await browser.post("/settings/hours", data=days)).status_code
    rules = (await _organization(api)).rules
    assert {"mon", "sat"} == set(rules.business_hours)
    assert ("12-25", "2027-04-02") == rules.holidays
    page = Page((await browser.get("/settings/hours")).text)
    assert ["09:00-12:00, 13:00-17:30"] == page.values("input", "value", name="mon")
    for field, text in (("tue", "9-5pm"), ("tue", "09:00-10:00; wed 10-11"), ("holidays", "2026-02-30")):
        refused = await browser.post("/settings/hours", data={field: text})
        assert (400, 1) == (refused.status_code, len(Page(refused.text).all("small", class_="why"))), text
    assert {"mon", "sat"} == set((await _organization(api)).rules.business_hours)


@on_sqlite
async def test_hours_say_whether_somebody_is_there_now(api: Api) -> None:
    browser = await signed_in(api, "manager")
    for hours, said in (("00:00-24:00", "Open now"), ("", "Closed now")):
        await browser.post(
            "/settings/hours", data=dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), hours)
        )
        assert [said] == Page((await browser.get("/settings/hours")).text).all("span", class_="tag")


async def test_people_are_added_changed_sent_home_and_removed(api: Api) -> None:
    browser = await signed_in(api, "manager")
    new = {"name": HOSTILE[:60], "number": "(416) 555-0123", "is_online": "1", "is_available": "1"}
    assert 303 == (await browser.post("/settings/people", data=new)).status_code
    ((row,), _) = await api.deps.database.read(staff.page, api.org.id, limit=9, offset=0)
    assert ("+14165550123", True) == (row.number, row.is_available)
    assert HOSTILE[:60] in Page((await browser.get("/settings/people")).text).text
    at = f"/settings/people/{row.id}"
    await browser.post(at, data={"only": "is_available", "is_available": ""})
    changed = await api.deps.database.read(staff.get, api.org.id, row.id)
    assert changed is not None
    assert (True, False, "+14165550123") == (changed.is_online, changed.is_available, changed.number)
    refused = await browser.post(at, data={"name": "Sam", "number": "12"})
    assert "'12' cannot be read as a telephone number" in Page(refused.text).all("small", class_="why")[0]
    assert 303 == (await browser.post(f"{at}/remove")).status_code
    assert 404 == (await browser.post(f"{at}/remove")).status_code
    assert ["colleague"] * 3 == [entry.object_kind for entry in await _logged(api, "settings_changed")]


async def test_numbers_are_registered_in_any_spelling_and_never_anothers(api: Api) -> None:
    other = await api.add_organization()
    await api.deps.database.write(organizations.add_number, other.id, "+14165550199", None, 1.0)
    browser = await signed_in(api, "manager")
    added = await browser.post("/settings/numbers", data={"number": "(236) 232-0246", "label": "Front desk"})
    taken = await browser.post("/settings/numbers", data={"number": "+14165550199", "label": ""})
    assert (303, 400) == (added.status_code, taken.status_code)
    assert "another organisation" in Page(taken.text).all("small", class_="why")[0]
    assert ("+12362320246",) == api.deps.directory.numbers_of(api.org.id)
    assert 404 == (await browser.post("/settings/numbers/remove", data={"number": "+14165550199"})).status_code
    assert 303 == (await browser.post("/settings/numbers/remove", data={"number": "+12362320246"})).status_code
    assert () == api.deps.directory.numbers_of(api.org.id)


async def test_variables_are_declared_for_all_agents_or_for_one(api: Api) -> None:
    browser = await signed_in(api, "manager")
    await api.deps.database.write(organizations.learn_agent, api.org.id, "a/b?c&d=\"'<i>", None, 1.0)
    await browser.post("/settings/variables", data={"variable": "visits", "type": "number", "default": "3"})
    one = {"agent": "a/b?c&d=\"'<i>", "variable": "offer", "type": "string", "default": HOSTILE.replace("{{", "{")}
    answer = await browser.post("/settings/variables", data=one)
    page = Page((await browser.get(answer.headers["location"])).text)
    assert one["default"] in page.text
    told = api.deps.directory.declared(api.org.id, one["agent"])
    assert {"visits": 3, "offer": one["default"]} == {name: variable.default for name, variable in told.items()}
    for field, wrong in (("variable", "no name"), ("variable", "system__x"), ("default", "many")):
        typed = {"variable": "ok", "type": "number", "default": "1", field: wrong}
        refused = Page((await browser.post("/settings/variables", data=typed)).text)
        assert [f"f-{field}"] == refused.values("input", "id", aria_invalid="true")
        assert [wrong] == refused.values("input", "value", id=f"f-{field}")
    for agent in ("", one["agent"]):
        gone = {"agent": agent, "variable": "offer" if agent else "visits"}
        assert 303 == (await browser.post("/settings/variables/remove", data=gone)).status_code
        assert 404 == (await browser.post("/settings/variables/remove", data=gone)).status_code
    assert {} == api.deps.directory.declared(api.org.id, one["agent"])


async def test_agents_are_named_remember_and_are_forgotten_but_never_anothers(api: Api) -> None:
    other = await api.add_organization()
    await api.deps.database.write(organizations.add_agent, other.id, "agent_theirs", "Theirs", 1.0)
    browser = await signed_in(api, "owner")
    ours, theirs = ({"agent_id": f"agent_{whose}", "agent_name": "Reception"} for whose in ("ours", "theirs"))
    assert [303, 400] == [(await browser.post("/settings/agents", data=one)).status_code for one in (ours, theirs)]
    assert "Reception" == api.deps.directory.agent_name(api.org.id, "agent_ours")
    await browser.post("/settings/agents/memory", data={"memory": "1"})
    rules = (await _organization(api)).rules
    assert (True, False) == (rules.memory, rules.free_text)
    for agent, status in (("agent_theirs", 404), ("agent_ours", 303), ("agent_ours", 404)):
        assert status == (await browser.post("/settings/agents/remove", data={"agent_id": agent})).status_code
    assert 404 == (await browser.get("/settings/agent?id=agent_theirs")).status_code


async def test_the_missed_call_message_is_previewed_as_it_would_be_sent_and_only_then_saved(api: Api) -> None:
    browser = await signed_in(api, "manager")
    form = _form((await browser.get("/settings/texts")).text)
    form |= {"missed-call-text": "1", "missed-call-message": "Hi {{contactName}}, {{orgName}} <b>missed</b> you {{x}}!"}
    page = Page((await browser.post("/settings/texts", data={**form, "preview": "1"})).text)
    assert [
        "Hi Maya Okafor, Acme Corp <b>missed</b> you!",
        "Hi, Acme Corp <b>missed</b> you!",
    ] == page.all("p", class_="say")
    assert (await _organization(api)).rules.missed_call_message is None
    limits = {"quiet-hours": "21:00-08:00", "texts-per-number": "1", "text-countries": "ca, us"}
    assert 303 == (await browser.post("/settings/texts", data=form | limits)).status_code
    rules = (await _organization(api)).rules
    assert (True, form["missed-call-message"]) == (rules.missed_call_text, rules.missed_call_message)
    assert ("21:00", 1, ("CA", "US")) == (
        rules.texts.quiet_hours and rules.texts.quiet_hours.begin, rules.texts.per_number_a_day, rules.texts.countries
    )  # fmt: skip
    (entry,) = await _logged(api, "settings_changed")
    assert '"quiet-hours":"nothing → 21:00-08:00"' in entry.details


@on_sqlite
async def test_rules_for_texts_that_cannot_be_are_refused_beside_their_field(api: Api) -> None:
    browser = await signed_in(api, "owner")
    wrong = {"missed-call-message": "", "quiet-hours": "late", "texts-per-call": "-1", "text-countries": "CA, Mars"}
    for field, typed in (*wrong.items(), ("missed-call-message", "x" * 501)):
        form = {"missed-call-text": "1", "missed-call-message": "Sorry!", field: typed}
        answer = await browser.post("/settings/texts", data=form)
        assert 400 == answer.status_code
        page = Page(answer.text)
        assert [f"f-{field}"] == [its.get("id") for _, its in page.elements if its.get("aria-invalid")]


async def test_a_replaced_secret_is_accepted_until_it_is_removed_and_the_last_one_stays(api: Api) -> None:
    browser, old, new = await signed_in(api, "owner"), api.org.tool_secret, "a new tool secret".replace(" ", "-")
    directory = api.deps.directory
    answer = await browser.post("/settings/secrets/tool", data={"value": new, "overlap": "removed"})
    assert (303, api.org.id, api.org.id) == (
        answer.status_code, directory.org_of_tool_token(old), directory.org_of_tool_token(new)
    )  # fmt: skip
    newest, older = [one for one in await _secrets(api) if one.kind == "tool"]
    assert [None, None] == [newest.expires_at, older.expires_at]
    assert 303 == (await browser.post(f"/settings/secrets/{older.id}/remove")).status_code
    assert (None, api.org.id) == (directory.org_of_tool_token(old), directory.org_of_tool_token(new))
    assert 409 == (await browser.post(f"/settings/secrets/{newest.id}/remove")).status_code
    assert 404 == (await browser.post(f"/settings/secrets/{older.id}/remove")).status_code
    assert api.org.id == directory.org_of_tool_token(new)
    assert [1, 1] == [len(await _logged(api, action)) for action in ("secret_rotated", "secret_removed")]


async def test_when_all_secrets_are_removed_at_once_one_stays(api: Api) -> None:
    browser = await signed_in(api, "owner")
    form = {"value": "", "overlap": "removed"}
    await asyncio.gather(*(browser.post("/settings/secrets/tool", data=form) for _ in range(4)))
    ids = [one.id for one in await _secrets(api) if one.kind == "tool"]
    answers = await asyncio.gather(*(browser.post(f"/settings/secrets/{id}/remove") for id in ids))
    assert [303, 303, 303, 303, 409] == sorted(answer.status_code for answer in answers)
    assert 1 == len([one for one in await _secrets(api) if one.kind == "tool"])


async def test_when_an_older_secret_was_used_last_is_on_the_page(api: Api) -> None:
    browser = await signed_in(api, "owner")
    await browser.post("/settings/secrets/webhook", data={"value": "wsec_" + "1" * 64, "overlap": "week"})
    newest, older = [one for one in await _secrets(api) if one.kind == "webhook"]
    await api.deps.database.write(organizations.stamp_used, {older.id: api.deps.now() - 7200})
    rows = Page((await browser.get("/settings/secrets")).text).all("tr")
    (shown,) = [row for row in rows if row.startswith("Older")]
    assert ("2h ago" in shown, "until" in shown) == (True, True)
    assert (newest.expires_at, True) == (None, older.expires_at is not None)


async def test_no_secret_is_ever_in_a_page_or_in_the_log_but_the_one_that_was_just_made(api: Api) -> None:
    browser = await signed_in(api, "owner")
    typed, bad = "wsec_" + "2" * 64, "has blanks in it"
    shown = [
        await browser.post(
            "/settings/secrets/webhook", data={"value": typed, "overlap": "none"}, follow_redirects=True
        ),
        await browser.post("/settings/secrets/webhook", data={"value": typed, "overlap": "none"}),
        await browser.post("/settings/secrets/tool", data={"value": bad, "overlap": "none"}),
        await browser.post("/settings/secrets/api-key", data={"api_key": bad}),
        await browser.get("/settings/secrets"),
    ]
    assert [200, 400, 400, 400, 200] == [answer.status_code for answer in shown]
    made = await browser.post("/settings/secrets/tool", data={"value": "", "overlap": "removed"})
    (fresh,) = set(re.findall(r"oht_[0-9a-f]{64}", made.text))
    assert api.org.id == api.deps.directory.org_of_tool_token(fresh)
    assert "no-store" in made.headers["cache-control"]
    later = (await browser.get("/settings/secrets")).text + (await browser.get("/settings/audit")).text
    log = str([entry.details for entry in await _logged(api)])
    for secret in (typed, bad, fresh, api.org.tool_secret, api.org.webhook_secret):
        assert secret not in later + log
        assert not [answer for answer in shown if secret in answer.text]


async def test_an_api_key_of_elevenlabs_is_kept_once_it_is_taken_there(settings: Settings, twin: Twin) -> None:
    async with running_api(settings.model_copy(update={"elevenlabs_url": twin.url})) as api:
        browser, keep = await signed_in(api, "owner"), "/settings/secrets/api-key"
        refused = await browser.post(keep, data={"api_key": "not-a-key-of-theirs"})
        assert "copy the key anew" in Page(refused.text).all("small", class_="why")[0]
        assert None is await _workspace(api)
        assert 303 == (await browser.post(keep, data={"api_key": f" {KEY}"})).status_code
        assert (KEY, {}) == ((kept := await _workspace(api)).api_key, kept.set_up)
        page = (await browser.get("/settings/secrets")).text
        assert ("Kept, sealed" in page, KEY in page) == (True, False)
        set_up = {"webhook_id": "one that is in another workspace"}
        await api.deps.database.write(workspaces.keep, api.deps.keys, api.org.id, "an older key", set_up, 1.0)
        refused = await browser.post(keep, data={"api_key": KEY})
        assert "another workspace" in Page(refused.text).all("small", class_="why")[0]
        assert ("an older key", set_up) == ((kept := await _workspace(api)).api_key, kept.set_up)


async def test_a_key_is_shown_once_works_at_once_and_is_closed_at_once(api: Api) -> None:
    browser = await signed_in(api, "owner")
    made = await browser.post("/settings/keys", data={"label": "crm", "scope": ["read", "admin"]})
    (key,) = set(re.findall(r"ohk_[0-9a-f]{64}", made.text))
    program = api.client_with(key)
    assert 200 == (await program.get("/api/contacts")).status_code
    page = (await browser.get("/settings/keys")).text
    assert (False, True) == (key in page, "read, admin" in Page(page).text)
    again = await browser.post("/settings/keys", data={"label": "other"})
    assert ["Choose at least one."] == Page(again.text).all("small", class_="why")
    taken = await browser.post("/settings/keys", data={"label": "crm", "scope": "read"})
    assert "There is a key 'crm' already" in Page(taken.text).all("small", class_="why")[0]
    (row,) = [one for one in await _secrets(api) if one.label == "crm"]
    assert [303, 404] == [(await browser.post(f"/settings/keys/{row.id}/revoke")).status_code for _ in "ab"]
    assert 401 == (await program.get("/api/contacts")).status_code
    assert [1, 1] == [len(await _logged(api, action)) for action in ("key_created", "key_revoked")]


async def test_somebody_is_invited_by_a_link_that_is_shown_once(api: Api) -> None:
    browser = await signed_in(api, "owner")
    made = await browser.post("/settings/users", data={"email": " Sam@Acme.example ", "role": "manager"})
    (link,) = set(re.findall(r"http://calls\.example(/invitation/[\w-]+)", made.text))
    page = Page((await browser.get("/settings/users")).text)
    assert ("sam@acme.example" in page.all("td", class_="wrap"), link in page.text) == (True, False)
    guest = stranger(api)
    joined = await guest.post(link, data={"name": "Sam", "password": "three short words"})
    assert (303, 200) == (joined.status_code, (await guest.get("/settings/people")).status_code)
    known = await browser.post("/settings/users", data={"email": "sam@acme.example", "role": "agent"})
    assert "is a member already" in Page(known.text).all("small", class_="why")[0]
    hostile = Page(
        (await browser.post("/settings/users", data={"email": "<img/src=x>@acme.example", "role": "agent"})).text
    )
    assert ("The link for <img/src=x>@acme.example" in hostile.all("h2"), []) == (
        True,
        hostile.values("img", "src", src="x"),
    )
    (withdrawal,) = re.findall(r"/settings/invitations/\w+/withdraw", (await browser.get("/settings/users")).text)
    assert [303, 404] == [(await browser.post(withdrawal)).status_code for _ in "ab"]


async def test_roles_are_changed_and_users_removed_but_never_the_last_owner(api: Api) -> None:
    browser = await signed_in(api, "owner")
    colleague = await signed_in(api, "agent")
    ids = {one.role: one.id for one in await api.deps.database.read(users.members, api.org.id)}
    owner, agent = (f"/settings/users/{ids[role]}" for role in ("owner", "agent"))
    for path, data in ((f"{owner}/role", {"role": "agent"}), (f"{owner}/remove", {})):
        refused = await browser.post(path, data=data)
        assert 409 == refused.status_code
        assert "last owner" in Page(refused.text).text
    assert 303 == (await browser.post(f"{agent}/role", data={"role": "manager"})).status_code
    assert 200 == (await colleague.get("/settings")).status_code
    assert 409 == (await browser.post(f"{agent}/role", data={"role": "emperor"})).status_code
    assert 303 == (await browser.post(f"{agent}/remove")).status_code
    assert 303 == (await colleague.get("/calls")).status_code
    assert 404 == (await browser.post(f"{agent}/remove")).status_code
    assert [1, 1] == [len(await _logged(api, action)) for action in ("role_changed", "user_removed")]


async def test_nothing_of_another_organisation_can_be_read_or_changed(api: Api) -> None:
    other = await api.add_organization()
    stranger_id = await add_user(api, "theirs@globex.example", "owner", org_id=other.id)
    nobody_id = await add_user(api, "nobody@globex.example", None)
    row = await api.deps.database.write(staff.add, other.id, name="Theirs", number=None, now=1.0)
    theirs = await api.deps.database.read(organizations.secrets_of, other.id)
    browser = await signed_in(api, "owner")
    paths = [f"/settings/users/{id}/{what}" for id in (stranger_id, nobody_id) for what in ("role", "remove")]
    paths += [f"/settings/people/{row.id}", f"/settings/people/{row.id}/remove"]
    paths += [f"/settings/secrets/{one.id}/remove" for one in theirs] + [
        f"/settings/keys/{one.id}/revoke" for one in theirs
    ]
    for path in paths:
        assert 404 == (await browser.post(path, data={"role": "owner", "name": "x"})).status_code, path
    assert 404 == (await browser.get(f"/settings/people/{row.id}")).status_code
    assert "Theirs" not in (await browser.get("/settings/people")).text


@on_sqlite
async def test_a_manager_is_told_what_only_owners_change(api: Api) -> None:
    browser = await signed_in(api, "manager")
    for section, is_theirs in (("", True), ("/secrets", False), ("/users", False), ("/keys", False)):
        page = Page((await browser.get(f"/settings{section}")).text)
        assert is_theirs != ("Owners change it." in page.text), section
        assert is_theirs == bool(page.all("button", class_="primary")), section


@on_sqlite
async def test_an_auditor_reads_every_section_and_is_offered_no_change(api: Api) -> None:
    browser = await signed_in(api, "auditor")
    await api.deps.database.write(staff.add, api.org.id, name=HOSTILE, number=None, now=1.0)
    await api.deps.database.write(organizations.add_agent, api.org.id, "agent_1", HOSTILE, 1.0)
    await api.deps.database.write(organizations.add_number, api.org.id, "+14165550123", HOSTILE, 1.0)
    for section in _SECTIONS:
        answer = await browser.get(f"/settings{section}")
        page = Page(answer.text)
        offered = [
            text for text in page.all("button") if text in ("Save", "Add", "Remove", "Replace", "Make it", "Close")
        ]
        assert (200, [], "Audit log") == (answer.status_code, offered, page.all("a", href="/settings/audit")[-1])
        assert ["module"] == page.values("script", "type")
        assert not [1 for _, its in page.elements if any(name.startswith("on") for name in its)], section
        assert 1 == len(
            [url for url in page.values("a", "aria-current", href=f"/settings{section}") if url == "page"][-1:]
        )


async def _organization(api: Api) -> Organization:
    return await api.deps.database.read(organizations.get, api.org.id)


async def _workspace(api: Api) -> Any:
    return await api.deps.database.read(workspaces.get, api.deps.keys, api.org.id)


async def _secrets(api: Api) -> list[organizations.Secret]:
    now = api.deps.now()
    known = await api.deps.database.read(organizations.secrets_of, api.org.id)
    return [one for one in known if one.expires_at is None or one.expires_at > now]


async def _logged(api: Api, action: str | None = None) -> list[Any]:
    """What is in the audit log, the newest first."""
    return list(await api.deps.database.read(audit_page, api.org.id, Wanted(action=action), limit=99))


def _form(html: str) -> dict[str, str]:
    """What a browser would send of a page's fields, as they are."""
    page = Page(html)
    fields = [(tag, its) for tag, its in page.elements if tag in ("input", "textarea") and its.get("name")]
    sent = [its for _, its in fields if its.get("type") != "checkbox" or "checked" in its]
    return {its["name"]: its.get("value", "") for its in sent}
