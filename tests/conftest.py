"""Fixtures that find the real data and weights, or skip with the reason."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fraudit.errors import ArtifactError
from fraudit.report.pdf import find_browser
from tests.fixtures.known_secrets import forget

ROOT = Path(__file__).resolve().parent.parent


def _folder(variable: str, shared: str) -> Path:
    named = os.environ.get(variable)
    # Absolute: cards that tests write elsewhere name files in it.
    folder = Path(named).resolve() if named else ROOT.parent / "shared" / shared
    if not folder.is_dir():
        pytest.skip(f"no real {shared} here: set ${variable} or provide ../shared/{shared}")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the face data sets (LFW pairs, CelebA-10k, UTKFace)."""
    return _folder("FRAUDIT_DATA", "data")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Folder of the small real weights (MobileFaceNet, YuNet, 3DDFA_V2)."""
    return _folder("FRAUDIT_WEIGHTS", "weights")


@pytest.fixture(scope="session")
def shared_parity() -> Path:
    """Folder of the official networks' answers."""
    return _folder("FRAUDIT_PARITY", "parity")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium of this machine; one for a process, which can hold one only."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    try:
        chromium = find_browser()
    except ArtifactError as error:
        pytest.skip(error.message)
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture(scope="session", autouse=True)
def _commands_are_built_once() -> Iterator[None]:
    """Typer makes click's commands anew for each call: a tenth of a second, in hundreds of tests."""
    import typer.main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the person's own cache."""
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests() -> Iterator[None]:
    """A secret that one test sets is not hidden in the texts of the next."""
    yield
    forget()
