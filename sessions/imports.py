"""Who may import whom: the contracts of `[tool.importlinter]`, held to the code.

A file of its own, since import-linter's command does nothing at all when run as a module.
"""

from importlinter.cli import lint_imports_command

if __name__ == "__main__":
    lint_imports_command(["--no-logo", "--no-cache"])
