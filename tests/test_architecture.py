"""docs/architecture.md against the code: its picture, its wings, and every link of every page."""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import grimp

from sessions.architecture import PICTURE, direct, floors, imports, said

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_picture_shows_the_imports_that_are_there() -> None:
    arrows = said(direct(imports())).replace(">", "&gt;")
    assert arrows in PICTURE.read_text(encoding="utf-8"), "draw it anew: nox -s architecture"


def test_an_import_that_runs_up_is_red(tmp_path: Path) -> None:
    for name in ("bench", "hybrid", "sessions"):
        for file in (ROOT / name).rglob("*.py"):
            copy = tmp_path / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    run = partial(
        subprocess.run, [sys.executable, "-m", "sessions.imports"], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    green = run()
    assert green.returncode == 0 and "5 kept, 0 broken" in green.stdout, green.stdout
    prompts = tmp_path / "bench" / "tasks" / "prompts.py"
    prompts.write_text(f"{prompts.read_text()}\nfrom bench.gates import names\n")
    red = run()
    assert red.returncode == 1 and "bench.tasks.prompts -> bench.gates" in red.stdout, red.stdout


def test_each_wing_is_told_of_and_each_folder_is_a_wing() -> None:
    wings = {wing for row in floors() for wing in row}
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\*\*`([a-z/]+)`\*\*:", page, re.M)) == {
        wing.replace(".", "/") for wing in wings
    }
    folders = {f"bench.{p.parent.name}" for p in (ROOT / "bench").glob("*/__init__.py")}
    assert folders | {"hybrid"} == wings


def test_what_a_page_points_at_is_there() -> None:
    pointed = [
        page.parent / target
        for page in PAGES
        for pair in re.findall(
            r"\]\(([^)#:\s]+)(?:#[^)]*)?\)|src=\"([^\"]+)\"", page.read_text(encoding="utf-8")
        )
        for target in pair
        if target
    ]
    assert len(pointed) > 60 and [target for target in pointed if not target.exists()] == []


def test_a_worker_asks_an_earlier_hybrid_only_for_what_it_has() -> None:
    """`latency --against` drives the `hybrid` of a revision by this harness."""
    graph = grimp.build_graph("bench", "hybrid", cache_dir=None)
    mine = {"bench.timing.worker", *graph.find_upstream_modules("bench.timing.worker")}
    asked = {
        (module, imported)
        for module in mine
        if module.startswith("bench.")
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.partition(".")[0] == "hybrid"
    }
    old = {"hybrid", "hybrid.config", "hybrid.graphs", "hybrid.merging"}
    found = ("hybrid.methods", "hybrid.methods.fastv")
    guarded = {("bench.arms.published", each) for each in found}  # by a try
    guarded.add(("bench.arms.families", "hybrid.families"))
    assert {pair for pair in asked if pair[1] not in old} == guarded
