"""What stands around the code agrees with it: the example settings, the Makefile, the locks, the words."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pydantic_settings import BaseSettings

from offhook.settings import Settings
from offhook.sms.apprise import AppriseSettings
from offhook.sms.twilio import TwilioSettings

ROOT = Path(__file__).parents[1]


def test_the_example_settings_are_the_settings_and_their_defaults() -> None:
    kinds = (Settings, TwilioSettings, AppriseSettings)
    defaults = {name: default for kind in kinds for name, default in _defaults(kind).items()}
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
    assert {"demo", "serve", "test", "torture", "bench", "mutants", "check", "help", "lock", "clean"} <= targets


def test_the_two_locks_agree() -> None:
    run, dev = (_pins(ROOT / f"requirements/{name}.txt") for name in ("run", "dev"))
    assert run.items() <= dev.items()


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    wanted = re.findall(r'^    "([a-zA-Z0-9_.-]+)(?:\[[a-z]+\])?>=', project, re.M)
    assert [] == [name for name in wanted if name not in _pins(ROOT / "requirements/dev.txt")]


def test_the_house_of_the_architecture_has_every_room() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    rooms = [
        path for path in (ROOT / "src/offhook").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    ]
    unnamed = {room.stem for room in rooms if not re.search(rf"\b{room.stem}\b", page)}
    assert set() == unnamed - {"__init__", "__main__"}


def test_nothing_that_is_tracked_speaks_of_the_machine_it_was_written_on() -> None:
    folders = r"(^|[^A-Za-z0-9_./-])/(w[o]rk|r[o]ot|home|Users|opt)/[a-z]"
    found = subprocess.run(["git", "grep", "-nIE", folders], capture_output=True, text=True, cwd=ROOT)
    assert "" == found.stdout


def test_nothing_in_the_source_is_left_for_later() -> None:
    later = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
    assert [] == [str(path) for path in (ROOT / "src").rglob("*.py") if later.search(path.read_text())]


def _defaults(kind: type[BaseSettings]) -> dict[str, str]:
    prefix = kind.model_config.get("env_prefix", "")
    fields = kind.model_fields.items()
    return {str(field.validation_alias or prefix + name.upper()): _spelled(field.default) for name, field in fields}


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
