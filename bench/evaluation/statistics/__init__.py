"""Two runs of the same questions: differences, their intervals, and flips."""
