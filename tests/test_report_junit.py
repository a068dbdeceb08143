"""JUnit XML that CI dashboards read: what did not pass never looks as if it had."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.base.errors import UserError
from bench.base.verdict import Outcome, Verdict
from bench.cost.spending import Budget
from bench.report.junit import junit
from bench.report.write import write_report
from tests.reports import verdict

ALL = [
    verdict(Outcome.PASS, "a/pass"),
    verdict(Outcome.FAIL, "b/fail"),
    verdict(Outcome.UNSURE, "c/unsure"),
]

# The JUnit schema that Jenkins and GitLab read: element -> attributes it must have, attributes
# it may have, children it may hold.
SCHEMA = {
    "testsuites": ({"name"}, {"tests", "failures", "errors", "skipped"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"skipped"},
        {"properties", "testcase"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": ({"name", "classname"}, {"time"}, {"properties", "failure", "error"}),
    "failure": ({"type", "message"}, set(), set()),
    "error": ({"type", "message"}, set(), set()),
}


def parsed(verdicts: list[Verdict]) -> ET.Element:
    return ET.fromstring(junit(verdicts, title="latency", properties={"commit": "abc"}))


def test_each_element_is_one_that_dashboards_know() -> None:
    def check(element: ET.Element) -> None:
        must, may, children = SCHEMA[element.tag]
        names = set(element.keys())
        assert must <= names <= must | may, element.tag
        for child in element:
            assert child.tag in children, f"{child.tag} in {element.tag}"
            check(child)

    check(parsed(ALL))


def test_what_each_arm_spends_is_a_property(tmp_path: Path) -> None:
    budgets = {"hybrid": Budget(36, 43.75, None, 512_000)}
    write_report(tmp_path, ALL, title="latency", budgets=budgets)
    (suite,) = ET.parse(tmp_path / "latency-junit.xml").getroot()
    (holder,) = suite.findall("properties")
    told = {each.get("name"): each.get("value") for each in holder}
    spent = {name: value for name, value in told.items() if name and name.startswith("hybrid ")}
    assert spent == {
        "hybrid tokens": "36",
        "hybrid average": "43.75",
        "hybrid cache_bytes": "512000",
    }


def test_a_failed_gate_is_a_failure_and_an_unsure_one_an_error_never_a_skip() -> None:
    (suite,) = parsed(ALL)
    cases = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert cases == {
        "a/pass": ["properties"],
        "b/fail": ["properties", "failure"],
        "c/unsure": ["properties", "error"],
    }
    counted = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": "3", "failures": "1", "errors": "1", "skipped": "0"}
    (error,) = suite.iter("error")
    assert error.get("type") == "UNSURE"
    assert "reproduce: python -m bench latency --keep 36" in str(error.text)


def test_numbers_are_properties_that_read_back_exactly() -> None:
    case = next(parsed(ALL).iter("testcase"))
    numbers = {p.get("name"): str(p.get("value")) for p in case.iter("property")}
    assert float(numbers["value"]) == 0.62
    assert numbers["must_be"] == "<="


def test_characters_that_xml_has_no_word_for_do_not_break_the_file(tmp_path: Path) -> None:
    evil = Verdict(
        gate="a<b>&\x1b\ufffe",
        outcome=Outcome.FAIL,
        reason='"\x00\ud800 <![CDATA[ ]]>',
        reproduce="x",
    )
    path = tmp_path / "junit.xml"
    path.write_bytes(junit([evil], title="t", properties={}))
    case = next(ET.parse(path).iter("testcase"))
    assert case.get("name") == "a<b>&\ufffd\ufffd"


def test_no_verdicts_make_no_file() -> None:
    with pytest.raises(UserError, match="no gate was measured"):
        junit([], title="t", properties={})
