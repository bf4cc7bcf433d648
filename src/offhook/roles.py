"""Who may do what in an organisation: four roles, and the rights that each page asks for. One table, read by people too."""

from collections.abc import Mapping
from typing import Literal, get_args

Role = Literal["owner", "manager", "agent", "auditor"]
Right = Literal["anyone", "member", "look", "work", "inspect", "operate", "audit", "own"]

ROLES: tuple[Role, ...] = get_args(Role)
_EVERYBODY: frozenset[Role] = frozenset(ROLES)

#: By right, who has it. "anyone" needs no sign-in, "member" no organisation.
RIGHTS: Mapping[Right, frozenset[Role]] = {
    "anyone": _EVERYBODY,
    "member": _EVERYBODY,  # their own account
    "look": _EVERYBODY,  # calls, contacts, follow-ups
    "work": frozenset({"owner", "manager", "agent"}),  # settle follow-ups, write notes and texts, edit contacts
    "inspect": frozenset({"owner", "manager", "auditor"}),  # payloads, health, settings; export
    "operate": frozenset({"owner", "manager"}),  # replay, try again, change settings
    "audit": frozenset({"owner", "auditor"}),  # who looked at what
    "own": frozenset({"owner"}),  # users, secrets, keys, erasure
}


def may(role: Role | None, right: Right) -> bool:
    """Whether *role* has *right* in its organisation; None: a user who belongs to none."""
    return right in ("anyone", "member") or role in RIGHTS[right]
