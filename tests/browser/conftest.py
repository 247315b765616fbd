"""A run with groups and searches, its report, and a real browser; skipped with the reason where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fraudit.audit.execute import execute
from fraudit.plugins import ANALYSES
from fraudit.report.render import render
from tests.fixtures.contexts import vectors_context


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighty planted people of four pictures and two groups; verification, bias and search over their vectors."""
    from contextlib import ExitStack

    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(80), 4)
    vectors = rng.normal(size=(80, 24))[people] + 0.75 * rng.normal(size=(320, 24))
    labels = np.where(people % 2 == 0, "first", "<b>second</b>")
    context = vectors_context(vectors, people, attributes={"ethnicity": labels})
    chosen = [
        (ANALYSES.get(name), ANALYSES.get(name).params())
        for name in ("verification", "identification", "bias")
    ]
    execute(
        context,
        chosen,
        ExitStack(),
        dict,
        context.plan.as_dict(),
        command="fraudit analyze --out runs/one",
        overwrite=True,
    )
    folder = tmp_path_factory.mktemp("browser") / "run"
    shutil.copytree(context.run_dir, folder)
    render(folder)
    return folder


@pytest.fixture
def open_page(browser: Any, run_dir: Path) -> Iterator[Any]:
    """Opens the report with (fragment, options of the context); no request may leave, no script may fail."""
    contexts, wrong = [], []

    def opened(fragment: str = "", **options: Any) -> Any:
        context = browser.new_context(
            **{"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce", **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request", lambda r: wrong.append(r.url) if not r.url.startswith(("file:", "data:")) else None
        )
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.goto(f"file://{run_dir}/report/index.html{fragment}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
