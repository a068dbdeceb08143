"""Captions tokenised as in the literature: the same as pycocoevalcap's own, and what goes wrong."""

import dataclasses
import os
import shutil
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.evaluation.runs.job import Job, Options
from bench.gates import quality
from bench.tasks import Score, comparable, load_task, read_predictions
from bench.tasks.captions.java import java_version
from bench.tasks.captions.meteor import meteor
from bench.tasks.captions.spice import check_spice, spice
from bench.tasks.captions.tokenise import ptb_tokenise
from hybrid import Keep
from tests.task_files import rotations, write_mmbench
from tests.test_tasks_coco import CAPTIONS, REFERENCES, write_coco

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="there is no java on PATH")

WRITTEN = {
    0: ["A cat, on a mat.", "The cat's (grey) mat!"],
    1: ['A "dog" runs at 11:44 in the park.', "It can't stop - no."],
    2: ["Two birds fly over water...", "#41 cafés\non the blvd."],
    3: ["A bus.", "the red bus"],
    4: ["two buses ;)", "red ones :)"],
}
ANSWERED = {
    0: "A cat on the mat.",
    1: "The dog\nis in the park!",
    2: "Birds, over the lake.",
    3: "",
    4: "Two buses :)",
}


@needs_java
@pytest.mark.parametrize(
    ("caption", "tokens"),
    [
        ("A Cat on the mat.", "a cat on the mat"),
        ("grey (old) cat", "grey -lrb- old -rrb- cat"),  # lower-cased, so not dropped
        ("at 11:44 on the blvd.", "at 11:44 on the blvd."),
        ("it's 5:54pm, #41 can't", "it 's 5:54 pm # 41 ca n't"),
        ("a cannot; 'b' - c", "a can not b c"),
        ("a ||| b", "a | | | b"),
        ("", ""),
        ("?", ""),
        ("?!", "?!"),  # one token, and not one of the dropped
        ("caf\u00e9 \u65e5\u672c", "caf\u00e9 \u65e5\u672c"),
        ("lone \ud800 half", "lone half"),
    ],
)
def test_tokens_of_the_penn_treebank(caption: str, tokens: str) -> None:
    assert ptb_tokenise([caption, ""]) == [tokens, ""]


@needs_java
@pytest.mark.parametrize(
    ("caption", "whole", "last"),
    [
        ("a bus :)", "a bus :-rrb-", "a bus -rrb-"),
        ("a bus :-)", "a bus :--rrb-", "a bus -rrb-"),
        ("a bus :D", "a bus :d", "a bus d"),
        ("a bus.", "a bus", "a bus"),
    ],
)
def test_an_emoticon_at_the_very_end_is_split_as_by_pycocoevalcap(
    caption: str, whole: str, last: str
) -> None:
    assert ptb_tokenise([caption, caption]) == [whole, last]
    assert ptb_tokenise([caption]) == [last]


@needs_java
def test_no_caption_shifts_those_after_it() -> None:
    """Java ends lines where Python's wrapper sees none; each must stay one caption."""
    breaks = [*map(chr, range(1, 33)), "\x7f", "\x85", "\xa0", "\u2028", "\u2029", "\ufeff"]
    captions = [f"p{mark}q" for mark in breaks]
    asked = [text for caption in captions for text in (caption, "mark")]
    answered = ptb_tokenise(asked)
    assert answered[1::2] == ["mark"] * len(captions)
    assert {tokens.replace("\xa0", " ") for tokens in answered[::2]} == {"p q"}
    assert ptb_tokenise(["", "a", "", ""]) == ["", "a", "", ""]


@needs_java
def test_non_ascii_survives_any_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert ptb_tokenise(["Caf\u00e9"]) == ["caf\u00e9"]


@pytest.mark.slow  # METEOR reads its paraphrases twice
@needs_java
def test_scores_are_those_of_pycocoevalcap_after_its_own_tokenizer(tmp_path: Path) -> None:
    """Called directly, from a copy: its wrapper writes into its own folder."""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer import ptbtokenizer

    copy = tmp_path / "tokenizer"
    shutil.copytree(Path(ptbtokenizer.__file__).parent, copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ptbtokenizer, "__file__", str(copy / "ptbtokenizer.py"))
        tokenizer = ptbtokenizer.PTBTokenizer()
        truth = tokenizer.tokenize({i: [{"caption": c} for c in cs] for i, cs in WRITTEN.items()})
        answers = tokenizer.tokenize({i: [{"caption": c}] for i, c in ANSWERED.items()})
    bleu, _ = Bleu(4).compute_score(truth, answers, verbose=0)
    expected = {f"BLEU-{n}": value for n, value in enumerate(bleu, start=1)}
    expected["ROUGE_L"] = Rouge().compute_score(truth, answers)[0]
    expected["CIDEr"] = Cider().compute_score(truth, answers)[0]
    direct = Meteor()  # reads its paraphrases while ours does, too

    path = write_coco(tmp_path / "a.tsv", dict(WRITTEN))
    score = load_task(path, tokeniser="ptb").score(ANSWERED)
    expected["METEOR"] = direct.compute_score(truth, answers)[0]
    assert {name: metric.value for name, metric in score.metrics.items()} == expected
    assert 0.1 < expected["METEOR"] < 1.0
    assert score.recipe == {"prompt": "vlmevalkit", "tokeniser": "ptb"}
    assert score.metrics["METEOR"].standard_error is None
    raw = load_task(path).score(ANSWERED)
    assert "METEOR" not in raw.metrics and raw.value < score.value


def fake_java(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    java = folder / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!{sys.executable}\nimport json, sys\n{script}\n")
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(java.parent))


def test_a_meteor_that_stops_is_an_error_not_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(
        tmp_path,
        "sys.stdin.readline(); sys.stderr.write('loading\\nError: no heap\\n'); sys.exit(1)",
        monkeypatch,
    )
    references = {i: ["a cat"] for i in range(5000)}
    captions = dict.fromkeys(range(5000), "a very long caption of a cat " * 20)
    with pytest.raises(UserError, match=r"METEOR stopped half-way: Error: no heap$"):
        meteor(references, captions)


def test_a_meteor_that_says_nothing_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path, "import time; time.sleep(60)", monkeypatch)
    monkeypatch.setattr("bench.tasks.captions.meteor.START_S", 0.5)
    with pytest.raises(UserError, match="METEOR stopped half-way: it said nothing"):
        meteor({1: ["a cat"]}, {1: "a cat"})


def test_a_tokenizer_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path, "sys.stderr.write('Error: bad heap\\nmore'); sys.exit(3)", monkeypatch)
    with pytest.raises(UserError, match=r"tokeniser failed with exit code 3: Error: bad heap$"):
        ptb_tokenise(["a"])


def test_a_tokenizer_that_loses_a_line_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path, "sys.stdout.write('a')", monkeypatch)
    with pytest.raises(UserError, match="gave 1 lines for 2 captions"):
        ptb_tokenise(["a", "b"])


def test_without_java_raw_works_and_ptb_says_what_is_missing(tmp_path: Path) -> None:
    data = write_coco(tmp_path / "a.tsv", dict(REFERENCES))
    answers = tmp_path / "p.jsonl"
    answers.write_text("".join(f'{{"index": {i}, "prediction": "a cat"}}\n' for i in REFERENCES))
    command = [sys.executable, "-m", "bench", "score", str(answers), "--data", str(data)]
    environment = os.environ | {"PATH": str(tmp_path)}
    raw, ptb, spiced = (
        subprocess.run(
            [*command, *more], env=environment, capture_output=True, text=True, check=False
        )
        for more in ([], ["--tokeniser", "ptb"], ["--tokeniser", "raw", "--spice"])
    )
    assert raw.returncode == 0 and "tokeniser raw" in raw.stdout
    assert ptb.returncode == 2 and ptb.stdout == ""
    assert ptb.stderr == (
        "error: the ptb tokeniser needs Java (8 or later), and there is no java on PATH; install a"
        " JRE, or score with --tokeniser raw\n"
    )
    assert spiced.returncode == 2 and "add --tokeniser ptb to --spice" in spiced.stderr


def test_java_is_missed_before_anything_is_inferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_coco(tmp_path / "a.tsv", dict(REFERENCES))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no java on PATH"):
        load_task(path, tokeniser="ptb")


def test_an_unknown_tokeniser_is_refused(tmp_path: Path) -> None:
    path = write_coco(tmp_path / "a.tsv", dict(REFERENCES))
    with pytest.raises(UserError, match="unknown tokeniser 'bpe'; choose one of raw, ptb"):
        load_task(path, tokeniser="bpe")


@needs_java
def test_only_raw_scores_are_written_in_vlmevalkits_layout(tmp_path: Path) -> None:
    raw = load_task(write_coco(tmp_path / "a.tsv", dict(REFERENCES)))
    ptb = load_task(tmp_path / "a.tsv", tokeniser="ptb")
    score = raw.score(CAPTIONS)
    tokenised = dataclasses.replace(score, recipe=ptb.recipe)
    assert ptb.write_official(tmp_path, "m", CAPTIONS, tokenised) == (tmp_path / "m.xlsx",)
    assert not (tmp_path / "m_score.json").exists()
    raw.write_official(tmp_path, "m", CAPTIONS, score)
    assert (tmp_path / "m_score.json").exists()
    again, _ = read_predictions(tmp_path / "m.xlsx", tokeniser="ptb")
    assert again.recipe == ptb.recipe


def test_scores_of_different_recipes_do_not_compare(tmp_path: Path) -> None:
    raw = load_task(write_coco(tmp_path / "a.tsv", dict(REFERENCES))).score(CAPTIONS)
    comparable(raw, dataclasses.replace(raw, task="another name"))
    with pytest.raises(UserError) as error:
        comparable(raw, dataclasses.replace(raw, recipe=dict(raw.recipe) | {"tokeniser": "ptb"}))
    assert str(error.value) == (
        "a (prompt vlmevalkit, tokeniser raw) does not compare with a (prompt vlmevalkit, tokeniser"
        " ptb); score both with the same prompt, matcher and tokeniser"
    )
    rows = rotations(7)
    task = load_task(write_mmbench(tmp_path / "b.tsv", rows), matcher="lmms-2024")
    questions = task.score(dict.fromkeys(task.indices, "A"))
    with pytest.raises(UserError, match="matcher lmms-2024"):
        comparable(questions, dataclasses.replace(questions, recipe={"prompt": "vlmevalkit"}))
    with pytest.raises(UserError, match="does not compare"):
        comparable(raw, questions)


def test_the_accuracy_gate_refuses_arms_of_different_recipes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Score] = []

    def evaluate(_checkpoint: object, job: Job) -> tuple[Path, Score]:
        score = job.task.score(dict.fromkeys(job.task.indices, "A"))
        made.append(dataclasses.replace(score, recipe=dict(score.recipe) | {"prompt": str(made)}))
        return tmp_path, made[-1]

    monkeypatch.setattr(quality, "evaluate", evaluate)
    options = Options(tmp_path, reuse=False, verbose=False, limit=3)
    profile = load_profile("tiny")
    with pytest.raises(UserError, match="does not compare with tiny-mmbench"):
        quality.quality_gate(
            profile, "hybrid", Keep.parse("18"), options, reproduce="-", held=ExitStack()
        )


@needs_java
def test_spice_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """pycocoevalcap would start a download here, and wait for it."""
    monkeypatch.setattr("bench.tasks.captions.spice.PARSER", ("no-such-parser.jar",))
    with pytest.raises(UserError, match=r"SPICE needs no-such-parser\.jar in .*spice/lib; with a"):
        load_task(
            write_coco(tmp_path / "a.tsv", dict(REFERENCES)), tokeniser="ptb", with_spice=True
        )


VERSION = """
if "-version" in sys.argv:
    sys.exit(sys.stderr.write('openjdk version "%s" 2026-01-01\\n') and 0)
"""


@pytest.mark.parametrize(("stated", "major"), [("1.8.0_292", 8), ("11.0.2", 11), ("17", 17)])
def test_spice_refuses_a_java_that_is_too_new(
    stated: str, major: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_java(tmp_path, VERSION % stated, monkeypatch)
    monkeypatch.setattr("bench.tasks.captions.spice.PARSER", ())
    assert java_version(str(tmp_path / "bin" / "java")) == major
    if major == 17:
        with pytest.raises(UserError, match="InaccessibleObjectException on Java 16 and later"):
            check_spice()
    else:
        assert check_spice() == str(tmp_path / "bin" / "java")


ANSWERING = """
asked = json.load(open(sys.argv[sys.argv.index("-jar") + 2]))
out = sys.argv[sys.argv.index("-out") + 1]
rows = [{"image_id": a["image_id"], "scores": {"All": {"f": len(a["refs"]) / 4}}} for a in asked]
json.dump(rows[::-1][%s:], open(out, "w"))
"""


def test_spice_is_the_mean_of_what_its_program_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Against a stand-in for the program: its parser is not on the package index."""
    monkeypatch.setattr("bench.tasks.captions.spice.PARSER", ())
    fake_java(tmp_path, VERSION % "11.0.2" + ANSWERING % 0, monkeypatch)
    found = spice(REFERENCES, CAPTIONS)
    assert found.value == pytest.approx((0.5 + 0.25 + 0.25) / 3) and found.count == 3
    (tmp_path / "b").mkdir()
    fake_java(tmp_path / "b", VERSION % "11.0.2" + ANSWERING % 1, monkeypatch)
    with pytest.raises(UserError, match="SPICE gave no score for each image"):
        spice(REFERENCES, CAPTIONS)
