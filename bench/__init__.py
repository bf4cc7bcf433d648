"""`make bench`: the table of docs/performance.md, measured on this machine, with a plain verdict for each row."""
