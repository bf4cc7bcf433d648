"""All SQL lives here: one file per room, every statement in a function with a name. `tables.py` shows every table."""
