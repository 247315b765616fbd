"""What mkdocs calls while it builds: adds the generated pages, and fits links to the site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[i]) for i in (1, 2)]

from mkdocs.structure.files import File, Files  # noqa: E402

from fraudit_docs import site  # noqa: E402
from fraudit_docs.links import rewritten  # noqa: E402


def on_config(config: Any) -> Any:
    """Complete the navigation by the generated pages."""
    config.nav = site.navigation(config.nav)
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages and pictures."""
    for path, content in site.generated().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of the pages in docs/ that point to files elsewhere in the repository."""
    if page.file.generated_by:
        return markdown
    return rewritten(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)
