"""Where bodies have their recording; apart from what looks for it, which the process that reads events does without."""

from collections.abc import Callable
from typing import NamedTuple


class Place(NamedTuple):
    """Where bodies of one kind have their recording."""

    field: bytes  #: its name
    text: Callable[[bytes], bytes]  #: what stands between its quotes, empty without one; Unreadable when it is no JSON
