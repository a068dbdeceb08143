"""The settings of a profile's file: what each may be, and what it means.

pydantic checks files against these classes (`bench.arms.profiles.reading`), and `docs/profiles.md`
lists them (`bench.arms.profiles.page`). Numbers are numbers and texts are texts: `"8"` is no batch
size.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError, core_schema

from bench.arms.own import TO_OFF, installed, is_file
from bench.arms.profiles.thresholds import load_schedule, load_thresholds
from bench.arms.published import ARMS
from bench.base.errors import UserError
from bench.tasks.prompts import CAPTION_PROMPTS, CHATS, DEFAULT_CHAT
from hybrid.config import ALLOWED_KEEP, ConfigError, Keep

PACKAGES = Path(__file__).parents[3]  # a checkpoint may ship with them
DTYPES = ("float32", "float16", "bfloat16")
STAGES = ("prefill", "decode", "answer")
_BATCH = re.compile(r"batch-([1-9][0-9]{0,5})")
_NO_OTHER_KEYS = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Words:
    """What a setting may be, where nothing more exact is wrong."""

    words: str


@dataclass(frozen=True)
class Allowed(Words):
    """What a setting may be, whatever is wrong with it: pydantic's words are about Python."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """The type that was annotated, whose errors say this."""
        return core_schema.custom_error_schema(
            handler(source), custom_error_type="allowed", custom_error_message=self.words
        )


@dataclass(frozen=True)
class Means:
    """What a setting is for; `docs/profiles.md` shows it."""

    words: str


def _one_of(names: tuple[str, ...]) -> Any:
    return Field(strict=True, pattern=f"^({'|'.join(map(re.escape, names))})$")


def _keep(value: Any) -> Any:
    try:
        Keep.parse(value)
    except ConfigError:
        raise PydanticCustomError("allowed", ALLOWED_KEEP) from None
    return value


def _thresholds(value: Any, info: ValidationInfo) -> Any:
    """A preset or a file, which lies relative to the profile's."""
    if not isinstance(value, str):
        return value
    try:
        return load_thresholds(value, (info.context or {}).get("folder", Path()))
    except UserError as error:
        raise PydanticCustomError("file", "{reason}", {"reason": str(error)}) from None


def _timed_arm(name: str) -> str:
    """An arm that ships, or a user's own, which is not loaded until it is timed."""
    arm = name.removesuffix(TO_OFF)
    if name in _BOUNDED or is_file(arm) or arm in installed():
        return name
    raise ValueError


def _schedule(value: Any, info: ValidationInfo) -> Any:
    """A file, which lies relative to the profile's."""
    if not isinstance(value, str):
        return value
    try:
        return load_schedule(value, (info.context or {}).get("folder", Path()))
    except UserError as error:
        raise PydanticCustomError("file", "{reason}", {"reason": str(error)}) from None


def _by_batch(table: Any) -> Any:
    """`[gates.latency.batch-8.hybrid]` holds the bounds of the hybrid arm at batch size 8."""
    if not isinstance(table, dict) or "bounds" in table:
        return table
    batches = {key: match for key in table if (match := _BATCH.fullmatch(key))}
    settings = {key: value for key, value in table.items() if key not in batches}
    bounds = {int(match[1]): table[key] for key, match in batches.items()}
    return {**settings, "bounds": bounds} if bounds else settings


Line = Annotated[  # it ends up in reports, where a line break would write its own heading
    str,
    Field(strict=True, min_length=1, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"),
    Allowed("a text of one line"),
]
Choice = Annotated[bool, Field(strict=True), Allowed("true or false")]
Count = Annotated[int, Field(strict=True, ge=1, lt=2**31), Allowed("a whole number from 1")]
Layer = Annotated[int, Field(strict=True, ge=0, lt=2**31), Allowed("a whole number from 0")]
Seconds = Annotated[
    float,
    Field(strict=True, gt=0, allow_inf_nan=False),
    Allowed("a number of seconds above 0"),
]
Share = Annotated[
    float, Field(strict=True, gt=0, lt=1), Allowed("a share between 0 and 1, such as 0.05")
]
Accuracy = Annotated[
    float, Field(strict=True, ge=0, le=1), Allowed("a share from 0 to 1, such as 0.553")
]
CiderLoss = Annotated[
    float,
    Field(strict=True, gt=0, le=10),
    Allowed("a CIDEr above 0 and up to 10, where 1.0 is printed as 100 elsewhere"),
]
Cider = Annotated[
    float,
    Field(strict=True, ge=0, le=10),
    Allowed("a CIDEr from 0 to 10, where 1.0 is printed as 100 elsewhere"),
]
Ratio = Annotated[
    float,
    Field(strict=True, gt=0, le=10),
    Allowed("a ratio to dense (or to off) above 0 and up to 10; below 1 is faster"),
]
Subset = Annotated[Line, Allowed("mmbench-300, coco-500, or a file with an index a line")]
Reference = Annotated[
    Line, Allowed("a name of python -m bench reference list, or a path: ./run, ./run.xlsx")
]
DataSource = Annotated[
    Line, Allowed("a .tsv file, hf:OWNER/NAME:SPLIT, or a name such as MMBench_DEV_EN")
]
Stage = Annotated[str, _one_of(STAGES), Allowed(f"one of {', '.join(STAGES)}")]
_BOUNDED = (*ARMS[1:], *(f"{arm}{TO_OFF}" for arm in ARMS[2:]))
TimedArm = Annotated[
    str,
    Field(strict=True),
    AfterValidator(_timed_arm),
    Allowed(
        f"one of {', '.join(ARMS[1:])}: ratios to dense; or such as hybrid{TO_OFF}: to off; or a"
        ' method of your own, "mine.py:Mine" in quotes'
    ),
]
StageBounds = Annotated[
    Mapping[Stage, Ratio],
    Field(min_length=1),
    Words(f"a table of {', '.join(STAGES)} and the highest ratio to dense, such as answer = 0.9"),
]
ArmBounds = Annotated[
    Mapping[TimedArm, StageBounds],
    Words("a table of arms, such as [gates.latency.batch-8.hybrid] with answer = 0.9"),
]


@dataclass(frozen=True)
class ModelProfile:
    """Which checkpoint, and how to run it."""

    __pydantic_config__ = _NO_OTHER_KEYS

    checkpoint: Annotated[
        Line,
        Allowed("a folder, or a Hugging Face id such as llava-hf/llava-1.5-7b-hf"),
        Means(
            "the model that is run, of a family in docs/families.md; an id is looked up in the "
            "cache, never downloaded"
        ),
    ]
    names: Annotated[
        str,
        Field(strict=True, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
        Allowed("letters, digits, dots, _ and -, the first a letter or digit"),
        Means("what its models are called: `NAMES` is dense, `NAMES_hybrid` the hybrid"),
    ]
    dtype: Annotated[
        str,
        _one_of(DTYPES),
        Allowed(f"one of {', '.join(DTYPES)}"),
        Means("element type of weights and activations"),
    ]
    device: Annotated[
        str,
        Field(strict=True, pattern=r"^(cpu|cuda(:(0|[1-9][0-9]{0,2}))?)$"),
        Allowed("cpu, cuda, or one GPU of several, such as cuda:1"),
        Means("where it runs"),
    ]
    threads: Annotated[
        int,
        Field(strict=True, ge=1, le=1024),
        Allowed("a whole number from 1 to 1024"),
        Means("CPU threads of torch"),
    ]
    chat: Annotated[
        str,
        _one_of(tuple(CHATS)),
        Allowed(f"one of {', '.join(CHATS)}"),
        Means("how it is spoken to: what stands around a question, and which one VLMEvalKit asks"),
    ] = DEFAULT_CHAT

    @property
    def path(self) -> str:
        """The checkpoint's folder if it ships with the packages, else its folder or id."""
        shipped = PACKAGES / self.checkpoint
        return str(shipped) if shipped.is_dir() else self.checkpoint


@dataclass(frozen=True)
class Reduction:
    """The hybrid's defaults; see `hybrid.HybridConfig`."""

    __pydantic_config__ = _NO_OTHER_KEYS

    keep: Annotated[
        str | int | float,
        BeforeValidator(_keep),
        Allowed(ALLOWED_KEEP),
        Means("visual tokens that FastV keeps; `FASTV_K` and `--keep` come before it"),
    ]
    aggregation_layer: Annotated[
        Layer,
        Means(
            "0-based layer of the language model whose attention ranks the visual tokens; those "
            "behind it run on what is kept"
        ),
    ]
    thresholds: Annotated[
        tuple[Annotated[float, Field(strict=True, ge=-1, le=1)], ...] | None,
        Field(min_length=1),
        Allowed(
            "72out, a file that python -m hybrid.calibrate wrote, or a list with one cosine from "
            "-1 to 1 for each block of the vision tower"
        ),
        BeforeValidator(_thresholds),
        Means(
            "DToMe merges patches that are more alike than this; 1.0 merges none; nothing merges "
            "if not given, and only a LLaVA-1.5's tower can"
        ),
    ] = None
    capacity: Annotated[
        Count | None, Means("visual tokens that the language model sees at most; all if not given")
    ] = None
    schedule: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=1, lt=2**31)], ...] | None,
        Field(min_length=1),
        Allowed(
            "a file that python -m hybrid.calibrate wrote, or a list with one whole number for "
            "each block of the vision tower, none above the one before it"
        ),
        BeforeValidator(_schedule),
        Means(
            "visual tokens that a block of the tower leaves at most: beyond them the most similar "
            "merge below the threshold, and the tower's tensors are no longer than that; all if "
            "not given"
        ),
    ] = None


@dataclass(frozen=True)
class Data:
    """Which data sets, and how they are run."""

    __pydantic_config__ = _NO_OTHER_KEYS

    batch_size: Annotated[Count, Means("samples that are answered at a time")]
    pad_to_square: Annotated[
        Choice,
        Means(
            "pad images to squares with the processor's mean colour, as LLaVA and VLMEvalKit do; "
            "transformers' processor alone cuts their long side"
        ),
    ]
    min_pixels: Annotated[
        Count | None,
        Means(
            "a smaller image is made this large, of a model that takes images of any size "
            "(a Qwen-VL); what its processor says if not given"
        ),
    ] = None
    max_pixels: Annotated[Count | None, Means("a larger image is made this small, likewise")] = None
    image: Annotated[
        tuple[Count, Count] | None,
        Allowed("two whole numbers from 1: pixels, high and wide"),
        Means(
            "of the image that budgets and random prompts have, of a model that takes images of "
            "any size; 672 x 672 if not given"
        ),
    ] = None
    mmbench: Annotated[
        DataSource | None, Means("multiple choice: what the accuracy and latency gates ask")
    ] = None
    coco: Annotated[DataSource | None, Means("captions: what the accuracy gate asks")] = None
    max_new_tokens_mmbench: Annotated[Count, Means("tokens of an answer at most")] = 512
    max_new_tokens_coco: Annotated[Count, Means("tokens of a caption at most")] = 512
    mmbench_subset: Annotated[
        Subset | None, Means("what the accuracy gate asks of `mmbench`; all if not given")
    ] = None
    coco_subset: Annotated[
        Subset | None, Means("what the accuracy gate asks of `coco`; all if not given")
    ] = None
    coco_prompt: Annotated[
        str,
        _one_of(tuple(CAPTION_PROMPTS)),
        Allowed(f"one of {', '.join(CAPTION_PROMPTS)}"),
        Means("what the accuracy gate asks of images"),
    ] = "vlmevalkit"

    @property
    def images(self) -> str:
        """What becomes of an image in front of the processor, as a run records it."""
        told = "padded to square" if self.pad_to_square else "as they are"
        bounds = (("from", self.min_pixels), ("up to", self.max_pixels))
        limits = [f"{word} {pixels} pixels" for word, pixels in bounds if pixels is not None]
        return ", ".join([told, *limits])


@dataclass(frozen=True)
class QualityGate:
    """What the hybrid may lose, in the score's own unit; without one it is told, and UNSURE."""

    margin: float | None = None
    floor: float | None = None
    reference: str | None = None
    recorded_margin: float = 0.05
    subset_margin: float | None = None

    def margin_of(self, subset: str | None) -> float | None:
        """The margin for the profile's `subset`, or for all data (None)."""
        if subset is None or self.subset_margin is None:
            return self.margin
        return self.subset_margin


@dataclass(frozen=True)
class QuestionGate(QualityGate):
    """The gate of multiple choice."""

    __pydantic_config__ = _NO_OTHER_KEYS

    margin: Annotated[
        Share | None,
        Means(
            "circular accuracy that may be lost against dense, paired by question; without one it "
            "is UNSURE"
        ),
    ] = None
    floor: Annotated[
        Accuracy | None,
        Means(
            "lowest circular accuracy; on fewer questions it is what `reference` scored on those, "
            "if that is given; without one it is UNSURE"
        ),
    ] = None
    reference: Annotated[
        Reference | None, Means("a recorded run that the hybrid is paired with, too")
    ] = None
    recorded_margin: Annotated[Share, Means("may be lost against what was recorded")] = 0.05
    subset_margin: Annotated[
        Share | None,
        Means(
            "in place of `margin` where `mmbench_subset` is asked: of fewer samples the interval "
            "is wider, and a margin inside of it decides nothing"
        ),
    ] = None
    dense_reference: Annotated[
        Reference | None, Means("a recorded run that dense is paired with")
    ] = None


@dataclass(frozen=True)
class CaptionGate(QualityGate):
    """The gate of captions."""

    __pydantic_config__ = _NO_OTHER_KEYS

    margin: Annotated[
        CiderLoss | None,
        Means("CIDEr that may be lost against dense, paired by image; without one it is UNSURE"),
    ] = None
    floor: Annotated[Cider | None, Means("lowest CIDEr; without one it is UNSURE")] = None
    reference: Annotated[
        Reference | None, Means("a recorded run that the hybrid is paired with, too")
    ] = None
    recorded_margin: Annotated[CiderLoss, Means("may be lost against what was recorded")] = 0.05
    subset_margin: Annotated[
        CiderLoss | None, Means("in place of `margin` where `coco_subset` is asked")
    ] = None


@dataclass(frozen=True)
class LatencyGate:
    """What is timed, and the highest acceptable ratios to dense.

    Attributes:
        bounds: batch size -> arm -> stage -> ratio; in the file `batch-8.hybrid.answer`.
    """

    __pydantic_config__ = _NO_OTHER_KEYS

    new_tokens: Annotated[
        int,
        Field(strict=True, ge=2, lt=2**31),
        Allowed("a whole number from 2: the first token is the prefill's"),
        Means("tokens of a timed answer"),
    ]
    budget_s: Annotated[
        Seconds, Means("seconds for each batch size before what is undecided stays UNSURE")
    ]
    bounds: Annotated[
        Mapping[Count, ArmBounds],
        Words("a table for each batch size, such as [gates.latency.batch-8.hybrid]"),
        Means(
            "highest ratios to dense at batch size N: `[gates.latency.batch-N.ARM]` with "
            "`prefill`, `decode` or `answer`; of a method of your own "
            '`[gates.latency.batch-N."mine.py:Mine"]`, the file relative to this one; an empty '
            "`[gates.latency.batch-N]` is timed and UNSURE"
        ),
    ]
    smallest_effect: Annotated[
        Share | None,
        Means(
            "by which two revisions must differ before anyone cares; 0.05 on a CPU and 0.03 on a "
            "GPU if not given"
        ),
    ] = None
    processes: Annotated[
        int,
        Field(strict=True, ge=1, le=64),
        Allowed("a whole number from 1 to 64"),
        Means("that each of two revisions runs in, taking turns; each holds the model once"),
    ] = 1


@dataclass(frozen=True)
class Gates:
    """A gate that has no table is not asked."""

    __pydantic_config__ = _NO_OTHER_KEYS

    mmbench: QuestionGate | None = None
    coco: CaptionGate | None = None
    latency: Annotated[LatencyGate, BeforeValidator(_by_batch)] | None = None


@dataclass(frozen=True)
class ProfileFile:
    """All of a file."""

    __pydantic_config__ = _NO_OTHER_KEYS

    name: Annotated[Line, Means("what messages call it")]
    model: ModelProfile
    reduction: Reduction
    data: Data
    gates: Gates = Gates()
