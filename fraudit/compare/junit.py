"""JUnit XML, as continuous integration reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree

from fraudit.formatting import printable


def case(
    classname: str, name: str, said: str, kind: str = "", type: str = "", message: str = ""
) -> ElementTree.Element:
    """One JUnit test case.

    Args:
        said: what was found, whole. kind: `failure`, `error` or '' (passed). type, message: of a failure or error.
    """
    made = ElementTree.Element("testcase", classname=_plain(classname), name=_plain(name))
    if kind:
        found = ElementTree.SubElement(made, kind, type=type, message=_plain(message))
        found.text = _plain(said)
    else:
        ElementTree.SubElement(made, "system-out").text = _plain(said)
    return made


def _plain(words: str) -> str:
    return printable(words).replace("\u202f", " ")


def suite(name: str, cases: Sequence[ElementTree.Element]) -> ElementTree.Element:
    """One suite of these test cases, its failures and errors counted."""
    failures, errors = (sum(case.find(tag) is not None for case in cases) for tag in ("failure", "error"))
    element = ElementTree.Element(
        "testsuite", name=name, tests=str(len(cases)), failures=str(failures), errors=str(errors), skipped="0"
    )
    element.extend(cases)
    return element


def document(suites: Iterable[ElementTree.Element]) -> str:
    """The text of a file of suites."""
    root = ElementTree.Element("testsuites")
    root.extend(suites)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
