"""The guardian: notices what would lose calls before it does, and says how to mend it."""
