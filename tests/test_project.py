"""What stands around the code agrees with it: the example settings, the Makefile, the documents, the words."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

from offhook.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def test_the_example_settings_are_the_settings_and_their_defaults() -> None:
    defaults = {f"OFFHOOK_{name.upper()}": _spelled(field.default) for name, field in Settings.model_fields.items()}
    assert defaults == {name: default for name, default, _ in _example_settings()}


def test_every_example_setting_has_a_sentence_and_a_unit() -> None:
    lacking = [name for name, _, said in _example_settings() if not re.search(r"\. Unit: .+\.$", said)]
    assert [] == lacking


def test_every_target_of_the_makefile_says_what_it_is_for() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.M))
    assert targets == set(re.findall(r"^([a-z][a-z-]*):.*  ## .+", makefile, re.M)) | {
        "run-environment",
        "dev-environment",
    }
    assert {"demo", "serve", "test", "torture", "bench", "check", "help", "lock", "clean"} <= targets


def test_the_two_locks_agree() -> None:
    run, dev = (_pins(ROOT / f"requirements/{name}.txt") for name in ("run", "dev"))
    assert run.items() <= dev.items()


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    wanted = re.findall(r'^    "([a-zA-Z0-9_.-]+)(?:\[[a-z]+\])?>=', project, re.M)
    assert [] == [name for name in wanted if name not in _pins(ROOT / "requirements/dev.txt")]


def test_relative_links_in_the_documents_lead_somewhere() -> None:
    links = [(page, link) for page in DOCUMENTS for link in re.findall(r"\]\(([^)#\s]+)", page.read_text())]
    local = [(page, link) for page, link in links if "://" not in link and not link.startswith("mailto:")]
    assert [] == [f"{page.name}: {link}" for page, link in local if not (page.parent / link).exists()]


def test_every_command_in_the_documents_exists() -> None:
    """Its words are known to the command line, and so is each of its options."""
    unknown = []
    for page in DOCUMENTS:
        for command in _commands_in(page):
            words, options = _words_and_options(command)
            shown = _help(*words)
            unknown += [f"{page.name}: {command}: {option}" for option in options if option not in shown]
    assert [] == unknown


def test_nothing_that_is_tracked_speaks_of_the_machine_it_was_written_on() -> None:
    folders = r"(^|[^A-Za-z0-9_./-])/(w[o]rk|r[o]ot|home|Users|opt)/[a-z]"
    found = subprocess.run(["git", "grep", "-nIE", folders], capture_output=True, text=True, cwd=ROOT)
    assert "" == found.stdout


def test_nothing_in_the_source_is_left_for_later() -> None:
    later = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
    assert [] == [str(path) for path in (ROOT / "src").rglob("*.py") if later.search(path.read_text())]


def _example_settings() -> Iterator[tuple[str, str, str]]:
    """Name, default and what is said, of each setting in the example."""
    for block in (ROOT / "offhook.example.env").read_text().split("\n\n"):
        *comment, last = block.strip().splitlines()
        if assigned := re.fullmatch(r"#(OFFHOOK_[A-Z_]+)=(.*)", last):
            yield assigned[1], assigned[2], " ".join(line.removeprefix("#").strip() for line in comment)


def _spelled(default: object) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)


def _pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-zA-Z0-9_.-]+)==([^\s;\\]+)", lock.read_text(), re.M))


def _commands_in(page: Path) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip().startswith("offhook ")]


def _words_and_options(command: str) -> tuple[list[str], list[str]]:
    tokens = shlex.split(command, comments=True)[1:]
    words = list(takewhile(re.compile(r"[a-z-]+\Z").match, tokens))[:2]
    return words, [token.partition("=")[0] for token in tokens if token.startswith("--")]


@cache
def _help(*words: str) -> str:
    command = [sys.executable, "-m", "offhook", *words, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert 0 == shown.returncode, f"offhook {' '.join(words)}: {shown.stdout}{shown.stderr}"
    return shown.stdout
