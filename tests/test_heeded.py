"""An option that is given and cannot be heeded is refused, in a line with its name and why."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.arms.models import arm_config
from bench.arms.profiles import FOLDER, load_profile
from bench.arms.published import ARMS
from bench.base.errors import UserError
from bench.cli.heeded import IDLE, demand_arm_heeds
from hybrid import Keep
from tests.commands import Typed
from tests.compare_runs import captions_xlsx, questions_xlsx, run_folder

RUN = "run --model tiny --data"
CASES = [  # where in IDLE, a parameter's name, the line
    ("coco", "matcher", f"{RUN} tiny-coco --matcher lmms-2024"),
    ("coco", "matcher", f"{RUN} tiny-coco --mode eval --matcher lmms-2024"),
    ("coco", "matcher", "score captions.xlsx --matcher lmms-2024"),
    ("coco", "matcher", "compare captions.xlsx captions.xlsx --matcher lmms-2024"),
    ("coco", "matcher", "reference add captions.xlsx --matcher lmms-2024"),
    ("mmbench", "tokeniser", f"{RUN} tiny-mmbench --tokeniser raw"),
    ("mmbench", "spice", f"{RUN} tiny-mmbench --spice"),
    ("mmbench", "tokeniser", "score questions.xlsx --tokeniser ptb"),
    ("mmbench", "spice", "score run --spice"),
    ("gate without questions", "matcher", "accuracy --profile coco.toml --matcher lmms-2024"),
    ("gate without questions", "prompt", "gate --profile coco.toml --prompt llava"),
    (
        "gate without captions",
        "caption_prompt",
        "accuracy --profile mmbench.toml --caption-prompt one-sentence",
    ),
    *(
        ("run --mode infer", name, f"{RUN} {data} --mode infer {words}")
        for name, data, words in (
            ("matcher", "tiny-mmbench", "--matcher lmms-2024"),
            ("tokeniser", "tiny-coco", "--tokeniser ptb"),
            ("spice", "tiny-coco", "--spice"),
        )
    ),
    ("run --mode eval", "verbose", f"{RUN} tiny-mmbench --mode eval --verbose"),
    ("run --mode eval", "batch_size", f"{RUN} tiny-mmbench --mode eval --batch-size 4"),
    (
        "compare without names",
        "references",
        "compare questions.xlsx questions.xlsx --references mine",
    ),
    ("demo of off", "out", "demo --model tiny_off --out off.png"),
    ("latency --aa", "history", "latency --aa --history"),
    ("latency of one revision", "smallest_effect", "latency --smallest-effect 0.03"),
    ("sweep without merging", "thresholds", "sweep --merge off --thresholds 72out"),
    ("sweep of methods", "merge", "sweep --methods grid --merge off"),
    ("sweep by averages", "keep", "sweep --methods grid --average 36 --keep 36"),
    ("sweep of the grid", "average", "sweep --average 36"),
    ("sweep of methods", "thresholds", "sweep --methods grid --thresholds 72out"),
    ("--regen", "work_dir", "golden --regen --work-dir out"),
    ("--regen", "work_dir", "cost --regen --work-dir out"),
    ("cost --gpu", "work_dir", "cost --gpu h100 --work-dir out"),
    ("--regen", "chosen_arm", "golden --regen --arm grid"),
    ("--regen", "keep", "cost --regen --keep 9"),
    ("records of all", "keep", "golden --keep 9"),
    ("records of all", "keep", "cost --keep 9"),
    ("records of all", "keep", "cost --gpu h100 --keep 9"),
    *(
        ("syncs --static", name, f"syncs --static {words}")
        for name, words in (
            ("model", "--model tiny"),
            ("profile_file", "--profile tiny.toml"),
            ("keep", "--keep 36"),
            ("weights", "--weights random"),
            ("trace", "--trace"),
            ("stack", "--stack"),
            ("compare", "--compare tiny"),
            ("require_gpu", "--require-gpu"),
            ("json_file", "--json a.json"),
            ("work_dir", "--work-dir out"),
        )
    ),
    ("syncs unjudged", "work_dir", "syncs --trace --work-dir out"),
    ("syncs unjudged", "require_gpu", "syncs --compare tiny --require-gpu"),
    ("gate-check replayed", "minutes", "gate-check --minutes 5"),
    ("gate-check --live", "minutes", "gate-check --live 1 --minutes 5"),
    ("gate-check --live", "recording", "gate-check --live 1 --recording there"),
    ("gate-check --record", "recording", "gate-check --record here --recording there"),
    ("history add", "file", "history --file a.jsonl add outputs"),
    ("history add", "machine", "history --machine b add outputs"),
    ("history add", "output", "history --output a.html add outputs"),
    *(
        ("mutants --add", name, f"mutants --add model/never {words}")
        for name, words in (
            ("only", "--only model/cls-merges"),
            ("without", "--without golden"),
            ("listed", "--list"),
            ("repeat_clean", "--repeat-clean 2"),
            ("jobs", "--jobs 1"),
            ("work_dir", "--work-dir out"),
        )
    ),
    *(
        ("mutants --list", name, f"mutants --list {words}")
        for name, words in (
            ("without", "--without golden"),
            ("repeat_clean", "--repeat-clean 2"),
            ("jobs", "--jobs 1"),
            ("work_dir", "--work-dir out"),
        )
    ),
    ("mutants --repeat-clean", "work_dir", "mutants --repeat-clean 2 --work-dir out"),
]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lines name, in the working directory."""
    monkeypatch.delenv("FASTV_K", raising=False)
    monkeypatch.chdir(tmp_path)
    captions_xlsx(tmp_path / "captions.xlsx", ["a cat", "a dog"])
    questions_xlsx(tmp_path / "questions.xlsx", "AB")
    run_folder(tmp_path / "run", "AB")
    text = (FOLDER / "tiny.toml").read_text()
    for kind, other in (("coco", "mmbench"), ("mmbench", "coco")):
        judging = re.sub(rf"\[gates\.{other}\](.|\n)*?(?=\n\[)", "", text)
        assert f"[gates.{kind}]" in judging != text
        (tmp_path / f"{kind}.toml").write_text(judging)


@pytest.mark.parametrize(("where", "name", "line"), CASES, ids=[line for _, _, line in CASES])
def test_an_option_that_cannot_be_heeded_is_refused(
    tmp_path: Path, typed: Typed, where: str, name: str, line: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    ended = typed(*line.split())
    assert (ended.code, ended.out) == (2, "")
    called = {"listed": "list", "chosen_arm": "method"}.get(name, name)
    option = re.escape(f"--{called.removesuffix('_file').replace('_', '-')}")
    assert re.fullmatch(f"error: {option}: {re.escape(IDLE[where].reason)}: .*\n", ended.err)
    assert sorted(tmp_path.rglob("*")) == before


def test_each_entry_of_the_table_is_tried() -> None:
    tried = {(where, name) for where, name, _ in CASES}
    assert {where for where, _ in tried} == set(IDLE)
    assert {(where, name) for where, idle in IDLE.items() for name in idle.options} <= tried
    assert not [pair for pair in tried if IDLE[pair[0]].takes(pair[1])]


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accuracy gate ends where it would begin to ask models."""

    def gate(*_: object, **__: object) -> None:
        raise UserError("reached")

    monkeypatch.setattr("bench.gates.quality.quality_gate", gate)


@pytest.mark.usefixtures("reached")
@pytest.mark.parametrize(
    "line",
    [
        "accuracy --matcher lmms-2024 --prompt llava --caption-prompt one-sentence",
        "accuracy --profile mmbench.toml --matcher lmms-2024 --prompt llava",
        "accuracy --profile coco.toml --caption-prompt one-sentence",
        "accuracy --profile coco.toml",  # no word of the command line
    ],
)
def test_what_one_of_the_data_sets_heeds_is_taken(typed: Typed, line: str) -> None:
    assert typed(*line.split()) == (2, "", "error: reached\n")


def test_what_comes_from_the_environment_may_be_idle(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTV_K", "36")
    ended = typed(*f"{RUN} tiny-mmbench --mode eval".split())
    assert "holds no run to score" in ended.err


def by_run(typed: Typed, arm: str, words: str) -> str:
    """What `run` says; nothing was answered, so it goes no further than to look."""
    model = "tiny" if arm == "dense" else f"tiny_{arm}"
    line = f"run --data tiny-mmbench --model {model} --mode eval {words}"
    return typed(*line.split()).err


def by_gate(typed: Typed, arm: str, words: str) -> str:
    return typed(*f"accuracy --arm {arm} {words}".split()).err


@pytest.mark.usefixtures("reached")
@pytest.mark.parametrize("command", [by_run, by_gate])
@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_takes_keep_if_it_prunes_and_thresholds_if_it_merges(
    typed: Typed, arm: str, command: Callable[[Typed, str, str], str]
) -> None:
    Path("four.json").write_text('{"thresholds": [0.9, 0.9, 0.9, 0.9]}')
    config = arm_config(arm, load_profile("tiny"), Keep(count=1))
    prunes = config is not None and (config.budget.prunes or bool(config.method))
    merges = config is not None and config.thresholds is not None
    for words, heeded, refusal in (
        ("--keep 36", prunes, "error: --keep 36: .* keeps every visual token"),
        ("--keep none", True, ""),
        ("--thresholds four.json", merges, "error: --thresholds four.json: .* merges nothing"),
    ):
        said = command(typed, arm, words)
        assert re.match("error: (reached|.* holds no run to score)" if heeded else refusal, said)


def test_the_reason_names_a_model_that_would_heed() -> None:
    with pytest.raises(UserError, match=r"--keep 36: tiny keeps every .* did you mean tiny_hybrid"):
        demand_arm_heeds(load_profile("tiny"), "dense", keep="36", thresholds=None)
