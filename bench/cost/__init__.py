"""What must a stage cost? Counted, not timed: the same on every machine, without weights."""
