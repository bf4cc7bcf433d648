"""Texts through whatever service Apprise speaks: `pip install apprise`.

https://github.com/caronc/apprise/wiki, read 2026-11. Apprise answers yes or no: with a no, nobody knows whether the service
took the text, so it is not sent a second time unless a person says so.
"""

from collections.abc import Collection
from urllib.parse import quote

import apprise
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from offhook.errors import GiveUp
from offhook.settings import read_settings
from offhook.sms.contract import Taken, Text, Unknowable


class AppriseSettings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="OFFHOOK_APPRISE_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    url: str = Field(default="", validate_default=True)  #: with {to} where the service wants the number

    @field_validator("url")
    @classmethod
    def _names_whom(cls, url: str) -> str:
        if "{to}" not in url:
            raise ValueError("it must be an Apprise address with {to} where the number belongs")
        return url


class Apprise:
    name = "apprise"
    sender: str | None = None

    def __init__(self, settings: AppriseSettings) -> None:
        self._url = settings.url

    async def send(self, text: Text) -> Taken:
        service = apprise.Apprise()
        if not service.add(self._url.replace("{to}", quote(text.to, safe=""))):
            raise GiveUp("Apprise cannot use OFFHOOK_APPRISE_URL.")
        if not await service.async_notify(body=text.body):
            raise GiveUp("The service behind Apprise did not take it, or did not say so.")
        return Taken(None)

    async def ask(self, text: Text, since: float, known: Collection[str]) -> Unknowable:
        return Unknowable()

    async def close(self) -> None:
        return


def opened() -> Apprise:
    return Apprise(read_settings(AppriseSettings))
