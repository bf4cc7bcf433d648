"""The pages for people: who rang, what was said, what must be done. The table below is every address of the dashboard.

An endpoint takes a Visit and returns a Response; nobody without the row's right gets to it.
"""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from offhook.dashboard import assets, shell
from offhook.dashboard.live import Live
from offhook.dashboard.pages import (
    account,
    audit_log,
    call,
    calls,
    contact,
    contact_edits,
    contacts,
    dead_letters,
    event,
    events,
    exports,
    follow_up,
    follow_ups,
    health,
    joining,
    listening,
    palette,
    replays,
    signing_in,
)
from offhook.dashboard.pages.settings import agents, hours, keys, numbers, organization, people, secrets, texts, users
from offhook.dashboard.visitors import Page, arrive
from offhook.deps import Deps

PAGES: tuple[Page, ...] = (
    Page("GET", "/", signing_in.first_page, "anyone"),
    Page("GET", "/login", signing_in.login, "anyone"),
    Page("POST", "/login", signing_in.sign_in, "anyone"),
    Page("POST", "/logout", signing_in.sign_out, "anyone"),
    Page("GET", "/setup/{token}", joining.setup_form, "anyone"),
    Page("POST", "/setup/{token}", joining.set_up, "anyone"),
    Page("GET", "/invitation/{token}", joining.invitation_form, "anyone"),
    Page("POST", "/invitation/{token}", joining.accept, "anyone"),
    Page("GET", "/password/{token}", joining.password_form, "anyone"),
    Page("POST", "/password/{token}", joining.renew, "anyone"),
    Page("GET", "/account", account.account, "member"),
    Page("POST", "/account/password", account.change_password, "member"),
    Page("POST", "/account/sessions/end", account.sign_out_elsewhere, "member"),
    Page("POST", "/organization", account.switch, "member"),
    Page("GET", "/settings/audit", audit_log.audit_log, "audit"),
    Page("GET", "/settings", organization.organization, "inspect"),
    Page("POST", "/settings", organization.change_organization, "operate"),
    Page("GET", "/settings/hours", hours.hours, "inspect"),
    Page("POST", "/settings/hours", hours.change_hours, "operate"),
    Page("GET", "/settings/people", people.people, "inspect"),
    Page("POST", "/settings/people", people.add_person, "operate"),
    Page("GET", "/settings/people/{staff_id}", people.person, "inspect"),
    Page("POST", "/settings/people/{staff_id}", people.change_person, "operate"),
    Page("POST", "/settings/people/{staff_id}/remove", people.remove_person, "operate"),
    Page("GET", "/settings/numbers", numbers.numbers, "inspect"),
    Page("POST", "/settings/numbers", numbers.add_number, "operate"),
    Page("POST", "/settings/numbers/remove", numbers.remove_number, "operate"),
    Page("GET", "/settings/agents", agents.agents, "inspect"),
    Page("POST", "/settings/agents", agents.add_agent, "operate"),
    Page("POST", "/settings/agents/remove", agents.forget_agent, "operate"),
    Page("POST", "/settings/agents/memory", agents.switch_memory, "operate"),
    Page("GET", "/settings/agent", agents.agent, "inspect"),
    Page("POST", "/settings/variables", agents.declare_variable, "operate"),
    Page("POST", "/settings/variables/remove", agents.remove_variable, "operate"),
    Page("GET", "/settings/texts", texts.texts, "inspect"),
    Page("POST", "/settings/texts", texts.change_texts, "operate"),
    Page("GET", "/settings/secrets", secrets.secrets, "inspect"),
    Page("POST", "/settings/secrets/api-key", secrets.give_api_key, "own"),
    Page("POST", "/settings/secrets/{kind}", secrets.rotate, "own"),
    Page("POST", "/settings/secrets/{secret_id}/remove", secrets.remove, "own"),
    Page("GET", "/settings/users", users.list_users, "inspect"),
    Page("POST", "/settings/users", users.invite, "own"),
    Page("POST", "/settings/users/{user_id}/role", users.change_role, "own"),
    Page("POST", "/settings/users/{user_id}/remove", users.remove, "own"),
    Page("POST", "/settings/invitations/{invitation_id}/withdraw", users.withdraw, "own"),
    Page("GET", "/settings/keys", keys.keys, "inspect"),
    Page("POST", "/settings/keys", keys.make_key, "own"),
    Page("POST", "/settings/keys/{key_id}/revoke", keys.revoke, "own"),
    Page("GET", "/calls", calls.calls, "look"),
    Page("GET", "/calls/{call_id}", call.call, "look"),
    Page("POST", "/calls/{call_id}/summary", call.change_summary, "work"),
    Page("POST", "/calls/{call_id}/notes", call.add_note, "work"),
    Page("POST", "/calls/{call_id}/notes/{note_id}", call.change_note, "work"),
    Page("GET", "/media/{call_id}.mp3", call.media, "look"),
    Page("GET", "/events", events.events, "inspect"),
    Page("GET", "/events/replay", replays.ask, "operate"),
    Page("POST", "/events/replay", replays.begin, "operate"),
    Page("GET", "/events/replays", replays.reports, "inspect"),
    Page("GET", "/events/{event_id}", event.event, "inspect"),
    Page("GET", "/events/{event_id}/body", event.body, "own"),  # unscrubbed: our tool secret may stand in it
    Page("POST", "/events/{event_id}/replay", event.replay, "operate"),
    Page("GET", "/health", health.health, "inspect"),
    Page("POST", "/health/check", health.check, "operate"),
    Page("GET", "/health/dead-letters", dead_letters.dead_letters, "inspect"),
    Page("POST", "/health/dead-letters/retry", dead_letters.retry, "operate"),
    Page("GET", "/follow-ups", follow_ups.follow_ups, "look"),
    Page("POST", "/follow-ups", follow_up.add, "work"),
    Page("GET", "/follow-ups/{follow_up_id}", follow_ups.follow_up, "look"),
    Page("POST", "/follow-ups/{follow_up_id}/done", follow_up.done, "work"),
    Page("POST", "/follow-ups/{follow_up_id}/reopen", follow_up.reopen, "work"),
    Page("POST", "/follow-ups/{follow_up_id}/snooze", follow_up.snooze, "work"),
    Page("POST", "/follow-ups/{follow_up_id}/assign", follow_up.assign, "work"),
    Page("POST", "/follow-ups/{follow_up_id}/note", follow_up.write_note, "work"),
    Page("POST", "/follow-ups/{follow_up_id}/text", follow_up.text, "work"),
    Page("GET", "/contacts", contacts.contact_list, "look"),
    Page("POST", "/contacts", contacts.add, "work"),
    Page("GET", "/contacts/{contact_id}", contact.contact, "look"),
    Page("POST", "/contacts/{contact_id}", contact_edits.edit, "work"),
    Page("POST", "/contacts/{contact_id}/notes", contact_edits.add_note, "work"),
    Page("POST", "/contacts/{contact_id}/notes/{note_id}", contact_edits.change_note, "work"),
    Page("GET", "/contacts/{contact_id}/merge", contact_edits.choose_other, "work"),
    Page("POST", "/contacts/{contact_id}/merge", contact_edits.merge, "work"),
    Page("POST", "/contacts/{contact_id}/erase", contact_edits.erase, "own"),
    Page("GET", "/calls.csv", exports.calls, "inspect"),
    Page("GET", "/calls.json", exports.calls, "inspect"),
    Page("GET", "/contacts.csv", exports.contacts, "inspect"),
    Page("GET", "/contacts.json", exports.contacts, "inspect"),
    Page("GET", "/contacts/{contact_id}/export", exports.person, "inspect"),
    Page("GET", "/follow-ups.csv", exports.follow_ups, "inspect"),
    Page("GET", "/follow-ups.json", exports.follow_ups, "inspect"),
    Page("GET", "/events.csv", exports.events, "inspect"),
    Page("GET", "/events.json", exports.events, "inspect"),
    Page("GET", "/settings/audit.csv", exports.audit_log, "audit"),
    Page("GET", "/settings/audit.json", exports.audit_log, "audit"),
    Page("GET", "/search.json", palette.search, "look"),
    Page("GET", "/live", listening.listen, "look", keeps_awake=False),
)


def build(deps: Deps, address_of: Callable[[Request], str]) -> ASGIApp:
    """The dashboard as an application of its own; *address_of* tells where a request comes from."""
    routes = [Route(page.path, _guarded(page), methods=[page.method]) for page in PAGES]
    app = Starlette(routes=[*routes, assets.ROUTE], exception_handlers=shell.HANDLERS)
    app.router.redirect_slashes = False
    app.state.deps = deps
    app.state.address_of = address_of
    app.state.live = Live(deps)
    return shell.with_headers(app)


def _guarded(page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return await page.endpoint(await arrive(request, page))

    return serve
