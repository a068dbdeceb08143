"""SPICE 1.0, by the jar that pycocoevalcap ships and a parser that it doesn't."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.base.errors import UserError
from bench.tasks.captions.java import LOCALE, beside_module, java_version, require_java, run_java
from bench.tasks.task import Metric, mean_metric

PARSER = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
LAST_JAVA = 15  # from 16 on its cache throws InaccessibleObjectException


def check_spice() -> str:
    """The path of a `java` that runs SPICE.

    Raises:
        UserError: Java is missing or too new, or the parser's files are not there.
    """
    java = require_java("SPICE")
    folder = beside_module("pycocoevalcap.spice.spice", "spice-1.0.jar").parent / "lib"
    missing = [name for name in PARSER if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"SPICE needs {' and '.join(missing)} in {folder}; with a network, python -m"
            " pycocoevalcap.spice.get_stanford_models puts them there"
        )
    version = java_version(java)
    if version > LAST_JAVA:
        raise UserError(
            f"SPICE stops with InaccessibleObjectException on Java 16 and later, and {java} is"
            f" Java {version}; put Java 8 or 11 first on PATH"
        )
    return java


def spice(references: Mapping[int, Sequence[str]], captions: Mapping[int, str]) -> Metric:
    """Mean F1 of scene graph tuples of tokenised captions (Anderson et al. 2016).

    Raises:
        UserError: as `check_spice`, or SPICE fails.
    """
    java = check_spice()
    jar = beside_module("pycocoevalcap.spice.spice", "spice-1.0.jar")
    asked = [
        {"image_id": index, "test": caption, "refs": list(references[index])}
        for index, caption in captions.items()
    ]
    with tempfile.TemporaryDirectory() as name:
        questions, cache, answers = (Path(name) / part for part in ("in.json", "cache", "out.json"))
        questions.write_text(json.dumps(asked), encoding="utf-8")
        cache.mkdir()
        run_java(
            [
                *(java, *LOCALE, "-Xmx8G", "-jar", str(jar), str(questions)),
                *("-cache", str(cache), "-out", str(answers), "-subset", "-silent"),
            ],
            purpose="SPICE",
            timeout_s=600 + 2 * len(captions),
        )
        try:
            found = json.loads(answers.read_text(encoding="utf-8"))
            scores = {row["image_id"]: float(row["scores"]["All"]["f"]) for row in found}
            return mean_metric([scores[index] for index in captions])
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise UserError(f"SPICE gave no score for each image: {err!r}") from err
