"""Passwords: judged when they are chosen, kept as argon2id, compared in the same time whether there is such a user or not.

https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html, read 2026-11.
"""

import asyncio
import unicodedata
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from offhook.errors import Mistake

SHORTEST = 10
LONGEST = 256
_AT_ONCE = 2  #: each takes its memory and a processor


class Passwords:
    """One process's way of hashing; in threads, so that no caller waits for a sign-in."""

    def __init__(self, *, memory_kib: int, rounds: int) -> None:
        self._hasher = PasswordHasher(time_cost=rounds, memory_cost=memory_kib, parallelism=1)
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def hashed(self, password: str) -> str:
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def is_right(self, password: str, stored: str | None) -> bool:
        """Whether *stored* was made of *password*. None, for nobody, takes as long as somebody and is never right."""
        async with self._turn:
            return await asyncio.to_thread(self._verify, password, stored)

    def is_outdated(self, stored: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, password: str, stored: str | None) -> bool:
        try:
            return self._hasher.verify(stored or self._nobodys, _normal(password)) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("nobody has this password")


def chosen_password(password: str, email: str) -> str:
    """*password*, when it will do; else Mistake, which says why not. What counts is length, not signs."""
    if len(password) < SHORTEST:
        raise Mistake(f"Choose a password of at least {SHORTEST} characters; three or four words make a good one.")
    if len(password) > LONGEST:
        raise Mistake(f"Choose a password of at most {LONGEST} characters.")
    if password.casefold() in (email.casefold(), email.partition("@")[0].casefold()) or len(set(password)) < 4:
        raise Mistake("That password is among the first that anybody would try. Choose another.")
    return password


def _normal(password: str) -> bytes:
    """The same signs are the same password, however a keyboard composes them."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
