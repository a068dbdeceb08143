"""The workflows: who gets to the card, what is required, and what cancels what."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS: dict[str, dict[Any, Any]] = {
    file.stem: yaml.safe_load(file.read_text()) for file in FOLDER.glob("*.yml")
}
GUARD = ROOT / ".github" / "runner" / "only-vetted.sh"
GPU = "owner/project/.github/workflows/gpu.yml@refs/heads/main"
FINAL = {"checks": "checks", "gpu": "gates"}


def triggers(name: str) -> set[str]:
    return set(WORKFLOWS[name][True])  # YAML 1.1 reads the key `on` as true


def commands(name: str) -> list[str]:
    jobs = WORKFLOWS[name]["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize(
    ("event", "workflow", "allowed"),
    [
        ("merge_group", GPU, True),
        ("workflow_dispatch", GPU, True),
        ("pull_request", GPU, False),
        ("pull_request_target", GPU, False),
        ("push", GPU, False),
        ("merge_group ", GPU, False),
        ("", GPU, False),
        (None, GPU, False),
        ("merge_group", GPU.replace("gpu.yml", "checks.yml"), False),
        ("merge_group", GPU.replace("owner", "another"), False),
        ("merge_group", f"x/{GPU}", False),
        ("workflow_dispatch", "", False),
        ("workflow_dispatch", None, False),
    ],
)
def test_the_runner_itself_refuses_what_nobody_vouched_for(
    event: str | None, workflow: str | None, allowed: bool
) -> None:
    job = {"GITHUB_EVENT_NAME": event, "GITHUB_WORKFLOW_REF": workflow}
    environment = {k: v for k, v in job.items() if v is not None}
    environment |= {"GITHUB_REPOSITORY": "owner/project", "PATH": os.environ["PATH"]}
    ran = subprocess.run([GUARD], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode == 0) is allowed, ran.stderr
    assert ran.stderr.startswith("refused: ") is not allowed


def test_the_page_on_runners_begins_with_who_can_reach_it() -> None:
    page = (ROOT / "docs" / "runner.md").read_text()
    first = page.split("\n## ")[1]
    assert first.startswith("First") and str(GUARD.relative_to(ROOT)) in first
    assert all(w in first for w in ("all outside contributors", "phemeral", "unner group"))


def test_only_the_queue_and_a_person_start_the_gpu() -> None:
    for name, workflow in WORKFLOWS.items():
        own = [job for job in workflow["jobs"].values() if "self-hosted" in job["runs-on"]]
        assert bool(own) is (name == "gpu")
    assert triggers("gpu") == {"merge_group", "workflow_dispatch"}


def test_what_the_documents_require_is_reported_in_the_queue_and_before() -> None:
    page = (ROOT / "docs" / "runner.md").read_text()
    [words] = re.findall(r"require the checks ((?:`\w+`\W+(?:and\s)?)+)", page)
    required = re.findall(r"`(\w+)`", words)
    for event in ("merge_group", "pull_request"):
        reported = [
            job.get("name", key)
            for name, workflow in WORKFLOWS.items()
            if event in triggers(name)
            for key, job in workflow["jobs"].items()
            if "matrix" not in job.get("strategy", {})
        ]
        assert [reported.count(name) for name in required] == [1] * len(required), event
    assert sorted(required) == sorted(FINAL.values())


@pytest.mark.parametrize(("name", "final"), FINAL.items())
def test_the_required_job_needs_all_others(name: str, final: str) -> None:
    jobs = WORKFLOWS[name]["jobs"]
    assert jobs[final]["if"] == "always()"
    assert set(jobs[final]["needs"]) == set(jobs) - {final}


@pytest.mark.parametrize("name", FINAL)
@pytest.mark.parametrize(
    ("results", "green"),
    [
        ("success", True),
        ("success success", True),
        ("success skipped", False),
        ("cancelled success", False),
        ("failure", False),
        ("", False),
    ],
)
def test_it_is_green_only_if_each_succeeded(name: str, results: str, green: bool) -> None:
    [step] = WORKFLOWS[name]["jobs"][FINAL[name]]["steps"]
    assert step["env"] == {"RESULTS": "${{ join(needs.*.result, ' ') }}"}
    environment = {"RESULTS": results, "PATH": os.environ["PATH"]}
    ran = subprocess.run(["bash", "-e", "-c", step["run"]], env=environment, check=False)
    assert (ran.returncode == 0) is green


def test_nothing_in_the_queue_or_at_night_is_cancelled() -> None:
    gpu, checks = WORKFLOWS["gpu"]["concurrency"], WORKFLOWS["checks"]["concurrency"]
    assert gpu["cancel-in-progress"] is False and "github.ref" in gpu["group"]
    assert checks["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
    assert "github.run_id" in gpu["group"] and "github.run_id" in checks["group"]
    assert [name for name in WORKFLOWS if "schedule" in triggers(name)] == ["nightly"]
    assert "concurrency" not in WORKFLOWS["nightly"]


def test_each_installation_is_pinned_and_each_action_is_a_commit() -> None:
    for name, workflow in WORKFLOWS.items():
        installs = [c for c in commands(name) if "pip install" in c]
        assert all("-c constraints.txt" in c for c in installs), name
        uses = [s["uses"] for j in workflow["jobs"].values() for s in j["steps"] if "uses" in s]
        assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", use) for use in uses)


def test_the_gpu_run_says_what_it_asks_before_it_installs() -> None:
    steps = commands("gpu")
    [asked] = re.findall(r"printf '%s\\n' ([a-z ]+) > outputs/asked.txt", steps[0])
    sessions = re.findall(r"nox -s ([a-z]+)", " ".join(steps))
    assert asked.split() == [{"sync": "syncs"}.get(name, name) for name in sessions]
    assert "pip install" in steps[1]
