"""A second run is refused once it has set the first one's folder aside, and written run.json."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="bench.evaluation.runs.loop:infer",
    old=(
        "        held.enter_context(locked(folder))\n"
        "        earlier = folder.is_dir() and any(folder.iterdir())\n"
        "        if earlier and not (reuse or ranks.restarted):\n"
        '            print(f"note: the earlier run is kept in {set_aside(folder)}", flush=True)\n'
        "        document = spec.document()\n"
        "        demand_same(folder, document, IDENTITY)\n"
        "        demand_sealed(folder)\n"
        "        folder.mkdir(parents=True, exist_ok=True)\n"
        "        before = len(read_all(folder, task.indices, repair=True))\n"
        "        margins.read_margins(folder, task.indices, repair=True)\n"
        "        forced.read_forced(folder, task.indices, repair=True)\n"
        '        document |= {"samples": len(task.indices), "answered_before": before,'
        ' "ranks": ranks.size}\n'
        '        document["unknown_words"] = unknown_in(answerer.processor.tokenizer, prompts)\n'
        '        _write_json(folder / RUN_FILE, document | {"started": time.time()})\n'
    ),
    new=(
        "        earlier = folder.is_dir() and any(folder.iterdir())\n"
        "        if earlier and not (reuse or ranks.restarted):\n"
        '            print(f"note: the earlier run is kept in {set_aside(folder)}", flush=True)\n'
        "        document = spec.document()\n"
        "        demand_same(folder, document, IDENTITY)\n"
        "        demand_sealed(folder)\n"
        "        folder.mkdir(parents=True, exist_ok=True)\n"
        "        before = len(read_all(folder, task.indices, repair=True))\n"
        "        margins.read_margins(folder, task.indices, repair=True)\n"
        "        forced.read_forced(folder, task.indices, repair=True)\n"
        '        document |= {"samples": len(task.indices), "answered_before": before,'
        ' "ranks": ranks.size}\n'
        '        document["unknown_words"] = unknown_in(answerer.processor.tokenizer, prompts)\n'
        '        _write_json(folder / RUN_FILE, document | {"started": time.time()})\n'
        "        held.enter_context(locked(folder))\n"
    ),
    source="https://github.com/stanford-crfm/helm/issues/1354",
    expected=("harness",),
)
