"""FRAUDIT_THREADS bounds every library, loaded before or after; threads that wait sleep."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fraudit.errors import UsageError
from fraudit.threads import ahead, blocks, settle, stated, thread_count

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
    made = list(blocks(count, workers, lambda: 32))
    assert [at for block in made for at in block] == list(range(count))
    sizes = [len(block) for block in made]
    assert sizes == sorted(sizes, reverse=True)
    assert all(1 <= size <= 32 for size in sizes)
    assert len(made) >= min(count, workers)
    if workers > 1 and count:
        assert sizes[-1] <= 8
    assert len(list(blocks(10_000, 2, lambda: 32))) < 10_000 / 32 + 20


def test_the_size_of_a_block_is_asked_when_it_is_needed() -> None:
    most = [3]
    made = blocks(100, 1, lambda: most[0])
    assert next(made) == range(3)
    most[0] = 10
    assert next(made) == range(3, 13)


def test_ahead_keeps_the_order_and_takes_no_more_than_its_window() -> None:
    taken: list[int] = []

    def items():
        for item in range(20):
            taken.append(item)
            yield item

    for done, made in enumerate(ahead(lambda item: item * item, items(), 3, 5)):
        assert made == done * done
        assert len(taken) <= done + 6
    assert done == 19
    assert list(ahead(str, [], 2, 4)) == []


def test_ahead_raises_what_the_work_raises_and_starts_nothing_more() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return 1 // (item - 3)

    with pytest.raises(ZeroDivisionError):
        list(ahead(work, range(1000), 1, 4))
    assert len(begun) < 12
