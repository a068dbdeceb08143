"""Each named prompt, to the space, as text and as the ids that a tokenizer makes of it."""

import json
import sys
from pathlib import Path

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

from bench import cli
from bench.base.errors import UserError
from bench.tasks import load_task
from tests.task_files import picture, rotations, write_mmbench, write_tsv

SYSTEM_USER = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives"
    " helpful, detailed, and polite answers to the user's questions."
)
SYSTEM_HUMAN = SYSTEM_USER.replace("user", "human")
DIRECTLY = "Answer with the option's letter from the given choices directly."
# As a Llama tokenizer does, the small one keeps each space and each line end: they are tokens.
VOCABULARY = [
    *("<unk>", "<image>", " ", "\n", SYSTEM_USER, SYSTEM_HUMAN, "USER:", "ASSISTANT:"),
    *("Hint.", "What", "is", "7?", "There", "are", "several", "options:"),
    *("A.", "B.", "C.", "yes", "no", DIRECTLY),
]
SENTENCES = "|".join(
    text.replace(".", r"\.") for text in (SYSTEM_USER, SYSTEM_HUMAN, DIRECTLY, "<image>")
)


def small_tokenizer() -> Tokenizer:
    ids = {word: number for number, word in enumerate(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    pattern = Regex(rf"{SENTENCES}|\s|[^\s]+")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, "isolated")
    tokenizer.add_special_tokens([AddedToken("<image>", normalized=False)])
    return tokenizer


MULTIPLE_CHOICE = {
    "vlmevalkit": (
        f"{SYSTEM_HUMAN} USER:  <image> Hint.\nWhat is 7?\nA. yes\nB. no\n{DIRECTLY} ASSISTANT: ",
        [5, 2, 6, 2, 2, 1, 2, 8, 3, 9, 2, 10, 2, 11, 3, 16, 2, 19, 3, 17, 2, 20, 3, 21, 2, 7, 2],
    ),
    "llava": (
        f"{SYSTEM_USER} USER: <image>\nHint.\nWhat is 7?\nA. yes\nB. no\n{DIRECTLY} ASSISTANT:",
        [4, 2, 6, 2, 1, 3, 8, 3, 9, 2, 10, 2, 11, 3, 16, 2, 19, 3, 17, 2, 20, 3, 21, 2, 7],
    ),
    "lmms-eval": (
        f"{SYSTEM_USER} USER: <image>\nHint. What is 7? There are several options:\nA. yes\nB. no"
        f"\n\n{DIRECTLY} ASSISTANT:",
        [
            *(4, 2, 6, 2, 1, 3, 8, 2, 9, 2, 10, 2, 11, 2, 12, 2, 13, 2, 14, 2, 15),
            *(3, 16, 2, 19, 3, 17, 2, 20, 3, 3, 21, 2, 7),
        ],
    ),
}
CAPTIONS = {
    "vlmevalkit": (
        f"{SYSTEM_HUMAN} USER:  <image> Please describe this image in general. Directly provide"
        ' the description, do not include prefix like "This image depicts".  ASSISTANT: ',
        ([5, 2, 6, 2, 2, 1, 2], [2, 2, 7, 2]),
    ),
    "one-sentence": (
        f"{SYSTEM_USER} USER: <image>\nProvide a one-sentence caption for the provided image."
        " ASSISTANT:",
        ([4, 2, 6, 2, 1, 3], [2, 7]),
    ),
    "recorded-hybrid": (
        f"{SYSTEM_HUMAN} USER:  <image> Write a short COCO-style caption in ONE sentence"
        " (max 15 words). No extra details. ASSISTANT: ",
        ([5, 2, 6, 2, 2, 1, 2], [2, 7, 2]),
    ),
}


def questions(tmp_path: Path, **cells: object) -> Path:
    rows = [row | cells for row in rotations(7, ("yes", "no"))]
    return write_mmbench(tmp_path / "a.tsv", rows)


def captions(tmp_path: Path, **cells: object) -> Path:
    row = {"image": picture("red"), "answer": "['a cat']", **cells}
    return write_tsv(tmp_path / "b.tsv", [{"index": index, **row} for index in (1, 2)])


@pytest.mark.parametrize("name", MULTIPLE_CHOICE)
def test_a_multiple_choice_prompt_is_the_harness_s_to_the_token(tmp_path: Path, name: str) -> None:
    text, ids = MULTIPLE_CHOICE[name]
    task = load_task(questions(tmp_path, question="What is 7?", hint="Hint."), prompt=name)
    assert task.samples[0].prompt == text
    assert small_tokenizer().encode(text).ids == ids
    assert task.recipe["prompt"] == name


@pytest.mark.parametrize("name", MULTIPLE_CHOICE)
def test_without_a_hint_nothing_stands_in_its_place(tmp_path: Path, name: str) -> None:
    text, _ = MULTIPLE_CHOICE[name]
    task = load_task(questions(tmp_path, question="What is 7?"), prompt=name)
    without = text.replace("Hint. What" if name == "lmms-eval" else "Hint.\nWhat", "What")
    assert task.samples[0].prompt == without


@pytest.mark.parametrize("name", CAPTIONS)
def test_a_caption_prompt_is_the_harness_s_to_the_token(tmp_path: Path, name: str) -> None:
    text, (before, after) = CAPTIONS[name]
    task = load_task(captions(tmp_path), prompt=name)
    ids = small_tokenizer().encode(text).ids
    assert task.samples[0].prompt == text
    assert (ids[: len(before)], ids[-len(after) :]) == (before, after)
    assert 0 in ids[len(before) : -len(after)]  # the sentence's words, which this one doesn't know
    assert task.recipe["prompt"] == name


def test_prompts_differ_in_hash_and_recipe(tmp_path: Path) -> None:
    path = questions(tmp_path)
    tasks = [load_task(path, prompt=name) for name in MULTIPLE_CHOICE]
    assert len({task.prompt_hash for task in tasks}) == len(tasks)
    assert len({task.data_hash for task in tasks}) == 1


def test_a_prompt_of_the_other_task_names_this_task_s_own(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown prompt 'one-sentence'; .* vlmevalkit, llava, "):
        load_task(questions(tmp_path), prompt="one-sentence")
    with pytest.raises(UserError, match=r"unknown prompt 'llava'; .* one-sentence, recorded-hyb"):
        load_task(captions(tmp_path), prompt="llava")


def test_a_chosen_prompt_is_not_passed_over_for_the_file_s_question(tmp_path: Path) -> None:
    path = captions(tmp_path, question="Caption it.")
    with pytest.raises(UserError, match=r"row with index 1: asks 'Caption it.', not the chosen"):
        load_task(path, prompt="one-sentence")
    same = captions(tmp_path, question="Provide a one-sentence caption for the provided image.")
    assert load_task(same, prompt="one-sentence").samples[0].prompt == CAPTIONS["one-sentence"][0]


def test_the_command_s_prompt_reaches_the_task_and_is_checked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = ["bench", "run", "--data", "tiny-coco", "--model", "tiny", "--limit", "2"]
    where = ["--work-dir", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*run, *where, "--prompt", "one-sentence"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    scores = json.loads((tmp_path / "tiny" / "tiny-coco" / "scores.json").read_text())
    assert scores["recipe"]["prompt"] == "one-sentence"

    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [*run, *where, "--prompt", "lava"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "error: unknown prompt 'lava'; choose one of vlmevalkit, one-sentence, recorded-hybrid\n"
    )


def test_llava_next_is_asked_as_vlmevalkit_asks_it(tmp_path: Path) -> None:
    """By the checkpoint's chat template: no system's turn, a space behind the message."""
    path = questions(tmp_path, question="What is 7?", hint="Hint.")
    task = load_task(path, chat="llava-next-vicuna")
    assert task.samples[0].prompt == (
        f"USER: <image>\nHint.\nWhat is 7?\nA. yes\nB. no\n{DIRECTLY} ASSISTANT:"
    )
    assert task.recipe["prompt"] == "vlmevalkit, llava-next-vicuna"
    caption = load_task(captions(tmp_path), chat="llava-next-vicuna").samples[0].prompt
    assert caption == (
        "USER: <image>\nPlease describe this image in general. Directly provide the description,"
        ' do not include prefix like "This image depicts".  ASSISTANT:'
    )


def test_qwen_is_asked_as_vlmevalkit_asks_it(tmp_path: Path) -> None:
    """The data set's own words, since it is configured without prompts of its own there."""
    before = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|><|image_pad|><|vision_end|>"
    )
    after = "<|im_end|>\n<|im_start|>assistant\n"
    path = questions(tmp_path, question="What is 7?", hint="Hint.")
    task = load_task(path, chat="qwen2.5-vl")
    assert task.samples[0].prompt == (
        f"{before}Hint: Hint.\nQuestion: What is 7?\nOptions:\nA. yes\nB. no\n"
        f"Please select the correct answer from the options above. \n{after}"
    )
    assert (
        load_task(questions(tmp_path), chat="qwen2.5-vl")
        .samples[0]
        .prompt.startswith(f"{before}Question: ")
    )
    caption = load_task(captions(tmp_path), chat="qwen2.5-vl").samples[0].prompt
    assert caption == (
        f"{before}Please describe this image in general. Directly provide the description, do not"
        f' include prefix like "This image depicts". {after}'
    )


def test_a_prompt_that_a_chat_does_not_have_is_refused_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown prompt 'llava'; choose one of vlmevalkit$"):
        load_task(questions(tmp_path), prompt="llava", chat="qwen2.5-vl")
    with pytest.raises(UserError, match="unknown chat 'alpaca'; choose one of llava-1"):
        load_task(questions(tmp_path), chat="alpaca")
