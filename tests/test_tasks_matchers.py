"""Option letters are read as each published harness version reads them."""

import pytest

from bench.base.errors import UserError
from bench.tasks.matchers import MATCHERS, get_matcher

OPTIONS = {"A": "teddy bear", "B": "rabbit", "C": "cat", "D": "dog"}
# answer, VLMEvalKit April 2025, VLMEvalKit June 2026, lmms-eval 2024
TRUTH_TABLE = [
    ("B", "B", "B", "B"),
    ("(B)", "B", "B", "B"),
    ("b", None, None, None),
    ("**C**", "C", "C", None),
    ("A cat", "A", "A", "A"),
    ("a cat", "C", "C", "C"),
    ("A or B", None, None, None),
    ('"B"', None, None, None),
    ("B-", None, None, None),
    ("Z", "Z", "Z", None),
    ("E", None, None, "E"),
    ("", None, None, None),
    ("B. rabbit because it has long ears and is white and fluffy", "B", None, "B"),
    ("A dog is there in this nice image", "A", "D", "D"),
    ("I think the answer is **B** since it hops around a lot today", "B", "B", None),
    # a letter that counts only near the end since August 2025
    ("B one two three", "B", "B", "B"),
    ("B one two three four", "B", None, "B"),
    # a stated answer rescues several letters, in any case, but only a letter that is an option
    ("Not A. The correct answer is B.", None, "B", None),
    ("Not A or C. The answer  is **d**", None, "D", "C"),
    # the option's text: exactly one, and since August 2025 not inside a long answer
    ("It is a RABBIT!", "B", "B", "B"),
    ("a cat and a dog", None, None, None),
    ("it sits, and I would say after a long look that it is a rabbit", "B", None, "B"),
    # refusals and failures
    ("I'm sorry, but without the image provided I see B", "Z", "Z", "B"),
    ("Failed to obtain answer via API. B", None, None, None),
    ("Failed to obtain answer via API: rabbit", "B", "B", "B"),
    ("Z, I'd say", "Z", "Z", None),
    # lmms-eval's wrappings, of E, too
    ("it is (D).", "D", "D", "D"),
    (":C) it is", "C", "C", "C"),
    ("[D]", "D", "D", None),
    ("E.", None, None, "E"),
]

FOUR = {"A": "yes", "B": "no", "C": "one", "D": "two"}
TWO = {"A": "up", "B": "down"}
FIVE = {"A": "red", "B": "green", "C": "blue", "D": "grey", "E": "pink"}
# What `MMBench_Evaluator.can_infer` of lmms-eval 0.2.0, 0.2.4, 0.5.0 and 0.7.3 answered, all four
# alike; it is handed the options A to D.
READ_BY_LMMS_EVAL = [
    (FOUR, "E. none of these", "E"),
    (FOUR, "E.", "E"),
    (FOUR, "(E)", "E"),
    (FOUR, ":E).", "E"),
    (FOUR, "E, since no one is there", "E"),
    (FOUR, "A. or E.", None),
    (FOUR, "(A) is wrong, (E) right", None),
    (FOUR, "A one", "A"),
    (FOUR, "A man and one dog", "C"),
    (FOUR, "it is :D, I think", "D"),
    (FOUR, "[B]", None),
    (FOUR, "not B. but C)", "B"),
    (TWO, "D", "D"),
    (TWO, "up.", "A"),
    (TWO, "(C)", "C"),
    (FIVE, "pink", None),
    (FIVE, "E", "E"),
    (FIVE, "it is grey or pink", "D"),
    (FIVE, "Failed to obtain answer via API. E", None),
    (FIVE, "A. B. E)", "E"),
]


@pytest.mark.parametrize(("options", "answer", "read"), READ_BY_LMMS_EVAL)
def test_lmms_2024_reads_what_lmms_eval_read(
    options: dict[str, str], answer: str, read: str | None
) -> None:
    assert get_matcher("lmms-2024")(answer, options) == read


@pytest.mark.parametrize(("answer", "april", "june", "lmms"), TRUTH_TABLE)
def test_reads_what_its_harness_version_reads(
    answer: str, april: str | None, june: str | None, lmms: str | None
) -> None:
    read = {name: matcher(answer, OPTIONS) for name, matcher in MATCHERS.items()}
    assert read == {"vlmevalkit-2025-04": april, "vlmevalkit-2026-06": june, "lmms-2024": lmms}


def test_only_letters_of_the_question_count_for_vlmevalkit() -> None:
    two = {"A": "up", "B": "down"}
    for name in ("vlmevalkit-2025-04", "vlmevalkit-2026-06"):
        assert get_matcher(name)("B or D", two) == "B"
        assert get_matcher(name)("the answer is D", two) is None
    assert get_matcher("lmms-2024")("D", two) == "D"


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("VERBOSE", value)
    long_with_a = "the answer must be A"  # VLMEvalKit gives up on this one under VERBOSE
    assert get_matcher("vlmevalkit-2025-04")(long_with_a, OPTIONS) == "A"
    assert get_matcher("vlmevalkit-2026-06")(long_with_a, OPTIONS) == "A"


def test_an_unknown_matcher_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="unknown matcher 'exact'; choose one of vlmevalkit-2025"):
        get_matcher("exact")
