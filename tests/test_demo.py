"""The demonstration counts tokens, answers with both arms, and draws what was kept."""

from pathlib import Path

import pytest
from PIL import Image

from bench.arms.profiles import load_profile
from bench.base.errors import UserError
from bench.cli import main
from bench.cli.demo import _image_and_question
from bench.report.demo import Demonstration, asked, demonstrate
from bench.tasks.prompts import CHATS
from hybrid import Keep

QUESTION = "What is the colour of the triangle shown here? A. red B. green C. blue D. white"


@pytest.fixture(scope="module")
def shown() -> Demonstration:
    keep = Keep.parse("18")
    return demonstrate(load_profile("tiny"), "hybrid", keep, image=None, question=QUESTION)


def test_both_arms_answer_and_the_hybrid_works_on_fewer_tokens(shown: Demonstration) -> None:
    assert shown.answers == {"dense": "green B", "hybrid": "green B"}
    stages = {stage: (dense, now) for stage, dense, now in shown.tokens}
    patches, merged = stages["visual tokens out of the tower"]
    length, long = stages["language layers 0-1"]
    assert patches == 144
    assert merged < patches
    assert long == length - patches + merged
    assert stages["language layers 2-4"] == (length, length - patches + 18)


def test_a_method_that_prunes_at_several_depths_shows_each() -> None:
    keep = Keep.parse("9")
    shown = demonstrate(load_profile("tiny"), "sparsevlm", keep, image=None, question=QUESTION)
    _, *layers = shown.tokens
    text = layers[0][1] - 144
    assert [(stage, now - text) for stage, _, now in layers] == [
        ("language layers 0-0", 144),
        ("language layers 1-1", 36),
        ("language layers 2-2", 18),
        ("language layers 3-4", 9),
    ]


def test_every_stage_is_timed_for_both(shown: Demonstration) -> None:
    assert [stage for stage, _, _ in shown.milliseconds] == ["prefill", "decode", "answer"]
    assert all(dense > 0 and now > 0 for _, dense, now in shown.milliseconds)


def test_the_picture_shows_kept_patches_bright(shown: Demonstration) -> None:
    assert shown.picture is not None
    assert shown.picture.width == shown.picture.height >= 336
    assert shown.caption.startswith("18 of ")


def test_words_the_model_was_never_taught_are_named() -> None:
    with pytest.raises(UserError, match=r"no word for brand, it; it was taught How, In"):
        demonstrate(
            load_profile("tiny"),
            "hybrid",
            Keep.parse("18"),
            image=None,
            question="What brand is it?",
        )


def test_options_get_lines_of_their_own() -> None:
    llava, qwen = CHATS["llava-1.5"], CHATS["qwen2.5-vl"]
    listed = asked("Which? A. red B. green", llava)
    assert "<image> Which?\nA. red\nB. green\nAnswer with the option's letter" in listed
    assert asked("Which one is it?", llava) == llava.frame("Which one is it?")
    listed = asked("Which? A. red B. green", qwen)
    assert ">Question: Which?\nOptions:\nA. red\nB. green\nPlease select" in listed


def test_one_word_group_is_an_image_or_a_question(tmp_path: Path) -> None:
    assert _image_and_question(["a.png"]) == (Path("a.png"), None)
    assert _image_and_question(["What is it?"]) == (None, "What is it?")
    with pytest.raises(UserError, match="quotes"):
        _image_and_question(["a.png", "What", "is"])


@pytest.mark.parametrize("content", [None, b"no image"])
def test_a_file_that_is_no_image_is_one_line_and_exit_code_2(
    content: bytes | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr("sys.argv", ["bench", "demo", str(path)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert error.count("\n") == 1


def test_an_image_file_is_read_and_its_picture_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (168, 168), (120, 120, 120)).save(tmp_path / "grey.png")
    out = tmp_path / "kept.png"
    command = ["bench", "demo", str(tmp_path / "grey.png"), "--out", str(out), "--keep", "9"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    assert Image.open(out).width >= 336
    assert "9 of " in capsys.readouterr().out


def test_what_the_command_prints_has_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "seen.png"
    monkeypatch.setattr("sys.argv", ["bench", "demo", "--keep", "9", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    told = capsys.readouterr().out
    assert "\\n" not in told
    assert told.splitlines()[-2] == "" and told.splitlines()[-1].startswith(f"{out}: 9 of ")
