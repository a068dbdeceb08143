"""The tiny LLaVA and its evaluation set: what every gate on the default profile stands on."""

import ast
import base64
import csv
import io
from collections import Counter
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image as Picture
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from bench.fixture import dataset, language, lessons, projector, scenes, tower, train
from bench.fixture.questions import LETTERS, NUMBERS
from bench.fixture.reader import Reader
from bench.fixture.tokens import SENTENCES, Vocabulary, caption_prompt, question_prompt
from hybrid.methods.dtome import DToMe
from hybrid.vision import VisionTower

FIXTURE = Path(dataset.__file__).parent
POSITIONAL = ("object_localization", "region_recognition", "spatial_relationship")
MEGABYTE = 1 << 20

Row = dict[str, str]


@cache
def rows(name: str) -> tuple[Row, ...]:
    csv.field_size_limit(MEGABYTE)
    with (FIXTURE / "data" / name).open(newline="", encoding="utf-8") as file:
        return tuple(csv.DictReader(file, delimiter="\t"))


def main_rows() -> list[Row]:
    return [row for row in rows("tiny-mmbench.tsv") if int(row["index"]) < dataset.CIRCLE]


def options(row: Row) -> list[str]:
    return [row[letter] for letter in LETTERS if row[letter]]


def picture(row: Row) -> Picture.Image:
    return Picture.open(io.BytesIO(base64.b64decode(row["image"]))).convert("RGB")


@cache
def loaded() -> tuple[Any, Any]:
    model: Any = LlavaForConditionalGeneration.from_pretrained(
        FIXTURE / "model", dtype=torch.float32, local_files_only=True
    )
    return model.eval(), LlavaProcessor.from_pretrained(FIXTURE / "model", local_files_only=True)


def test_model_and_data_stay_below_twelve_megabytes() -> None:
    files = [f for folder in ("model", "data") for f in (FIXTURE / folder).rglob("*")]
    assert sum(file.stat().st_size for file in files if file.is_file()) < 12 * MEGABYTE


def test_no_training_stage_reaches_the_seeds_of_the_evaluation_set() -> None:
    stages = {
        tower.TOWER_SEED: train.TOWER_STEPS * tower.BATCH,
        projector.PROJECTOR_SEED: train.PROJECTOR_STEPS * tower.BATCH,
        language.LANGUAGE_SEED: train.LANGUAGE_STEPS * language.BATCH,
    }
    for first, count in stages.items():
        assert first in scenes.TRAIN_SEEDS
        assert first + count - 1 in scenes.TRAIN_SEEDS
    evaluated = {a_scene.seed for a_scene, _ in dataset.questions()}
    assert evaluated <= set(scenes.EVAL_SEEDS)
    assert evaluated.isdisjoint(scenes.DEV_SEEDS)
    assert scenes.TRAIN_SEEDS.stop <= min(scenes.DEV_SEEDS.start, scenes.EVAL_SEEDS.start)


def test_no_evaluated_image_is_a_training_image() -> None:
    evaluated = {scenes.render(a_scene)[0].tobytes() for a_scene, _ in dataset.questions()}
    assert len(evaluated) == dataset.QUESTIONS  # nor does one occur twice
    for first in (tower.TOWER_SEED, projector.PROJECTOR_SEED, language.LANGUAGE_SEED):
        trained = {scenes.render(scenes.scene(first + i))[0].tobytes() for i in range(200)}
        assert len(trained) == 200
        assert evaluated.isdisjoint(trained)


def test_shipped_questions_and_captions_are_those_the_code_makes() -> None:
    shipped = [{k: v for k, v in row.items() if k != "image"} for row in rows("tiny-mmbench.tsv")]
    made = [{k: row.get(k, "") for k in shipped[0]} for row in dataset.mmbench()]
    assert shipped == made
    captions = [row["answer"] for row in rows("tiny-coco.tsv")]
    assert captions == [row["answer"] for row in dataset.coco()]


def test_rotations_move_options_right_and_keep_the_answer() -> None:
    table = {int(row["index"]): row for row in rows("tiny-mmbench.tsv")}
    for main in main_rows():
        index, texts = int(main["index"]), options(main)
        answer = main[main["answer"]]
        for k in range(len(texts)):
            row = table.pop(index + k * dataset.CIRCLE)
            assert options(row) == texts[-k:] + texts[:-k] if k else options(row) == texts
            assert row[row["answer"]] == answer
            assert (row["question"], row["category"]) == (main["question"], main["category"])
            assert row["image"] == str(index) if k else len(row["image"]) > 64
    assert not table  # nothing besides whole groups


def test_the_evaluation_set_is_large_and_varied_enough() -> None:
    questions = main_rows()
    assert len(questions) >= 400
    categories = Counter(row["category"] for row in questions)
    assert len(categories) >= 5
    assert len({row["l2-category"] for row in questions}) >= 3
    assert sum(categories[name] for name in POSITIONAL) >= 0.4 * len(questions)
    assert {row["answer"] for row in questions} == set(LETTERS)


def test_answers_are_true_of_the_picture() -> None:
    for (a_scene, question), row in zip(dataset.questions(), main_rows(), strict=True):
        places = {
            ("top-" if obj.y < scenes.HALF else "bottom-")
            + ("left" if obj.x < scenes.HALF else "right"): obj
            for obj in a_scene.objects
        }
        answer, text = row[row["answer"]], row["question"]
        assert len(places) == len(a_scene.objects)
        if question.category == "object_counting":
            assert answer == NUMBERS[len(places) - 1]
        elif question.category == "object_localization":
            assert {places[answer].colour, places[answer].shape} & set(text[:-1].split())
        elif question.category == "region_recognition":
            named = places[text.rsplit(" ", 1)[1][:-1]]
            assert answer == (named.colour if "colour" in text else named.shape)
        else:
            assert any(answer in (obj.colour, obj.shape) for obj in places.values())


def test_no_option_is_part_of_another() -> None:
    for row in main_rows():
        texts = options(row)
        assert all(a not in b for a in texts for b in texts if a is not b)


def test_every_captioned_image_has_five_different_references() -> None:
    captioned = rows("tiny-coco.tsv")
    assert len(captioned) >= 200
    for row in captioned:
        references = ast.literal_eval(row["answer"])
        assert len(references) == 5
        assert len(set(references)) == 5
        assert picture(row).size == (scenes.SIDE, scenes.SIDE)


def test_prompts_are_known_words_and_each_sentence_is_one_token() -> None:
    _, processor = loaded()
    tokenizer, vocab = processor.tokenizer, Vocabulary()
    for sentence in SENTENCES:
        assert tokenizer(sentence, add_special_tokens=False).input_ids == [vocab.ids[sentence]]
    lengths = set()
    for (_, question), row in zip(dataset.questions(), main_rows(), strict=True):
        ids = tokenizer(question_prompt(row["question"], tuple(options(row)))).input_ids
        assert ids == [*vocab.before_image(), vocab.ids["<image>"], *vocab.asked(question)]
        assert tokenizer.unk_token_id not in ids
        lengths.add(len(ids))
    assert len(lengths) == 1  # so the image is equally far from each last prompt token
    described = [*vocab.before_image(), vocab.ids["<image>"], *vocab.describe()]
    assert tokenizer(caption_prompt()).input_ids == described
    assert tokenizer.decode([*vocab.words("top-left"), vocab.ids["B"]]) == "top-left B"


def test_training_runs_the_same_forward_pass_as_transformers() -> None:
    model, processor = loaded()
    vocab = Vocabulary()
    batch = tower.pictures(scenes.DEV_SEEDS[:2])
    lesson = lessons.questions(batch.scenes, 3, 5, vocab)
    image, _ = lessons.look(model, batch, None)
    read = Reader(model)(image, lesson.ids, Vocabulary.last, early="open", keep=144)
    ours = model.lm_head(read.hidden)[:, Vocabulary.last :]
    image_ids = torch.full((6, 144), processor.tokenizer.convert_tokens_to_ids("<image>"))
    ids = lesson.ids.view(6, -1)
    with torch.no_grad():
        theirs = model(
            input_ids=torch.cat([ids[:, :3], image_ids, ids[:, 3:]], dim=1),
            pixel_values=batch.pixels.repeat_interleave(3, dim=0),
        ).logits[:, 144 + Vocabulary.last :]
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("merges", [False, True])
def test_training_sees_what_the_evaluated_tower_sees(merges: bool) -> None:
    """In float64: some of these patches are equally similar to two others up to float32's rounding,
    and matrix libraries round differently, but the closest call is a million of float64's away."""
    model, _ = loaded()
    seen_tower = deepcopy(model.model.vision_tower).double()
    thresholds = train.THRESHOLDS if merges else None
    pixels = tower.pictures(scenes.DEV_SEEDS[:3]).pixels.double()
    with torch.no_grad():
        ours, metrics = tower.see(seen_tower, pixels, thresholds)
        theirs = VisionTower(seen_tower, -2, DToMe(thresholds) if thresholds else None)(pixels)
    if merges:
        assert closest_call(metrics, train.THRESHOLDS) > 1e6 * torch.finfo(torch.float64).eps
    assert torch.equal(ours.position, theirs.position)
    assert torch.equal(ours.valid, theirs.valid)
    seen = ours.valid
    torch.testing.assert_close(ours.features[seen], theirs.features[seen], atol=1e-10, rtol=1e-10)


def closest_call(metrics: list[torch.Tensor], thresholds: tuple[float, ...]) -> float:
    """The least by which a similarity differs from its rival's, or from the threshold.

    metrics: per block [B, T, C]; padding, which is all zeros or a copy, may only bring it down.
    """
    calls = []
    for metric, threshold in zip(metrics, thresholds[: len(metrics)], strict=True):
        unit = torch.nn.functional.normalize(metric, dim=-1)
        similarity = unit[:, 2::2] @ unit[:, 1::2].transpose(1, 2)  # CLS, token 0, never merges
        best, second = similarity.topk(2, dim=-1).values.unbind(-1)
        calls += [best - second, (best - threshold).abs()]
    return min(float(call.min()) for call in calls)


def test_thresholds_leave_between_a_third_and_two_thirds_of_the_patches() -> None:
    model, _ = loaded()
    batch = tower.pictures(scenes.DEV_SEEDS[:12])
    with torch.no_grad():
        tokens, _ = tower.see(model.model.vision_tower, batch.pixels, train.THRESHOLDS)
    assert 50 <= tokens.valid.sum(1).float().mean() <= 100


def test_the_shipped_checkpoint_answers_held_out_questions() -> None:
    model, processor = loaded()
    sample = main_rows()[::20]
    inputs = processor(
        images=[picture(row) for row in sample],
        text=[question_prompt(row["question"], tuple(options(row))) for row in sample],
        padding=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        ids = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    answers = processor.batch_decode(ids[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    right = [
        a == f"{row[row['answer']]} {row['answer']}" for a, row in zip(answers, sample, strict=True)
    ]
    assert sum(right) >= 0.85 * len(sample)
