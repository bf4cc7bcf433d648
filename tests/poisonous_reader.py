"""The process that reads events, as it would be if some events made it fail: started by tests in its place.

What an event does to it stands in its body.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from offhook.projection import gathering, reader
from offhook.voice.elevenlabs.translation import translated


def _raise() -> NoReturn:
    raise KeyError("of the\nnight")


def _hang() -> None:
    while True:
        pass


def _sleep() -> None:
    time.sleep(3600)


def _eat() -> None:
    eaten = []
    while True:
        eaten.append(bytearray(1 << 28))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _leave() -> None:
    os._exit(3)


def _shout() -> None:
    sys.stdout.buffer.write(b"\xff" * 64)
    sys.stdout.buffer.flush()


def _dawdle() -> None:
    time.sleep(0.6)


POISONS: dict[bytes, Callable[[], None]] = {
    b"poison: raise": _raise,
    b"poison: hang": _hang,
    b"poison: sleep": _sleep,
    b"poison: eat": _eat,
    b"poison: die": _die,
    b"poison: leave": _leave,
    b"poison: shout": _shout,
    b"poison: dawdle": _dawdle,
}


def _translated(type: str, body: bytes) -> Any:
    for word, act in POISONS.items():
        if word in body:
            act()
    return translated(type, body)


if __name__ == "__main__":
    vars(gathering)["translated"] = _translated
    reader.main(*sys.argv[1:])
