"""Mutation testing of the pure core: each line is changed in turn, and a test must notice.

    python -m tests.mutation

mutmut (https://mutmut.readthedocs.io) makes the mutants in a copy of the tree, since it writes them
to disk, and forks one child a mutant from a process in which torch is already imported. What is
mutated and which tests look for it is in `mutmut.toml`; survivors that change nothing anybody can
observe are in `equivalent.toml`, each with the reason why.
"""
