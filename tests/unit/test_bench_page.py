"""docs/benchmarks.md and README's line are what `make bench` makes of the stored rows."""

from __future__ import annotations

import json

from benchmarks.bench import PAGE, README, STORED, page, readme_line, with_line


def test_page_and_readme_say_what_is_stored() -> None:
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(stored)
    readme = README.read_text(encoding="utf-8")
    assert readme.count(readme_line(stored)) == 1
    assert with_line(readme, stored) == readme
    stored["rows"] = [row | {"row": row["row"] | {"ratio": 3.21, "ours": 1234.5}} for row in stored["rows"]]
    assert "1,234 faces/s from JPEG to vector, 3.2 times the usual loop" in with_line(readme, stored)
