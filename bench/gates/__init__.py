"""Pass, fail, unsure: what was measured, judged."""
