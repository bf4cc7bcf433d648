"""offhook doctor: checks everything a running installation needs."""

import msgspec

from offhook import logs
from offhook.cli.terminal import Json, plain, print_json
from offhook.doctor import examine
from offhook.settings import load

_MARKS = {"ok": "  ok     ", "warning": "  warning", "error": "  ERROR  "}


async def doctor(*, json: Json = False) -> int:
    """Check database, durability, disk, permissions, keys, spool and clock; exit code 1 when something is wrong."""
    settings = load()
    logs.set_up(settings.model_copy(update={"log_level": "error"}))
    findings = await examine(settings)
    if json:
        print_json([msgspec.structs.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{_MARKS[finding.level]}  {finding.check:<13}  {plain(finding.finding)}")
            if finding.advice:
                print(f"{'':>26}{plain(finding.advice)}")
    return 1 if any(finding.level != "ok" for finding in findings) else 0
