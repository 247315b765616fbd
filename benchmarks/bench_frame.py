"""What every row of `make bench` needs: a `Row`, timing in turns, and peers that live in another environment."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "onnxruntime", "opencv-python-headless")


class PeerMissing(Exception):
    """The peer is not installed: the row keeps its older figures."""


@dataclass(frozen=True)
class Row:
    """One line of docs/benchmarks.md.

    Attributes:
        name: what was done, with its size. peer: what it stands beside.
        ours, theirs: seconds, or what `unit` says, of the best round.
        ratio: how many times the peer's rate (ours better: above 1). asked: the least ratio that is asked for.
        within: True where `ratio` is ours / theirs in seconds and must be at most `asked`.
        memory_mb: more memory than before the call, where measured. note: one sentence.
    """

    name: str
    peer: str
    ours: float
    theirs: float
    ratio: float
    asked: float
    unit: str = "s"
    within: bool = False
    memory_mb: float | None = None
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether what is asked for was reached."""
        return self.ratio <= self.asked if self.within else self.ratio >= self.asked


@dataclass(frozen=True)
class Bench:
    """What a row may use.

    Attributes:
        repeat: rounds. peers: python of the environment of the peers (`make bench` makes it), or None.
    """

    repeat: int = 5
    peers: Path | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def best(self, ways: dict[str, Callable[[], object]], repeat: int | None = None) -> dict[str, float]:
        """Seconds of the best round of each way; the ways take turns, so that a noisy minute hits all of them."""
        seconds = dict.fromkeys(ways, float("inf"))
        for _ in range(repeat or self.repeat):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                seconds[name] = min(seconds[name], time.perf_counter() - started)
        return seconds

    def peer(self, script: str, *arguments: str | Path) -> dict[str, Any]:
        """What `benchmarks/peers/SCRIPT` prints as JSON when the peers' python runs it.

        Raises:
            PeerMissing: there is no such environment, or the script could not import its package.
        """
        if self.peers is None:
            raise PeerMissing("no environment of the peers (make bench makes it)")
        command = [str(self.peers), str(HERE / "peers" / script), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PeerMissing(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else script)
        return json.loads(done.stdout.strip().splitlines()[-1])


def more_memory(work: Callable[[], object]) -> float:
    """MB of resident memory at the most while `work` runs, beyond what there was before (Linux)."""
    page = os.sysconf("SC_PAGE_SIZE")

    def now() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * page

    before = most = now()
    done = threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, now())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        work()
    finally:
        done.set()
        watcher.join()
    return (max(most, now()) - before) / 2**20


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system and the versions of what does the work."""
    model, memory = platform.processor() or platform.machine(), 0.0
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (OSError, ValueError, AttributeError):
        pass
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(memory),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": versions,
    }
