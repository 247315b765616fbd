"""Where a run was made: versions, hardware, seed, and the command that repeats it."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fraudit
from fraudit.audit.plan import AuditPlan
from fraudit.audit.typed import TYPED

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "onnxruntime", "opencv-python-headless", "pillow")


def environment(plan: AuditPlan, command: str = "") -> dict[str, Any]:
    """Versions, hardware, seed and the command that repeats the run (that of an embedder by default)."""
    versions = {"fraudit": fraudit.__version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "accelerator": _accelerator(),
        "seed": plan.seed,
        "command": TYPED.get() or command or plan.command(),
    }


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _accelerator() -> str:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return "none"
