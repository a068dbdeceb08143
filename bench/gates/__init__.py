"""Pass, fail, unsure? What was measured, judged."""
