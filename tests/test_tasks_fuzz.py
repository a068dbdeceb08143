"""Any damage to a file gives one line that says so, or the right number: never less, unseen."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.base.errors import UserError
from bench.tasks import load_task, score_file
from bench.tasks.load import FIXTURE_DATA

FUZZ = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
DATA = FIXTURE_DATA / "tiny-mmbench.tsv"
QUESTIONS = 4


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small data set, and right predictions for all of it as .jsonl and .xlsx."""
    folder = tmp_path_factory.mktemp("fuzz")
    header, *lines = DATA.read_text().splitlines(keepends=True)
    kept = [line for line in lines if int(line.split("\t")[0]) % 1_000_000 < QUESTIONS]
    tsv = folder / "small.tsv"
    tsv.write_text(header + "".join(kept))
    task = load_task(tsv)
    answer = header.rstrip("\n").split("\t").index("answer")
    right = {int(line.split("\t")[0]): line.split("\t")[answer] for line in kept}
    rows = [json.dumps({"index": i, "prediction": a}) + "\n" for i, a in right.items()]
    (folder / "predictions.jsonl").write_text("".join(rows))
    task.write_official(folder, "right_small", right, task.score(right))
    return {
        "tsv": tsv,
        "jsonl": folder / "predictions.jsonl",
        "xlsx": folder / "right_small.xlsx",
    }


@st.composite
def damage(draw: st.DrawFn) -> tuple[str, float, bytes]:
    """What is done to a file, where in it (0 to 1), and with which bytes."""
    kind = draw(st.sampled_from(["cut", "replace", "insert", "delete", "double"]))
    return kind, draw(st.floats(0, 1)), draw(st.binary(min_size=1, max_size=12))


def damaged(content: bytes, kind: str, where: float, noise: bytes) -> bytes:
    at = int(where * len(content))
    match kind:
        case "cut":
            return content[:at]
        case "replace":
            return content[:at] + noise + content[at + len(noise) :]
        case "insert":
            return content[:at] + noise + content[at:]
        case "delete":
            return content[:at] + content[at + len(noise) :]
    line = content[:at].rfind(b"\n") + 1
    end = content.find(b"\n", line) + 1 or len(content)
    return content[:end] + content[line:end] + content[end:]


@pytest.mark.parametrize("reader", ["tsv", "jsonl", "xlsx"])
@given(harm=damage())
@FUZZ
def test_damage_is_one_line_or_changes_no_count(
    files: dict[str, Path], tmp_path: Path, reader: str, harm: tuple[str, float, bytes]
) -> None:
    path = tmp_path / f"damaged{files[reader].suffix}"
    path.write_bytes(damaged(files[reader].read_bytes(), *harm))
    try:
        if reader == "tsv":
            task = load_task(path)
            for sample in task.samples:
                sample.image()
            # A file cut at a line's end cannot be told from a smaller one; its count can.
            assert len(task.samples) <= QUESTIONS * 4 or harm[0] in ("insert", "double")
            score = score_file(files["jsonl"], data=path)
        else:
            data = files["tsv"] if reader == "jsonl" else None
            score = score_file(path, data=data)
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert score.samples == QUESTIONS * 4
    assert set(score.hits) == set(range(QUESTIONS))
