"""Change the code that must not be wrong, a small thing at a time, and see whether the tests notice: `make mutants`.

mutmut makes the changes and runs the tests; this says which code and which tests, and counts. A change that no test noticed
is shown with its place and its difference: it wants a test, or the line has no purpose. The exit code is 1 when a part is
below the threshold, 2 when it could not be measured.

mutmut changes functions and methods, but none that is decorated (`@property`, `@lru_cache`), and no constant of a module.
"""

import argparse
import ast
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import make_mutant_key, orig_function_and_class_names_from_key

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".mutants"
THRESHOLD = 0.90
EVERYTHING: tuple[str, ...] = ()
#: A worker that is forked from where the tests have run already would have their caches, and what is cached is not tested.
_SETTINGS = "[mutmut]\nuse_git_change_detection = false\ntimeout_multiplier = 5\nprocess_isolation = forkserver\n"


class Part(NamedTuple):
    """Something that must not be wrong, and the quick tests that say so."""

    code: Mapping[str, Sequence[str]]  #: files of src/offhook, and what of them (function, Class.method)
    tests: Sequence[str]
    without: Sequence[str] = ()  #: tests of those files that take too long to be run hundreds of times


PARTS = {
    "signature": Part(
        {"voice/elevenlabs/signature.py": EVERYTHING, "signing.py": EVERYTHING},
        ["tests/test_signature.py", "tests/test_api_links.py"],
        ["test_what_the_official_sdk_accepts_is_proven_here", "test_no_words_make_a_link_by_chance_or_fail"],
    ),
    "dedup": Part(
        {
            "events.py": EVERYTHING,
            "store/events.py": ["filed_values", "add", "sealed", "opened", "_answer_of", "event_of", "get", "assign"],
            "store/sqlite.py": [
                "SqliteDatabase.file",
                "SqliteDatabase._file_batch",
                "SqliteDatabase._answers",
                "SqliteDatabase._commit",
                "SqliteDatabase._insert",
                "_give_answers",
            ],
        },
        ["tests/test_filing.py"],
    ),
    "spool": Part(
        {"spool.py": EVERYTHING, "sealed_record.py": EVERYTHING},
        ["tests/test_spool_folders.py", "tests/test_sealed_record.py"],
    ),
    "texting": Part({"texts.py": EVERYTHING}, ["tests/test_texts.py"]),
    "caps": Part(
        {
            "messages.py": ["Messages.may_text"],
            "store/messages.py": ["reserve", "counts", "_count", "_row", "_still_there"],
            "store/opt_outs.py": ["add", "remove", "is_out"],
        },
        [
            "tests/test_text_caps.py",
            "tests/test_messages.py::test_an_agent_is_told_at_once_what_it_may_not_send",
            "tests/test_messages.py::test_an_agent_is_told_at_once_of_caps_and_opt_outs",
            "tests/test_messages.py::test_a_text_follows_its_contact_into_the_one_that_is_kept",
        ],
    ),
    "outgoing": Part(
        {"outgoing.py": EVERYTHING},
        ["tests/test_outgoing.py"],
        ["test_a_recording_is_fetched_from_where_it_is_said_to_be", "test_a_page_is_no_recording"],
    ),
}


class Survivor(NamedTuple):
    """A change that no test noticed."""

    place: str  #: file:line
    diff: str
    why_equal: str | None  #: it changes nothing that could be noticed, and why


class Outcome(NamedTuple):
    """What became of a part's mutants."""

    counts: Counter[str]
    survivors: Sequence[Survivor]
    took_s: float

    @property
    def equivalent(self) -> int:
        return sum(one.why_equal is not None for one in self.survivors)

    @property
    def noticed(self) -> int:
        return self.counts["killed"] + self.counts["timeout"]

    @property
    def score(self) -> float:
        wanted = self.counts.total() - self.equivalent
        return self.noticed / wanted if wanted else 0.0


def main() -> int:
    reader = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0], prog="make mutants")
    reader.add_argument("parts", nargs="*", type=_part, metavar="part", help=f"of {', '.join(PARTS)}; without one, all")
    reader.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="mutants tried at once; one a core")
    wishes = reader.parse_args()
    outcomes = {}
    print(
        f"{'':<10}{'mutants':>9}{'killed':>9}{'timeouts':>10}{'survived':>10}{'equal':>7}{'score':>9}{'min':>6}",
        flush=True,
    )
    for name in wishes.parts or PARTS:
        outcomes[name] = measured(name, PARTS[name], wishes.at_once)
        print(_line(name, outcomes[name]), flush=True)
    for name, outcome in outcomes.items():
        _show_survivors(name, outcome)
    low = [name for name, outcome in outcomes.items() if outcome.score < THRESHOLD]
    print(f"\n{', '.join(low)}: below" if low else "\nEvery part has at least", f"{THRESHOLD:.0%}.")
    return 1 if low else 0


def _part(word: str) -> str:
    if word in PARTS:
        return word
    raise argparse.ArgumentTypeError(f"there is no part {word!r}; there are {', '.join(PARTS)}")


def measured(name: str, part: Part, at_once: int) -> Outcome:
    """Let mutmut try every mutant of *part*, in a folder of its own."""
    began = time.monotonic()
    folder = _folder(name, part)
    with (folder / "log.txt").open("w") as log:
        command = [
            str(Path(sys.executable).with_name("mutmut")),
            "run",
            "--max-children",
            str(at_once),
            *_patterns(part),
        ]
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": ""})
    with contextlib.chdir(folder):
        statuses = dict(_statuses(part))
        if not statuses or not {"killed"} & set(statuses.values()) or "not checked" in statuses.values():
            print(f"{name} could not be measured; see {folder.relative_to(ROOT)}/log.txt", file=sys.stderr)
            sys.exit(2)
        survivors = [_survivor(mutant) for mutant, status in statuses.items() if status not in ("killed", "timeout")]
    return Outcome(Counter(statuses.values()), sorted(survivors), time.monotonic() - began)


def _folder(name: str, part: Part) -> Path:
    """Where mutmut finds the code, the tests, and what *part* wishes; nothing of an earlier run."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for beside in ("src", "tests", "pyproject.toml"):
        (folder / beside).symlink_to(ROOT / beside)
    (folder / "shared").symlink_to(ROOT.parent / "shared")  # the corpora, which tests look for beside the project
    too_long = " or ".join(["postgresql", *part.without])
    wishes = {
        "source_paths": ["src"],
        "only_mutate": [f"src/offhook/{path}" for path in part.code],
        "pytest_add_cli_args_test_selection": [*part.tests, "-k", f"not ({too_long})"],
        "pytest_add_cli_args": ["-p", "no:cacheprovider"],
    }
    lines = [f"{wish} =\n" + "".join(f"    {value}\n" for value in values) for wish, values in wishes.items()]
    (folder / "setup.cfg").write_text(_SETTINGS + "".join(lines))
    return folder


def _patterns(part: Part) -> list[str]:
    """What mutmut calls the mutants of *part*."""
    patterns = []
    for path, names in part.code.items():
        module = "offhook." + path.removesuffix(".py").replace("/", ".")
        for name in names:
            owner, _, function = name.rpartition(".")
            patterns.append(f"{module}.{make_mutant_key(function, owner or None)}__mutmut_*")
        if not names:
            patterns.append(f"{module}.x*")
    return patterns


def _statuses(part: Part) -> Iterator[tuple[str, str]]:
    """Each mutant's name, and what became of it."""
    wanted = [pattern.removesuffix("*") for pattern in _patterns(part)]
    for path in part.code:
        found: dict[str, Any] = json.loads(Path(f"mutants/src/offhook/{path}.meta").read_text())
        for mutant, code in found["exit_code_by_key"].items():
            if mutant.startswith(tuple(wanted)):
                yield mutant, status_by_exit_code[code]


def _survivor(mutant: str) -> Survivor:
    path = "src/" + mutant.partition(".x")[0].replace(".", "/") + ".py"
    diff = get_diff_for_mutant(mutant, path=path).splitlines()[2:]
    line = _begin_of(path, mutant) + _first_change(diff)
    changes = [said for said in diff if said.startswith(("-", "+"))]
    return Survivor(f"{path}:{line}", "\n".join(changes), _why_equal(path, changes))


def _begin_of(path: str, mutant: str) -> int:
    """The line of its function's first word, comments above it and decorators included."""
    function, owner = orig_function_and_class_names_from_key(mutant)
    body = ast.parse(Path(path).read_text()).body
    if owner is not None:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == owner)
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return next(node.lineno for node in body if isinstance(node, kinds) and node.name == function)


def _first_change(diff: Sequence[str]) -> int:
    """How many lines behind the function's first the difference begins."""
    begin = int(diff[0].split()[1].lstrip("-").partition(",")[0]) - 1
    return begin + next(place for place, line in enumerate(diff[1:]) if line.startswith(("-", "+")))


def _why_equal(path: str, changes: Sequence[str]) -> str | None:
    known = tomllib.loads((ROOT / "tools/equal_mutants.toml").read_text())["mutant"]
    said = {"file": path, "change": [line[0] + " " + line[1:].strip() for line in changes]}
    return next((one["why"] for one in known if said.items() <= one.items()), None)


def _line(name: str, outcome: Outcome) -> str:
    counts, equal = outcome.counts, outcome.equivalent
    left = counts.total() - outcome.noticed - equal
    verdict = "" if outcome.score >= THRESHOLD else f"  below {THRESHOLD:.0%}"
    return (
        f"{name:<10}{counts.total():>9}{counts['killed']:>9}{counts['timeout']:>10}{left:>10}{equal:>7}"
        f"{outcome.score:>9.1%}{outcome.took_s / 60:>6.1f}{verdict}"
    )


def _show_survivors(name: str, outcome: Outcome) -> None:
    left = [one for one in outcome.survivors if one.why_equal is None]
    if left:
        print(f"\n{name}: what no test noticed")
    for one in left:
        print(f"\n  {one.place}\n" + "\n".join(f"    {line}" for line in one.diff.splitlines()))


if __name__ == "__main__":
    sys.exit(main())
