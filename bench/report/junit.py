"""Verdicts as JUnit XML, which CI dashboards read; one test case a verdict.

The dialect is the one that pytest writes: `testsuites / testsuite / testcase / properties`, the
numbers as properties. FAIL is a `failure`. UNSURE is an `error`: dashboards show `skipped` as
harmless, and what could not be decided is not.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

from bench.base.verdict import Outcome, Verdict, exit_code

ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TAGS = {Outcome.FAIL: "failure", Outcome.UNSURE: "error"}


def junit(verdicts: Sequence[Verdict], *, title: str, properties: Mapping[str, str]) -> bytes:
    """The document. properties: of the suite, such as commit and machine.

    Raises UserError if there is no verdict.
    """
    exit_code(verdicts)
    outcomes = [verdict.outcome for verdict in verdicts]
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(outcomes.count(Outcome.FAIL)),
        "errors": str(outcomes.count(Outcome.UNSURE)),
        "skipped": "0",
    }
    root = ET.Element("testsuites", {"name": _legal(title)} | counts)
    suite = ET.SubElement(root, "testsuite", {"name": _legal(title)} | counts)
    _add_properties(suite, properties)
    for verdict in verdicts:
        case = ET.SubElement(
            suite, "testcase", classname=_legal(title), name=_legal(verdict.gate), time="0"
        )
        _add_properties(
            case, {name: _text(number) for name, number in sorted(verdict.numbers.items())}
        )
        tag = TAGS.get(verdict.outcome)
        if tag is not None:
            problem = ET.SubElement(
                case, tag, type=str(verdict.outcome), message=_legal(verdict.reason)
            )
            problem.text = _legal(f"{verdict.reason}\nreproduce: {verdict.reproduce}")
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _add_properties(parent: ET.Element, values: Mapping[str, str]) -> None:
    if not values:
        return
    holder = ET.SubElement(parent, "properties")
    for name, value in values.items():
        ET.SubElement(holder, "property", name=_legal(name), value=_legal(value))


def _text(number: float | str) -> str:
    return number if isinstance(number, str) else repr(number)


def _legal(text: str) -> str:
    """XML 1.0 has no way to write most control characters, not even escaped."""
    return ILLEGAL.sub("\ufffd", text)
