"""From samples to answers: images are decoded and encoded beside the model, batch by batch."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.arms.models import Answerer
from bench.evaluation.runs.margins import Tops
from bench.evaluation.runs.recording import RecordingAnswerer
from bench.tasks import Sample, Task


@dataclass(frozen=True)
class Answer:
    """What a model said of a sample, how near its first tokens were to other ones, and how many
    merges a schedule forced on its image; None without one."""

    sample: Sample
    text: str
    tops: Tops
    forced: int | None = None


def answers(
    samples: Sequence[Sample],
    task: Task,
    answerer: RecordingAnswerer,
    *,
    batch_size: int,
    max_new_tokens: int,
) -> Iterator[list[Answer]]:
    """A batch at a time, the longest prompts first.

    Raises:
        UserError: an image cannot be read, or logits are not finite.
    """
    for batch, encoded in _encoded(by_length(samples, task, answerer), answerer, batch_size):
        named = [f"sample {sample.index} of {task.name}" for sample in batch]
        said = answerer.answer_recorded(encoded, max_new_tokens, named)
        forced: Sequence[int | None] = answerer.forced or [None] * len(batch)
        told = zip(batch, said, forced, strict=True)
        yield [Answer(sample, *each, count) for sample, each, count in told]


def _encoded(
    samples: Sequence[Sample], answerer: Answerer, batch_size: int
) -> Iterator[tuple[Sequence[Sample], dict[str, Any]]]:
    """Batches, each decoded and encoded by a second thread while the model answers the last."""

    def encode(batch: Sequence[Sample]) -> dict[str, Any]:
        return answerer.encode([s.prompt for s in batch], [s.image() for s in batch])

    batches = [samples[i : i + batch_size] for i in range(0, len(samples), batch_size)]
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = [thread.submit(encode, batch) for batch in batches[:1]]
        for position, batch in enumerate(batches):
            encoded = coming.pop().result()
            coming = [thread.submit(encode, later) for later in batches[position + 1 :][:1]]
            yield batch, encoded


def by_length(samples: Sequence[Sample], task: Task, answerer: Answerer) -> list[Sample]:
    """Longest prompt first, so that a batch needs little padding and memory runs out at once.

    Rows of one question follow each other: they share an image, which is then decoded once.
    """
    if not samples:
        return []
    ids = answerer.processor.tokenizer([s.prompt for s in samples])["input_ids"]
    lengths = {s.index: len(row) for s, row in zip(samples, ids, strict=True)}
    return sorted(samples, key=lambda s: (-lengths[s.index], task.group_key(s.index), s.index))
