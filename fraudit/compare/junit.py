"""JUnit XML, as continuous integration reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree


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
