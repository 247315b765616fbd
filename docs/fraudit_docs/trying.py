"""Runs the commands of the how-to pages as they stand: `python -m fraudit_docs.trying [page ...]`.

Blocks with a title that says whose files they need (`With your own model`) are left out; a block of Python whose title
is a file's name is written to that file. Each page has an empty folder of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PAGES = Path(__file__).resolve().parents[1] / "how-to"
BLOCK = re.compile(r'^```(sh|python)(?: title="([^"]*)")?\n(.*?)^```', re.M | re.S)


def steps(text: str) -> Iterator[tuple[str, str, str]]:
    """(language, file or '', code) of each block that runs on the bundled faces."""
    for language, title, code in BLOCK.findall(text):
        if not title.startswith("With "):
            yield language, title, code


def _shim(folder: Path) -> None:
    """`fraudit` and `python` of this interpreter, first on the path."""
    for name, what in (
        ("fraudit", '-c "from fraudit.cli.main import main; main()"'),
        ("python", ""),
    ):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {what} "$@"\n', encoding="utf-8")
        path.chmod(0o755)


def try_page(path: Path) -> str:
    """'' where every step of the page ended with exit code 0, else what was printed."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "work"
        home.mkdir()
        _shim(Path(place))
        env = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}
        for language, title, code in steps(path.read_text(encoding="utf-8")):
            if language == "python" and title:
                (home / title).write_text(code, encoding="utf-8")
                continue
            command = ["bash", "-euxc", code] if language == "sh" else [f"{place}/python", "-c", code]
            answer = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True)
            if os.environ.get("FRAUDIT_DOCS_SAY"):
                print(answer.stdout, answer.stderr)
            if answer.returncode:
                return f"{code}\n{answer.stdout}\n{answer.stderr}"
    return ""


def main(names: list[str]) -> int:
    """Try these pages, or all; the exit code."""
    failed = 0
    for path in [PAGES / f"{name}.md" for name in names] or sorted(PAGES.glob("*.md")):
        start = time.monotonic()
        wrong = try_page(path)
        print(f"{path.stem}: {'FAILED' if wrong else 'ran'} ({time.monotonic() - start:.0f} s)", flush=True)
        if wrong:
            print(wrong)
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
