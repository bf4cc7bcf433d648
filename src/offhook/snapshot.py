"""The directory's contents on the local disk, so that a server can start while its database is away.

Secrets lie there as the database has them: sealed, or as hashes; and all of it is sealed once more, bound to the database
that it came from. It is as old as the last look that found a change: a secret that was taken away since is known again until
the database answers.
"""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from offhook.drafts import sweep
from offhook.errors import Damaged
from offhook.logs import log
from offhook.rules import read_rules
from offhook.sealed_record import read_record, sealed_record, write_durably
from offhook.sealing import KeyRing
from offhook.store.organizations import Contents

_MAGIC = b"OHD1"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Contents).decode


class Snapshot:
    """The file `directory.sealed`."""

    def __init__(self, path: Path, keys: KeyRing, database_url: str) -> None:
        self.path = path
        self._keys = keys
        self._bound_to = f"directory of {_place(database_url)}"

    def write(self, contents: Contents) -> None:
        """Replace the file, durably; OSError when that cannot be done, and the file is as it was."""
        sweep([self.path.with_suffix(".draft")])
        write_durably(self.path, sealed_record(_MAGIC, _encode(contents), self._keys, self._bound_to))

    def read(self) -> Contents | None:
        """What was known last; None when there is nothing, or nothing that can be used: damaged, or of another database."""
        try:
            contents = _decode(read_record(self.path, _MAGIC, self._keys, self._bound_to))
        except FileNotFoundError:
            return None
        except (OSError, Damaged, msgspec.DecodeError) as error:
            log.error("snapshot.unusable", file=str(self.path), reason=str(error))
            return None
        return msgspec.structs.replace(
            contents,
            organizations=[
                msgspec.structs.replace(one, rules=read_rules(one.settings)) for one in contents.organizations
            ],
        )


def _place(database_url: str) -> str:
    """Where the database is, without who may enter."""
    url = urlsplit(database_url)
    return f"{url.hostname}:{url.port or 5432}{url.path}"
