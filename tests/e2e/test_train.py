"""Whole trainings: killed and resumed, over two processes, from the command line to a loaded inverter."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fraudit.diffusion.training.options import TrainOptions
from fraudit.diffusion.training.state import read_losses
from fraudit.diffusion.training.workflow import Plan, run_training
from fraudit.errors import UsageError
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from tests.fixtures.training import SMALL, black_box, drawn_faces

ROOT = Path(__file__).resolve().parents[2]

WORKER = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from fraudit.diffusion.training.options import TrainOptions
from fraudit.diffusion.training.workflow import Plan, run_training
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from tests.fixtures.training import SMALL, black_box, drawn_faces

out, steps, resume = Path(sys.argv[1]), int(sys.argv[2]), "--resume" in sys.argv
options = TrainOptions(steps=steps, batch=4, checkpoint_every=5, log_every=1, report_every=1000, device="cpu")
plan = Plan(
    out=out, shards=out.parent / "shards", sets=[drawn_faces()], preset=SMALL, options=options,
    points=landmarks_of(16), template_name=TEMPLATE_NAME, probe=4, resume=resume,
)
run_training(plan, black_box())
"""


def _start(
    folder: Path, name: str, steps: int, *extra: str, launcher: tuple[str, ...] = ()
) -> subprocess.Popen:
    script = folder / "worker.py"
    script.write_text(WORKER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*(launcher or (sys.executable,)), str(script), str(folder / name), str(steps), *extra]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-2000:]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shards and an uninterrupted training of 24 steps in it."""
    folder = tmp_path_factory.mktemp("trainings")
    _finish(_start(folder, "straight", 24))
    return folder


def test_a_killed_training_goes_on_as_if_nothing_had_happened(straight: Path) -> None:
    killed = _start(straight, "killed", 24)
    deadline = time.monotonic() + 240
    while len(read_losses(straight / "killed")) < 8 and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    before = len(read_losses(straight / "killed"))
    assert 8 <= before < 24
    _finish(_start(straight, "killed", 24, "--resume"))
    assert read_losses(straight / "killed") == read_losses(straight / "straight")
    names = [f"{n}/inverter/model-00001-of-00001.safetensors" for n in ("killed", "straight")]
    assert (straight / names[0]).read_bytes() == (straight / names[1]).read_bytes()


def test_two_processes_train_as_one(straight: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = (
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node=2",
        "--master-addr=127.0.0.1",
        f"--master-port={port}",
    )
    _finish(_start(straight, "two", 24, launcher=launcher))
    one, two = ([r["loss"] for r in read_losses(straight / n)] for n in ("straight", "two"))
    assert len(two) == 24
    np.testing.assert_allclose(two, one, rtol=2e-3)
    np.testing.assert_allclose(two[:6], one[:6], rtol=1e-4)


def test_the_report_and_card_of_a_training_are_written(straight: Path) -> None:
    folder = straight / "straight"
    document = json.loads((folder / "training.json").read_text())
    assert document["steps"] == 24
    last = document["evaluations"][-1]
    assert last["step"] == 24
    assert set(last["embedder"]) == {"own", "other"}
    assert "held out" in (folder / "training.html").read_text()
    card = json.loads((folder / "inverter" / "card.json").read_text())
    assert card["data"][0]["name"] == "drawn"
    assert card["data_digest"]
    assert card["departures"]


def test_an_existing_training_is_not_overwritten(straight: Path) -> None:
    before = (straight / "straight" / "loss.jsonl").read_bytes()
    plan = Plan(
        out=straight / "straight",
        shards=straight / "shards",
        sets=[drawn_faces()],
        preset=SMALL,
        options=TrainOptions(steps=24, batch=4, device="cpu"),
        points=landmarks_of(16),
        template_name=TEMPLATE_NAME,
    )
    with pytest.raises(UsageError, match="holds a training already"):
        run_training(plan, black_box())
    assert (straight / "straight" / "loss.jsonl").read_bytes() == before
