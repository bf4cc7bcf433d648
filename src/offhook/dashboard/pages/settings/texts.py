"""What callers are texted who were missed: the message, when, to whom, and how often."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from offhook.dashboard.pages.settings.filled import Filled, Reader, optional, read_filled, ticked
from offhook.dashboard.pages.settings.section import changed, differences, done, noted, show
from offhook.dashboard.visitors import Visit
from offhook.decisions import KEYS
from offhook.rules import Hours, Rules
from offhook.store import organizations
from offhook.texts import MAX_CHARS, TOKENS, countries_of
from offhook.texts import filled as filled_text
from offhook.variables import organization_name, person_name

_URL = "/settings/texts"
_SWITCHES = frozenset({"missed-call-text", "text-mobile-only", "texts-to-others"})
_NAMES = (
    "missed-call-text", "missed-call-message", "quiet-hours", "text-countries", "text-sender", "text-mobile-only",
    "texts-to-others", "texts-per-number", "texts-per-call", "texts-per-day",
)  # fmt: skip
#: By the key that `offhook org set` has for it; what is left empty has its default.
_FIELDS: dict[str, Reader] = {name: ticked if name in _SWITCHES else optional(KEYS[name].read) for name in _NAMES}
_KNOWN_CALLER = ("Maya", "Okafor")  #: in the preview
_UNSAID_AGENT = "Front desk"  #: while none is known


async def texts(visit: Visit) -> Response:
    return await _show(visit, Filled(_spelled(await _rules(visit))))


async def change_texts(visit: Visit) -> Response:
    """Save what is in the form, or only show how its message would read."""
    form = await visit.form()
    filled = read_filled(form, _FIELDS)
    if filled.values.get("missed-call-text") and not filled.typed["missed-call-message"].strip():
        filled.why["missed-call-message"] = "Write the message first: without one nobody is texted."
    if not filled.is_usable or "preview" in form:
        return await _show(visit, filled, status=200 if filled.is_usable else 400)
    decided = {str(KEYS[name].rule): value for name, value in filled.values.items()}
    defaults = _spelled(Rules())
    after = {name: defaults[name] if value is None else _as_typed(value) for name, value in filled.values.items()}
    details = differences(_switched(_spelled(await _rules(visit))), _switched(after))
    if details:
        await noted(visit, changed(visit, "texts", details), organizations.decide, visit.org_id, decided)
    return done(_URL, "saved")


async def _rules(visit: Visit) -> Rules:
    return (await visit.deps.database.read(organizations.get, visit.org_id)).rules


def _spelled(rules: Rules) -> dict[str, str]:
    """Every field as one would type it; a switch that is off is empty."""
    return {name: _as_typed(_rule(rules, str(KEYS[name].rule))) for name in _NAMES}


def _switched(spelled: Mapping[str, str]) -> dict[str, str | bool]:
    """Fit for the audit log: a switch is on or off there."""
    return {name: bool(text) if name in _SWITCHES else text for name, text in spelled.items()}


def _rule(rules: Any, path: str) -> Any:
    for part in path.split("."):
        rules = getattr(rules, part)
    return rules


def _as_typed(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, Hours):
        return f"{value.begin}-{value.end}"
    if isinstance(value, dict):  # hours as they are kept
        return f"{value['begin']}-{value['end']}"
    if isinstance(value, tuple | list):
        return ", ".join(value)
    return "" if value is None else str(value)


async def _show(visit: Visit, filled: Filled, *, status: int = 200) -> Response:
    organization = await visit.deps.database.read(organizations.get, visit.org_id)
    own_numbers = visit.deps.directory.numbers_of(visit.org_id)
    allowed = countries_of(organization.rules.texts, own_numbers, organization.country)
    defaults = _spelled(Rules())
    message = filled.typed["missed-call-message"]
    return await show(
        visit, _URL, "texts.html", status=status, filled=filled, previews=await _previews(visit, message),
        most_chars=MAX_CHARS, tokens=TOKENS, defaults=defaults, allowed=", ".join(sorted(allowed)),
    )  # fmt: skip


async def _previews(visit: Visit, message: str) -> list[tuple[str, str]]:
    """To whom, and the text as that person would read it; filled by what fills it when it is sent."""
    agents = await visit.deps.database.read(organizations.agents_of, visit.org_id)
    agent = next((one.name for one in agents if one.name), _UNSAID_AGENT)
    words: Mapping[str, str | None] = {
        "agentName": organization_name(agent),
        "orgName": organization_name(visit.viewer.org_name),
    }
    known = {**words, "contactName": person_name(*_KNOWN_CALLER)}
    shown = (("A caller whose name is known", known), ("A caller without a name", words))
    return [(whom, filled_text(message, to)) for whom, to in shown] if message.strip() else []
