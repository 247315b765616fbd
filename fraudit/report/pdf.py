"""A report's page as PDF, printed by a Chromium of this machine, which is told to stay offline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from fraudit.errors import ArtifactError, DataError
from fraudit.files.store import write_bytes_atomic

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
SECONDS = 180.0
_OFFLINE = (
    "--headless", "--disable-gpu", "--no-first-run", "--no-default-browser-check", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--disable-extensions", "--disable-default-apps",
    "--proxy-server=127.0.0.1:9",  # nothing listens there: whatever the page may name, nothing leaves
    "--no-pdf-header-footer",
)  # fmt: skip


def find_browser() -> str:
    """Path of a Chromium: `$FRAUDIT_BROWSER`, or one on the path. Raises ArtifactError where there is none."""
    named = os.environ.get("FRAUDIT_BROWSER", "")
    for name in (named,) if named else BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    raise ArtifactError(
        f"no Chromium to print with: looked for {named or ', '.join(BROWSERS)}",
        "install chromium, name one in $FRAUDIT_BROWSER, or print the page from any browser",
    )


def unfolded(page: str) -> str:
    """The page's text with every `<details>` open: a browser prints a folded one as its first line alone."""
    return re.sub(r"<details(?! open)(?=[\s>])", "<details open", page)


def print_pdf(page: Path, target: Path) -> Path:
    """Print the HTML file `page` into `target`, which is replaced in one step; nothing of it stays folded.

    Raises:
        ArtifactError: there is no Chromium, or it gave no PDF.
        DataError: there is no such page.
    """
    if not page.is_file():
        raise DataError(f"no page at {page}", "fraudit report RUN draws it")
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="fraudit-pdf-", ignore_cleanup_errors=True) as folder:
        made, copy = Path(folder) / "report.pdf", Path(folder) / "report.html"
        copy.write_text(unfolded(page.read_text(encoding="utf-8")), encoding="utf-8")
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        command = [
            browser, *_OFFLINE, *root, f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}",
            copy.resolve().as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ArtifactError(
                f"{browser} did not print: {error}", "print the page from any browser"
            ) from error
        blob = made.read_bytes() if made.is_file() else b""
        if not blob.startswith(b"%PDF"):
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise ArtifactError(f"{browser} gave no PDF: {last}", "print the page from any browser")
    write_bytes_atomic(target, blob)
    return target
