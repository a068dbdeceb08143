"""Every setting of a profile as a page: `python -m bench.arms.profiles.page > docs/profiles.md`."""

import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from bench.arms.profiles.reading import allowed_of, table_of
from bench.arms.profiles.settings import Means, ProfileFile

HEAD = """\
# Profiles

A profile is one TOML file that says which model is run, how its visual tokens are reduced, on which
data, and what the gates demand. Six ship with the package:
[tiny](../bench/arms/profiles/tiny.toml) and
[tiny-qwen](../bench/arms/profiles/tiny-qwen.toml), whose models are embedded, and for a GPU
[llava-1.5-7b](../bench/arms/profiles/llava-1.5-7b.toml), which has bounds, and without any
[llava-next-7b](../bench/arms/profiles/llava-next-7b.toml),
[qwen2.5-vl-7b](../bench/arms/profiles/qwen2.5-vl-7b.toml) and
[qwen2.5-vl-3b](../bench/arms/profiles/qwen2.5-vl-3b.toml). What has no bound is measured, and its
verdict is UNSURE. For a LLaVA-1.5 of your own, `init` writes a profile, checks it without loading
weights, and prints the commands to run next; for another family, start from a copy of the one that
ships:

```bash
python -m bench init --checkpoint FOLDER_OR_ID --data my.tsv    # --captions, --out my.toml, --force
python -m bench run --profile my.toml --data my.tsv --model NAMES_hybrid   # NAMES: its model.names
python -m bench accuracy --profile my.toml
python -m bench latency --profile my.toml
python -m bench demo --profile my.toml
python -m bench syncs --profile my.toml
python -m bench compare outputs/NAMES/my outputs/NAMES_hybrid/my --profile my.toml
```

In what it writes merging is off, as thresholds are a tower's own: the file says how to calibrate
them. Latency is asked once its commented table is uncommented.

- **Sections.** A gate without a table is not asked, and asking for it is an error. For multiple
  choice alone, leave out `coco`, `[gates.coco]` and, if nothing is timed, `[gates.latency]`.
- **Paths** in a profile are relative to its own folder, and `~` is your home folder. On the command
  line they are relative to the working directory.
- What is missing, unknown or wrong is told in one line, all of it at once; exit code 2.

This page is made by `python -m bench.arms.profiles.page > docs/profiles.md`.
"""


def page() -> str:
    """Markdown: a table for each section of the file."""
    return HEAD + "".join(_section(ProfileFile, ()))


def _section(table: type, key: tuple[str, ...]) -> Iterator[str]:
    """The settings of a table, then the tables in it."""
    types = get_type_hints(table, include_extras=True)
    settings = [part for part in fields(table) if table_of(types[part.name]) is None]
    if settings:
        yield f"\n## {f'[{chr(46).join(key)}]' if key else 'At the top'}\n\n"
        yield "| Key | What it may be | If not given | Meaning |\n|---|---|---|---|\n"
    for part in settings:
        cells = (
            "batch-N" if part.name == "bounds" else part.name,
            allowed_of(types[part.name]),
            _default(part),
            _meaning(types[part.name]),
        )
        yield f"| `{cells[0]}` | {cells[1]} | {cells[2]} | {cells[3]} |\n"
    for part in fields(table):
        inner = table_of(types[part.name])
        if inner is not None:
            yield from _section(inner, (*key, part.name))


def _default(part: Any) -> str:
    if part.default is MISSING:
        return "required"
    return "" if part.default is None else f"`{json.dumps(part.default)}`"


def _meaning(annotation: Any) -> str:
    marks = getattr(annotation, "__metadata__", ())
    return " ".join(mark.words for mark in marks if isinstance(mark, Means))


if __name__ == "__main__":
    print(page(), end="")
