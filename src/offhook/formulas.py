"""What a spreadsheet would take for a formula, and run on the desk of whoever opens a list of ours, has an apostrophe."""

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def neutral(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell
