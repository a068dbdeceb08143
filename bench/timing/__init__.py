"""How long does it take? Clocks, interleaved arms, samples and their ratios."""
