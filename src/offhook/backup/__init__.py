"""Backups: one tar of everything, taken while the server runs, checked member by member, restored into an empty place.

    archive      the file: members in a stream, and a manifest with the sha256 of each
    taking       spool, a snapshot of the database, and the files that its rows name
    restoring    back into an empty installation
    drill        restored into a temporary folder, opened with the key, and understood again

A stream in both directions: nothing is in memory whole, and nothing is seen under its name before it is complete.
"""
