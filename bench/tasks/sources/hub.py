"""Read a Hugging Face data set into the same table as a VLMEvalKit file.

`hf:lmms-lab/MMBench:en:dev` is a repository, its configuration and a split;
`hf:lmms-lab/COCO-Caption2017:val` has no configuration. A folder (`hf:/data/mmbench`,
`hf:./mmbench:en:dev`, `hf:mmbench:dev`) holds what `datasets` saved with `save_to_disk`, or a
repository's own files, README and parquet. Offline a repository is also found where the hub keeps
what was downloaded.
"""

import base64
import errno
import importlib
import logging
import math
import os
import re
import string
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.base.errors import UserError
from bench.base.home import expanded, home
from bench.base.reading import Unreadable, read_bytes
from bench.base.remark import remark
from bench.tasks.tables.images import resolve_pointers
from bench.tasks.tables.table import ALL_OPTIONS, Table, build_table

PREFIX = "hf:"
SAVED = ("dataset_dict.json", "dataset_info.json", "state.json")  # what save_to_disk writes
# Python's, requests' and httpx's, which the hub's library took turns with; and its own for
# HF_HUB_OFFLINE, which is a ConnectionError.
NO_CONNECTION = {"ConnectionError", "TimeoutError", "Timeout", "TransportError"}
NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR}
CACHES = ("HF_HOME", "XDG_CACHE_HOME", "HF_DATASETS_CACHE")  # where `datasets` keeps its own
OPTIONS = tuple(string.ascii_uppercase)
# Here a cell that was empty in MMBench's own file became the text "nan", and lmms-eval reads it so.
EMPTY_IF_NAN = {"hint", "comment", *OPTIONS}
# Harnesses ask captions by their own prompt, whatever these repositories' question column says.
MULTIPLE_CHOICE_COLUMNS = {
    *("question", "hint", "answer", "category", "image", "source", "l2-category", "L2-category"),
    *("comment", "split", *OPTIONS),
}
CAPTION_COLUMNS = {"answer", "image"}
# COCO's image number, at the end of "COCO_val2014_000000203564.jpg".
_IMAGE_NUMBER = re.compile(r"([0-9]+)(\.[A-Za-z]+)?$")


def read_hub(source: str) -> tuple[str, Table]:
    """A name for file names, and the rows; see the module.

    Raises:
        UserError: `datasets` is not installed, the data can't be had, or are no sound table.
    """
    where, config, split = _parts(source)
    where = str(expanded(where)) if where.startswith("~") else where
    local = where.startswith(("/", ".")) or Path(where).is_dir()
    dataset = _open(source, where, config, split, local=local)
    columns = set(dataset.column_names)
    index_column = "index" if "index" in columns else "question_id"
    if index_column not in columns:
        raise UserError(
            f"{source}: no column index or question_id; the columns are"
            f" {', '.join(sorted(columns))}"
        )
    wanted = MULTIPLE_CHOICE_COLUMNS if columns & {"A", "B"} else CAPTION_COLUMNS
    wanted = wanted | {column for column in columns if column.lower() in ALL_OPTIONS}
    kept = [column for column in dataset.column_names if column in wanted]
    dataset = _with_encoded_images(dataset.select_columns([index_column, *kept]))
    table = build_table(source, ["index", *kept], _lines(source, dataset, index_column, kept))
    name = "_".join(part for part in (Path(where).name, config, split) if part)
    return name, resolve_pointers(table) if "image" in kept else table


def _parts(source: str) -> tuple[str, str | None, str | None]:
    """Repository or folder, configuration, split."""
    match source.removeprefix(PREFIX).split(":"):
        case [where] if where:
            return where, None, None
        case [where, split] if where and split:
            return where, None, split
        case [where, config, split] if where and config and split:
            return where, config, split
    raise UserError(
        f"{source!r} is no Hugging Face source: write hf:OWNER/NAME:SPLIT,"
        " hf:OWNER/NAME:CONFIG:SPLIT or hf:/FOLDER[:SPLIT]"
    )


def _open(source: str, where: str, config: str | None, split: str | None, *, local: bool) -> Any:
    """One split as a `datasets.Dataset`."""
    if not local and split is None:
        raise UserError(f"{source}: names no split; write for example {source}:val")
    try:
        datasets = _library()
    except ImportError as error:
        raise UserError(f"{source}: needs the package datasets; pip install datasets") from error
    # Each of its retries would print a line, and each of its bars many where nobody looks.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        folder = Path(where)
        saved = any((folder / name).is_file() for name in SAVED)
        if local and (saved or not folder.is_dir()):
            loaded: Any = datasets.load_from_disk(str(folder))
        elif local:
            _demand_cache()
            loaded = datasets.load_dataset(str(folder.resolve()), config)
        else:
            _demand_cache()
            loaded = _load_repository(datasets, where, config, split)
    except Exception as error:  # a dozen types: connection, no such name, damaged parquet..
        reason = " ".join(str(error).split()) or type(error).__name__
        advice = (
            "give a folder that datasets' save_to_disk wrote, or one of a repository's files"
            if local
            else "load it once with a network, or copy there and give hf:/FOLDER a folder that"
            " datasets' save_to_disk wrote"
        )
        if _is_the_cache(error, folder):
            advice = "set HF_HOME to a folder that can be written"
        raise UserError(f"{source}: can't be loaded ({reason[:200]}); {advice}") from error
    if local and saved and config is not None:
        raise UserError(
            f"{source}: what save_to_disk wrote has no configuration; leave out {config}"
        )
    if isinstance(loaded, datasets.DatasetDict):
        if split not in loaded:
            raise UserError(f"{source}: choose one of its splits {', '.join(map(str, loaded))}")
        return loaded[split]
    if local and split is not None:
        raise UserError(f"{source}: the folder holds one split; leave out :{split}")
    return loaded


def _demand_cache() -> None:
    """Without a home folder `datasets` would make one called `~` in the current folder."""
    if not any(map(os.environ.get, CACHES)):
        home("HF_HOME")


def _is_the_cache(error: BaseException, source: Path) -> bool:
    """Whether `error` is about a file that can't be written, and none of the data's own folder."""
    return any(
        isinstance(each, OSError)
        and each.errno in NOT_WRITABLE
        and not Path(str(each.filename)).absolute().is_relative_to(source.absolute())
        for each in _chain(error)
    )


def _load_repository(datasets: Any, where: str, config: str | None, split: str | None) -> Any:
    """From the hub or `datasets`' own cache; offline also from the hub's own, and says so."""
    try:
        return datasets.load_dataset(where, config, split=split)
    except Exception as error:
        reason = _unreachable(error)
        folder = None if reason is None else _snapshot(where)
        if folder is None:
            raise
    remark(f"{PREFIX}{where} is read from its snapshot {folder.name} on this disk: {reason}")
    return datasets.load_dataset(str(folder), config, split=split)


def _unreachable(error: BaseException) -> str | None:
    """What of `error` and its causes says that there is no connection, in a line; None if nothing:
    a hub that answers, and files that are damaged, are no reason to read other files."""
    for found in _chain(error):
        if {kind.__name__ for kind in type(found).__mro__} & NO_CONNECTION:
            return " ".join(str(found).split()) or type(found).__name__
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and its causes."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _snapshot(where: str) -> Path | None:
    """The folder of the revision that was downloaded last, named by it."""
    hub = importlib.import_module("huggingface_hub")
    try:
        return Path(hub.snapshot_download(where, repo_type="dataset", local_files_only=True))
    except Exception:
        return None  # the first error says more


def _library() -> Any:
    """`datasets`, which is large and untyped, and only `hf:` sources need it."""
    return importlib.import_module("datasets")


def _with_encoded_images(dataset: Any) -> Any:
    """Images stay the bytes that were stored: decoding and writing them anew would cost both
    time and, for JPEG, exactness."""
    feature = _library().Image
    if isinstance(dataset.features.get("image"), feature):
        return dataset.cast_column("image", feature(decode=False))
    return dataset


def _lines(
    source: str, dataset: Any, index_column: str, columns: list[str]
) -> Iterator[tuple[int, list[str | None]]]:
    images: dict[str, str] = {}  # rotations of a question hold copies of one image
    for number, row in enumerate(dataset, start=1):
        index = str(row[index_column])
        cells: list[str | None] = [index if index_column == "index" else _image_number(index)]
        for column in columns:
            if column == "image":
                image = _image(source, number, row[column])
                cells.append(None if image is None else images.setdefault(image, image))
            else:
                cells.append(_text(row[column], column))
        yield number, cells


def _image_number(question_id: str) -> str:
    """The number in the name of COCO's image; what has none is left to the table to refuse."""
    match = _IMAGE_NUMBER.search(question_id)
    return match[1] if match else question_id


def _text(value: object, column: str) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if value == "nan" and column in EMPTY_IF_NAN:
        return None
    return str(value)  # of a list of captions this is the literal that VLMEvalKit's files hold


def _image(source: str, number: int, value: object) -> str | None:
    """Base64 text of an image that is stored as bytes, as a file, or as such text already."""
    if isinstance(value, Mapping):
        content, path = value.get("bytes"), value.get("path")
        if content is None and path is not None:
            try:
                content = read_bytes(Path(path))
            except Unreadable as error:
                raise UserError(f"{source}: line {number}: the image {error}") from error
        value = content
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return None if value is None else str(value)
