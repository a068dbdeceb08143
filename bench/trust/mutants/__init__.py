"""Planted defects: each a bug that somebody shipped or could, and each must turn a gate red.

`python -m bench mutants` changes one function at a time, in a forked child and never on disk, runs
the gates on it and demands that one turns red. A mutant is a file in `model/`, `harness/`, `cost/`
or `waits/`; `mutant` says what is in it, `planting` applies it, `gates` and `tests` judge it,
`session` runs them all.
"""
