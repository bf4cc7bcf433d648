"""Services that send texts; a new one is a file here, see contract.py."""

import importlib

from offhook.errors import Mistake
from offhook.sms.contract import Provider

_PLACE = "offhook.sms"


def provider_named(name: str) -> Provider:
    """The provider whose file that is, with its own settings read; Mistake when there is none or it lacks something."""
    place = f"{_PLACE}.{name}"
    try:
        module = importlib.import_module(place) if name.isidentifier() else None
    except ModuleNotFoundError as error:
        if error.name != place:
            raise Mistake(
                f"OFFHOOK_SMS={name} needs the package {error.name}: install it with .venv/bin/pip install {error.name}."
            ) from error
        module = None
    if not hasattr(module, "opened"):
        raise Mistake(f"OFFHOOK_SMS names {name!r}, but there is no module {place}: write console, twilio or apprise.")
    provider: Provider = module.opened()  # type: ignore[union-attr]
    return provider
