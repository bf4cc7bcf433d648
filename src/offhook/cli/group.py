"""A group of commands, such as `offhook org`."""

from cyclopts import App


def group(name: str) -> App:
    """The group, to which its module adds commands; what it is for stands in the table of `offhook.cli`."""
    return App(name=name, help_format="plaintext", help_epilogue=f"`offhook {name} COMMAND --help` shows examples.\n")
