"""FRAUDIT_THREADS bounds every library, loaded before or after; threads that wait sleep."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fraudit.errors import UsageError
from fraudit.threads import blocks, settle, stated, thread_count

SHOWN = (
    "from threadpoolctl import threadpool_info\n"
    "print(torch.get_num_threads(), cv2.getNumThreads(), {p['num_threads'] for p in threadpool_info()})\n"
)
BEFORE = "import numpy, torch, cv2, scipy.linalg\nfrom fraudit.threads import settle\nsettle()\n"
AFTER = "import numpy\nfrom fraudit.threads import settle\nsettle()\nimport torch, cv2, scipy.linalg\n"


@pytest.mark.parametrize("code", [BEFORE, AFTER], ids=["loaded before", "loaded after"])
def test_every_library_is_bounded(code: str) -> None:
    outside = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    answer = subprocess.run(
        [sys.executable, "-c", code + SHOWN],
        env={**outside, "FRAUDIT_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "1 1 {1}"


def test_waiting_threads_sleep_unless_somebody_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAUDIT_THREADS", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    settle()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    settle()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.parametrize("value", ["0", "two", "-1", "1.5"])
def test_a_wrong_number_is_named(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDIT_THREADS", value)
    with pytest.raises(UsageError, match="FRAUDIT_THREADS must be a positive integer"):
        settle()


def test_without_it_all_cores_of_the_process_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAUDIT_THREADS", raising=False)
    assert stated() is None
    assert thread_count() >= 1


@pytest.mark.parametrize("count", [0, 1, 5, 64, 400, 401])
@pytest.mark.parametrize("workers", [1, 2, 16])
def test_blocks_cover_everything_once_and_end_small(count: int, workers: int) -> None:
    made = blocks(count, workers, 32)
    assert [at for block in made for at in block] == list(range(count))
    sizes = [len(block) for block in made]
    assert sizes == sorted(sizes, reverse=True)
    assert all(1 <= size <= 32 for size in sizes)
    if count:
        assert sizes[-1] == 1
    assert len(blocks(10_000, 2, 32)) < 10_000 / 32 + 20
