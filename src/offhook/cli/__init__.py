"""The command `offhook`. Each group of commands is a module, imported when it is typed: `--help` answers at once.

What a person typed wrong ends as one sentence and exit code 2, what the machine does not allow as one sentence and 1.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError

from offhook import __version__
from offhook.errors import ComeBackLater, Mistake, OffhookError, Refused

GOOD, FINDING, MISTAKE, INTERRUPTED = 0, 1, 2, 130

app = App(
    name="offhook",
    version=__version__,
    help="A self-hosted backend for ElevenLabs voice agents: it never loses a call.",
    help_format="plaintext",
    help_epilogue="""\
To begin:
  offhook demo                     a server, a demo organisation and calls trickling in
  offhook org create "Acme Corp"   an organisation of your own, and what to paste into ElevenLabs
  offhook serve                    the server

Every setting is a variable of the environment; offhook.example.env lists them.
`offhook COMMAND --help` shows how a command is used.
""",
)

_COMMANDS = (
    ("serve", "offhook.cli.serving:serve", "Run the server: webhooks, API and projection."),
    ("worker", "offhook.cli.serving:worker_app", "Run the projection without HTTP, beside servers on PostgreSQL."),
    ("demo", "offhook.cli.serving:demo", "Run a server with a demo organisation and calls trickling in."),
    ("simulate", "offhook.cli.serving:simulate", "Send realistic calls to any offhook."),
    ("org", "offhook.cli.org:app", "Make, list, show, change organisations; rotate their secrets."),
    ("number", "offhook.cli.number:app", "The telephone numbers of an organisation."),
    ("agent", "offhook.cli.agent:app", "The ElevenLabs agents of an organisation."),
    ("contact", "offhook.cli.contact:app", "The people who ring."),
    ("events", "offhook.cli.events:app", "List, show and replay what came in."),
    ("db", "offhook.cli.db:app", "Upgrade or check the database; make a key."),
)
for _name, _place, _about in _COMMANDS:
    app.command(_place, name=_name, help=_about)


def main() -> NoReturn:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code if isinstance(code, int) else GOOD
    except CycloptsError as error:
        return _say(str(error), MISTAKE)
    except OffhookError as error:
        return _say(error.message, _exit_code(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has seen enough; Python must not flush into it again
        return GOOD
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        return _say(f"The machine does not allow it: {error}.", FINDING)
    except Exception as error:
        if os.environ.get("OFFHOOK_LOG_LEVEL") == "debug":
            traceback.print_exc()
        fault = f"{type(error).__name__}: {error}"
        return _say(f"This is a fault of offhook itself ({fault}); OFFHOOK_LOG_LEVEL=debug shows where.", FINDING)


def _exit_code(error: OffhookError) -> int:
    is_typed = isinstance(error, Mistake | Refused) and not isinstance(error, ComeBackLater)
    return MISTAKE if is_typed else FINDING


def _say(sentence: str, code: int) -> int:
    """One line on standard error, whatever it was made of."""
    print("offhook:", " ".join(sentence.split()), file=sys.stderr)
    return code
