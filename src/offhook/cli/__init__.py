"""The command `offhook`. Each group of commands is a module, imported when it is typed: `--help` answers at once.

What a person typed wrong ends as one sentence and exit code 2, what the machine does not allow as one sentence and 1.
"""

import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from cyclopts import App, CycloptsError, UnknownCommandError

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
  offhook demo                     calls trickle into a demo organisation
  offhook org create "Acme Corp"   your own, and what to paste into ElevenLabs
  offhook serve                    the server

Settings are variables of the environment: offhook.example.env lists them.
`offhook COMMAND --help` shows how a command is used.
""",
)

_SERVE_EXAMPLES = """\
Examples:
  offhook serve
  offhook serve --host 0.0.0.0 --port 8080
  OFFHOOK_DATABASE_URL=postgresql://... offhook serve --no-worker
  offhook serve --fd 3             on a socket that whoever started it opened

A socket that systemd hands over (LISTEN_FDS) is served by itself: whoever
rings during a restart waits for it, and is not refused.

It listens on this machine alone unless --host says otherwise: put a proxy
with HTTPS in front of it.
"""
_WORKER_EXAMPLE = """\
Example:
  OFFHOOK_DATABASE_URL=postgresql://... offhook worker
"""
_DEMO_EXAMPLES = """\
Examples:
  offhook demo
  offhook demo --port 8080
"""
_TWIN_EXAMPLES = """\
Examples:
  offhook twin
  offhook twin --port 8081 --api-key secret --seed 7
"""
_SIMULATE_EXAMPLES = """\
Examples:
  offhook simulate --org "Acme Corp" --calls 100
  offhook simulate --url https://calls.example.com \\
      --webhook-secret wsec_... --tool-secret oht_... --chaos
"""
_VERIFY_EXAMPLES = """\
Examples:
  offhook verify --secret wsec_... --header "t=1747580641,v0=5c2f..." body.json
  curl -s https://example.com/last-body | offhook verify --secret wsec_... --header "$H" -

The body must be the raw bytes as they came.
"""
_CONNECT_EXAMPLES = """\
Examples:
  offhook connect "Acme Corp" --dry-run
  OFFHOOK_ELEVENLABS_API_KEY=sk_... offhook connect "Acme Corp" --yes
  offhook connect "Acme Corp" --agents "Reception, agent_01jz..."
  offhook connect "Acme Corp" --repair

The plan is shown first. Only what differs is changed, so it can be typed again
at any time. What people made in ElevenLabs stays theirs.
"""
_DISCONNECT_EXAMPLES = """\
Examples:
  offhook disconnect "Acme Corp" --dry-run
  offhook disconnect "Acme Corp" --yes
"""
_GUARDIAN_EXAMPLES = """\
Examples:
  offhook guardian "Acme Corp"
  offhook guardian Acme --json | jq -r '.[].code'

The server looks by itself every hour, writes what is wrong into its log, its
metrics and /api/health, and tells OFFHOOK_ALERT_URL.
"""
_DOCTOR_EXAMPLE = """\
Example:
  offhook doctor || mail -s "offhook needs you" me@example.com
"""
_BACKUP_EXAMPLES = """\
Examples:
  offhook backup /backups/monday.tar
  offhook backup --verify /backups/monday.tar
  offhook backup --with-key /safe/everything.tar

It is consistent while the server runs. The secret key is not in it unless you
say so: keep that somewhere else, without it a backup cannot be read.
"""
_RESTORE_EXAMPLES = """\
Examples:
  offhook restore /backups/monday.tar --into offhook-data
  OFFHOOK_DATABASE_URL=postgresql://... offhook restore /backups/monday.tar

All of it is checked before anything is written, and nothing is overwritten.
"""

_RECONCILE_EXAMPLES = """\
Examples:
  offhook reconcile Acme
  offhook reconcile Acme --since 7d --dry-run
  offhook reconcile Acme --json

The server does it by itself every 15 minutes. With --since, what was given up
is asked for once more, too. Exit code 1 when something is absent.
"""
_BALANCE_EXAMPLES = """\
Examples:
  offhook balance Acme
  offhook balance Acme --since 7d --json

"here" counts calls that are here whole, with their recording where they have
one; what is absent has a reason.
"""


_COMMANDS: tuple[tuple[str, str, str, str | None], ...] = (  # a command brings its examples, a group has its own
    ("serve", "offhook.cli.serving:serve", "Run the server: webhooks, API, projection, effects.", _SERVE_EXAMPLES),
    ("worker", "offhook.cli.serving:worker", "Run projection and effects without HTTP (PostgreSQL).", _WORKER_EXAMPLE),
    ("demo", "offhook.simulator.demo:demo", "Run a server with a demo organisation and calls.", _DEMO_EXAMPLES),
    ("simulate", "offhook.simulator.command:simulate", "Send realistic calls to any offhook.", _SIMULATE_EXAMPLES),
    ("twin", "offhook.twin.command:twin", "Serve an offline ElevenLabs, to develop against.", _TWIN_EXAMPLES),
    ("org", "offhook.cli.org:app", "Organisations and their secrets.", None),
    ("connect", "offhook.cli.connect:connect", "Set up ElevenLabs by its API.", _CONNECT_EXAMPLES),
    ("disconnect", "offhook.cli.connect:disconnect", "Undo what connect set up.", _DISCONNECT_EXAMPLES),
    ("key", "offhook.cli.key:app", "The API keys of an organisation.", None),
    ("number", "offhook.cli.number:app", "The telephone numbers of an organisation.", None),
    ("agent", "offhook.cli.agent:app", "The ElevenLabs agents of an organisation.", None),
    ("contact", "offhook.cli.contact:app", "The people who ring.", None),
    ("variable", "offhook.cli.variable:app", "What agents are told, whoever rings.", None),
    ("memory", "offhook.cli.memory:app", "What agents are told of earlier calls.", None),
    ("staff", "offhook.cli.staff:app", "The people to whom an agent may hand a call over.", None),
    ("user", "offhook.cli.user:app", "The people who use the dashboard.", None),
    ("events", "offhook.cli.events:app", "List, show and replay what came in.", None),
    ("spool", "offhook.cli.spool:app", "Events that wait for the database.", None),
    ("reconcile", "offhook.cli.reconcile:reconcile", "Fetch what no webhook brought, now.", _RECONCILE_EXAMPLES),
    ("balance", "offhook.cli.reconcile:balance", "What ElevenLabs knows, and what is here.", _BALANCE_EXAMPLES),
    ("verify", "offhook.cli.verify:verify", "Say why a signature does not match.", _VERIFY_EXAMPLES),
    ("doctor", "offhook.cli.doctor:doctor", "Check what a running installation needs.", _DOCTOR_EXAMPLE),
    ("guardian", "offhook.cli.guardian:guardian", "Look whether calls arrive.", _GUARDIAN_EXAMPLES),
    ("effects", "offhook.cli.effects:app", "What follows from calls: list it, try it again.", None),
    ("optout", "offhook.cli.optout:app", "Numbers that want no texts.", None),
    ("backup", "offhook.cli.backups:backup", "Write everything into one file; try whether it works.", _BACKUP_EXAMPLES),
    ("restore", "offhook.cli.backups:restore", "Put a backup into an empty place.", _RESTORE_EXAMPLES),
    ("db", "offhook.cli.db:app", "Upgrade, check or rebuild the database; make a key.", None),
)
for _position, (_name, _place, _about, _examples) in enumerate(_COMMANDS):
    _more = {} if _examples is None else {"help_epilogue": _examples}
    app.command(_place, name=_name, help=_about, sort_key=_position, **_more)


def main() -> NoReturn:
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return code if isinstance(code, int) else GOOD
    except UnknownCommandError as error:
        return _say(_unknown(error), MISTAKE)
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


def _unknown(error: UnknownCommandError) -> str:
    """Said by us: cyclopts would import every command there is to say it."""
    assert error.app is not None
    typed = (error.unused_tokens or [""])[0]
    names = [name for name in error.app if not name.startswith("-")]
    near = difflib.get_close_matches(typed, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."
    return f"There is no command {typed!r}: {hint}"


def _exit_code(error: OffhookError) -> int:
    is_typed = isinstance(error, Mistake | Refused) and not isinstance(error, ComeBackLater)
    return MISTAKE if is_typed else FINDING


def _say(sentence: str, code: int) -> int:
    """One line on standard error, whatever it was made of; nothing in it that a terminal would obey."""
    line = " ".join(sentence.split())
    print(
        "offhook:",
        "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line),
        file=sys.stderr,
    )
    return code
