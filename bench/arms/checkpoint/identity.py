"""What a checkpoint is: each of its files that can change an answer, whole, by its sha256."""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from bench.base.errors import UserError
from bench.base.reading import Unreadable, read_object

WEIGHTS = "*.safetensors"
INDEX = "*.safetensors.index.json"
# Configurations, tokenizer, processor, chat templates, adapters: all that is not weights.
SETTINGS = ("*.json", "*.jinja", "additional_chat_templates/*.jinja", "*.model", "*.tiktoken")
VOCABULARIES = ("merges.txt", "vocab.txt")
OF_THE_MODEL = ("config.json", "generation_config.json")


def checkpoint_files(path: str) -> dict[str, str]:
    """Name -> `sha256:...` of the files of a folder, or of a model in the Hugging Face cache.

    Also what no loader reads today is among them, if by its name one might.

    Raises:
        UserError: there are no weights, or no processor, or nothing at all.
    """
    folder = Path(path) if Path(path).is_dir() else _snapshot(path)
    patterns = (WEIGHTS, *SETTINGS, *VOCABULARIES)
    found = {file for pattern in patterns for file in folder.glob(pattern)}
    names = {file.relative_to(folder).as_posix() for file in found} | set(_shards(folder))
    names = {name for name in names if (folder / name).is_file()}
    if not any(_is_weights(name) for name in names):
        raise UserError(f"{path} holds no weights that are known by their bytes (.safetensors)")
    if not any(_is_processors(name) for name in names):
        raise UserError(f"the processor's files of {path} are unknown: hf download {path}")
    with ThreadPoolExecutor() as threads:  # hashing leaves the interpreter to others
        digests = threads.map(sha256, [folder / name for name in sorted(names)])
        return dict(zip(sorted(names), digests, strict=True))


def weights_hash(path: str, files: Mapping[str, str]) -> str:
    """One name for the weights: of their bytes, or the hub's commit for a cached model."""
    if not Path(path).is_dir():
        return f"hub:{_snapshot(path).name}"  # the cache has a folder for each commit
    return _together({name: digest for name, digest in files.items() if _is_weights(name)})


def processor_hash(files: Mapping[str, str]) -> str:
    """One name for what turns texts and images into inputs."""
    return _together({name: digest for name, digest in files.items() if _is_processors(name)})


def sha256(file: Path) -> str:
    with file.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def _snapshot(repository: str) -> Path:
    cached = try_to_load_from_cache(repository, "config.json")
    if not isinstance(cached, str):
        raise UserError(f"the revision of {repository} is unknown: hf download {repository}")
    return Path(cached).parent


def _shards(folder: Path) -> Iterator[str]:
    """What indices name; they may name files in folders below. One that is none was not read."""
    for index in folder.glob(INDEX):
        try:
            yield from map(str, read_object(index)["weight_map"].values())
        except (Unreadable, KeyError, TypeError, AttributeError):
            continue


def _is_weights(name: str) -> bool:
    return Path(name).suffix not in (".json", ".jinja", ".model", ".tiktoken", ".txt")


def _is_processors(name: str) -> bool:
    return not (_is_weights(name) or name in OF_THE_MODEL or name.endswith(".index.json"))


def _together(files: Mapping[str, str]) -> str:
    """Of one file its own digest, of several that of their list."""
    if len(files) == 1:
        return next(iter(files.values()))
    listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"
