"""The gates that mutants are sent through, in order of the seconds they take to turn red."""

import json
import os
import pickle
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from bench.arms.models import load_checkpoint
from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.base.verdict import Outcome
from bench.cost import recorded
from bench.cost.models import model_of
from bench.cost.stages import cost_of
from bench.evaluation.runs.evaluate import evaluate
from bench.evaluation.runs.job import Job, Options, open_task
from bench.gates.accuracy import accuracy_gate
from bench.gates.captions import caption_gate
from bench.gates.sync.gate import files_on_the_path
from bench.gates.sync.lint import lint_source
from bench.tasks import Score
from bench.trust.mutants.families import Family
from bench.trust.mutants.planting import Change
from bench.trust.mutants.tests import Red, Selection, Tests
from hybrid import Keep

GOLDEN = "golden"
HANG = "hang"
CHILD_LIMIT_S = 240.0

EQUIVALENCE = (
    Selection("test_hybrid_config.py"),
    Selection("test_hybrid_model.py"),
    Selection("test_methods.py"),
    Selection("test_oracle_methods.py"),
    Selection("test_families.py"),
    Selection("test_deepstack.py"),
    Selection("test_schedule.py"),
    Selection("test_core_examples.py", only=("test_nothing_exceeds_a_threshold_of_one",)),
    Selection("test_reduction_corners.py"),
    Selection("test_stopping.py"),
    Selection("test_inputs.py"),
    Selection("test_feature_layers.py"),
    Selection("test_graphs.py"),
    Selection("test_properties_positions.py"),
    Selection("test_properties_merging.py"),
    Selection("test_oracle_papers.py"),
    Selection("test_oracle_calibrate.py"),
    Selection("test_oracle_model.py", only=("test_answers_are_the_oracles_up_to_their_end",)),
    Selection("test_cuda_operators.py"),
)
GOLDENS = (Selection("test_goldens.py", only=("test_positions_owners_and_masks_are_as_recorded",)),)
WAITS = (
    Selection(
        "test_syncs_hybrid.py",
        only=(
            "test_other_rankings_do_not_wait_either",
            "test_stopping_early_does_not_wait",
            "test_between_upload_and_read_back_there_is_no_wait_at_all",
            "test_generate_waits_only_for_the_read_back",
        ),
    ),
)
HARNESS = (
    Selection("test_verdict.py"),
    Selection("test_gates_accuracy.py"),
    Selection("test_gates_paired.py"),
    Selection(
        "test_gates_breakdown.py",
        without=("test_without_a_change_a_warning_comes_in_fewer_than_one_run_of_twenty",),
    ),
    Selection("test_syncs_counts.py"),
    Selection("test_timing_arms.py"),
    Selection("test_timing_worker.py"),
    Selection("test_progress.py"),
    Selection("test_needs.py"),
    Selection("test_checkpoint.py"),
    Selection("test_greedy.py"),
    Selection("test_finite.py", without=("test_a_command_says_it_in_one_line_and_ends_with_2",)),
    Selection(
        "test_bench_families.py",
        only=(
            "test_one_prompt_of_a_batch_is_what_it_is_alone",
            "test_run_answers_scores_and_goes_on",
            "test_pixels_are_a_setting_of_the_profile_and_part_of_a_run",
        ),
    ),
    Selection("test_syncs_gpu_gate.py"),
    Selection("test_syncs_proof.py"),
    Selection("test_tasks_mmbench.py"),
    Selection("test_tasks_matchers.py"),
    Selection("test_timing_ratio.py"),
    Selection("test_timing_interleave.py"),
    Selection("test_timing_samples.py"),
    Selection("test_whose_code.py"),
    Selection("test_syncs_ledger.py"),
    Selection("test_syncs_lint.py"),
    Selection("test_gates_latency.py"),
    Selection("test_gates_captions.py"),
    Selection(
        "test_compare.py",
        only=(
            "test_a_reference_is_cut_to_the_questions_of_a_run",
            "test_a_reference_of_other_right_answers_is_not_cut",
            "test_kept_captions_are_scored_on_the_images_of_the_run",
            "test_kept_captions_of_other_images_are_refused",
            "test_what_each_run_spends_stands_there_and_what_was_not_recorded_is_said",
        ),
    ),
    Selection("test_reading.py", only=("test_what_is_no_file_of_this_size_is_refused",)),
    Selection("test_runs_modes.py"),
    Selection("test_runs_identity.py"),
    Selection("test_own_methods.py"),
    Selection("test_runs_lock.py"),
    Selection("test_tasks_rescore.py"),
    Selection(
        "test_method_check.py",
        only=(
            "test_one_that_mixes_the_samples_of_a_batch_is_named",
            "test_more_than_the_budget_is_named",
            "test_one_that_waits_is_named_by_its_line",
            "test_means_that_stand_at_other_patches_are_named",
            "test_what_else_can_go_wrong_is_named",
        ),
    ),
    Selection(
        "test_method_records.py",
        only=(
            "test_a_method_that_ships_is_judged_by_its_own_golden_alone",
            "test_what_has_no_golden_is_drawn_and_unsure",
        ),
    ),
    Selection(
        "test_budget.py",
        only=(
            "test_an_arm_spends_what_is_said",
            "test_a_run_records_what_it_spends_and_its_readers_say_it",
        ),
    ),
    Selection(
        "test_history.py",
        only=("test_a_changed_budget_is_told_at_its_run_and_an_older_run_has_none",),
    ),
    Selection(
        "test_sweep_run.py", only=("test_what_a_method_has_to_beat_has_as_many_tokens_a_layer",)
    ),
    Selection("test_goldens.py"),
    Selection("test_syncs_catalogue.py"),
    Selection(
        "test_gpucheck.py",
        without=("test_memory_is_the_weights_and_more_and_a_reduced_cache_is_smaller",),
    ),
    Selection(
        "test_gate_command.py",
        only=(
            "test_both_arms_are_paired_with_their_recorded_runs",
            "test_a_profile_s_subsets_are_asked_unless_everything_is_wanted",
            "test_captions_are_paired_with_the_recorded_ones",
        ),
    ),
)
ANSWERED: tuple[Family, ...] = ("model", "cost", "waits")
COST_ARMS = {"llava-1.5-7b": ("off", "hybrid"), "qwen2.5-vl-3b": ("off",)}
QUESTIONS, IMAGES = 25, 50


def files_for(families: Set[Family]) -> list[str]:
    """The test files that mutants of `families` need."""
    selections = [*HARNESS] if "harness" in families else []
    if not families <= {"harness"}:
        selections = [*EQUIVALENCE, *GOLDENS, *WAITS, *selections]
    return list(dict.fromkeys(selection.file for selection in selections))


@dataclass(frozen=True)
class Gate:
    """What mutants of `families` are sent through; `look` gets None for the unmutated code."""

    name: str
    families: tuple[Family, ...]
    look: Callable[[Change | None], Red | None]


def make_gates(tests: Tests, folder: Path) -> list[Gate]:
    """All gates; `folder` takes their files, such as what dense answered."""

    def syncs(change: Change | None) -> Red | None:
        return spelled_waits(change) or tests.first_red(WAITS)

    return [
        Gate("equivalence", ANSWERED, lambda _: tests.first_red(EQUIVALENCE)),
        Gate(GOLDEN, ANSWERED, lambda _: tests.first_red(GOLDENS)),
        Gate("syncs", ANSWERED, syncs),
        Gate("cost", ANSWERED, lambda _: changed_cost()),
        Gate("accuracy", ANSWERED, lambda change: lost_answers(change, folder)),
        Gate("harness", ("harness",), lambda _: tests.first_red(HARNESS)),
    ]


def select_gates(gates: Sequence[Gate], without: Sequence[str]) -> list[Gate]:
    """The gates that stay on.

    Raises:
        UserError: a name that no gate has, or none is left.
    """
    names = [gate.name for gate in gates]
    for name in without:
        if name not in names:
            raise UserError(f"--without {name}: there is no such gate, only {', '.join(names)}")
    left = [gate for gate in gates if gate.name not in without]
    if not left:
        raise UserError("every gate is switched off: leave at least one on")
    return left


def spelled_waits(change: Change | None) -> Red | None:
    """The static half of the sync gate, on the text that is in force."""
    for path in files_on_the_path():
        planted = change is not None and Path(change.file) == path
        text = change.text if change is not None and planted else path.read_text(encoding="utf-8")
        found = lint_source(text, f"hybrid/{path.name}")
        if found:
            return Red(str(found[0]))
    return None


def changed_cost() -> Red | None:
    """The cost gate at batch 1, on our own arms."""
    for model, arm in ((model_of(name), arm) for name in COST_ARMS for arm in COST_ARMS[name]):
        costs = json.loads(recorded.path_of(model).read_text(encoding="utf-8"))["costs"]
        for stage, cost in cost_of(arm, 1, model).items():
            before, now = costs[arm]["batch-1"][stage], cost.to_json()
            for name in ("launches", "flops", "bytes_moved"):
                if before[name] != now[name]:
                    return Red(f"{arm}, {stage}: {name} {before[name]:,} -> {now[name]:,}")
            if before != now:
                return Red(f"{arm}, {stage}: other operators")
    return None


def lost_answers(change: Change | None, folder: Path) -> Red | None:
    """The accuracy gate on the first questions and images, against dense as it was unmutated."""
    profile = load_profile("tiny")
    assert profile.mmbench is not None and profile.coco is not None
    checkpoint = load_checkpoint(profile)
    keep = Keep.parse(profile.reduction.keep)
    work = folder / "accuracy"

    def scores(arm: str) -> list[Score]:
        found = []
        for data, limit in zip(profile.judged.values(), (QUESTIONS, IMAGES), strict=True):
            options = Options(work / str(os.getpid()), False, False, limit=limit)
            found.append(
                evaluate(checkpoint, Job(profile, arm, keep, open_task(data, options), options))[1]
            )
        return found

    record = folder / "dense.pickle"
    if change is None:
        record.write_bytes(pickle.dumps(scores("dense")))
    questions, captions = scores("hybrid")
    dense_questions, dense_captions = pickle.loads(record.read_bytes())
    verdicts = accuracy_gate(
        hits=questions.hits,
        reference_hits=dense_questions.hits,
        margin=profile.mmbench.margin,
        floor=profile.mmbench.floor,
        reproduce="python -m bench gate",
    ) + caption_gate(
        per_image_cider=captions.values,
        reference_per_image=dense_captions.values,
        margin=profile.coco.margin,
        floor=0.0,  # CIDEr of so few images has another scale
        reproduce="python -m bench gate",
    )
    failed = [verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL]
    return Red(f"{failed[0].gate}: {failed[0].reason}") if failed else None
