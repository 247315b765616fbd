"""The workers of Ray: a cluster on this machine, one worker killed in the middle, an object store on this machine."""

import json
import os
import signal
import threading
import time

import numpy as np
import pytest

from fraudit.audit.long_passes import long_passes
from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import run_plan
from fraudit.cluster.engine import RayEngine
from fraudit.cluster.pool import RayPool
from fraudit.cluster.shards import ShardStore
from fraudit.cluster.worker import Job, Worker
from fraudit.progress import Progress
from fraudit.stats.all_pairs import sweep
from fraudit.stats.all_pairs_pieces import passes_by
from fraudit.stats.groups import impostor_rates

ray = pytest.importorskip("ray", reason="the extra ray is not installed (pip install 'fraudit[ray]')")

pytestmark = pytest.mark.slow  # starting Ray and two workers that import torch takes about 20 s


class Slow(Worker):
    """Leaves time to be killed: says that it began, then waits."""

    def embed(self, *arguments):
        with open(os.environ["FRAUDIT_TEST_LOG"], "a") as log:
            log.write(f"{os.getpid()}\n")
        time.sleep(1.5)
        return super().embed(*arguments)

    def pairs(self, *arguments):
        with open(os.environ["FRAUDIT_TEST_LOG"] + "-pairs", "a") as log:
            log.write(f"{os.getpid()}\n")
        return super().pairs(*arguments)


class Asking(Worker):
    """Tells the bill what it would ask."""

    def ask(self, box, questions):
        self._bill(box, questions)
        return os.getpid()


class SlowPairs(Worker):
    """The same for pieces of a pass over all pairs."""

    def pairs(self, *arguments):
        with open(os.environ["FRAUDIT_TEST_LOG"], "a") as log:
            log.write(f"{os.getpid()}\n")
        time.sleep(0.3)
        return super().pairs(*arguments)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "there"))
    monkeypatch.setenv("FRAUDIT_THREADS", "1")
    monkeypatch.setenv("FRAUDIT_TEST_LOG", str(tmp_path / "log"))
    folder = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    yield tmp_path
    ray.shutdown()


def figures(folder):
    record = json.loads((folder / "run.json").read_text())
    kept = []
    for result in record["results"]:
        metrics = [dict(m.items()) for m in result["metrics"]]
        kept.append((result["name"], result["status"], metrics, result["findings"], result["tables"]))
    return kept


def kill_one(log, begun):
    """Kills the worker that began last once `begun` tasks have begun; (the thread, who was killed)."""
    killed = []

    def kill():
        while not killed:
            time.sleep(0.02)
            lines = log.read_text().split() if log.exists() else []
            if len(lines) >= begun:  # some are done, others are under way
                os.kill(int(lines[-1]), signal.SIGKILL)
                killed.append(lines[-1])

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread, killed


def test_all_pairs_with_a_worker_killed_in_the_middle_have_the_counts_of_this_process(cluster, monkeypatch):
    rng = np.random.default_rng(5)
    people = rng.integers(0, 900, 3000)
    unit = rng.standard_normal((900, 64))[people] + rng.standard_normal((3000, 64))
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    ok, told = rng.random(3000) < 0.9, []
    groups = rng.choice(["f", "m"], 3000)
    monkeypatch.setattr("fraudit.cluster.pool.Worker", SlowPairs)
    monkeypatch.setattr("fraudit.cluster.engine.TASK", 5e7)
    monkeypatch.setattr("fraudit.audit.long_passes.LONG", 1e8)
    here = sweep(unit, people, ok, bins=20_000, floor=0.4), impostor_rates(unit, people, groups, 0.3, ok)
    engine = RayEngine.of(AuditPlan("dlib"), workers=2)
    thread, killed = kill_one(cluster / "log", 4)
    with passes_by(long_passes(engine, lambda *part: Progress(*part, lambda *now: told.append(now)))):
        there = sweep(unit, people, ok, bins=20_000, floor=0.4), impostor_rates(unit, people, groups, 0.3, ok)
    thread.join(5)
    asked = (cluster / "log").read_text().split()
    assert killed
    assert len(set(asked)) >= 3  # two workers, and the one that took the place of the one killed
    assert told[-1][1] == told[-1][2]
    for name in ("counts", "left", "right", "scores", "pairs"):
        np.testing.assert_array_equal(getattr(there[0], name), getattr(here[0], name))
    assert repr(there[1]) == repr(here[1])


def test_a_run_with_a_worker_killed_in_the_middle_has_the_figures_of_a_local_one(cluster, monkeypatch):
    grid = {"corruptions": ("jpeg", "gaussian_noise"), "severities": (3,), "probes": 24}
    plan = AuditPlan(
        "dlib",
        "sample",
        only=("verification", "robustness"),
        params={"robustness": grid},
        inverter="none",
        pictures="none",
    )
    monkeypatch.setattr("fraudit.cluster.pool.Worker", Slow)
    monkeypatch.setattr("fraudit.cluster.engine.SHARD_BATCHES", 2)
    monkeypatch.setattr("fraudit.audit.long_passes.LONG", 1e5)  # else these passes are made here
    log = cluster / "log"
    thread, killed = kill_one(log, 3)
    run_plan(
        plan,
        cluster / "ray",
        engine=lambda: RayEngine.of(plan, workers=2, store=str(cluster / "shards")),
    )
    thread.join(5)
    assert killed
    asked = log.read_text().split()
    assert len(set(asked)) >= 3  # two workers, and the one that took the place of the one killed
    assert (cluster / "log-pairs").read_text()  # all pairs of verification were theirs too
    monkeypatch.setenv("FRAUDIT_CACHE", str(cluster / "here"))
    run_plan(plan, cluster / "local")
    assert figures(cluster / "ray") == figures(cluster / "local")


def test_questions_of_all_workers_are_on_one_bill_those_of_a_lost_one_too(cluster, monkeypatch):
    box = ("dlib", None)
    monkeypatch.setattr("fraudit.cluster.pool.Worker", Asking)
    pool = RayPool(Job(AuditPlan("dlib"), 1), 2)
    pids = [pid for _, pid in pool.run([("ask", (box, count)) for count in (3, 4, 5)])]
    os.kill(pids[0], signal.SIGKILL)
    again = [pid for _, pid in pool.run([("ask", (box, count)) for count in (6, 7)])]
    assert pids[0] not in again
    assert pool.sent(box) == 3 + 4 + 5 + 6 + 7
    pool.close()


def test_vectors_go_to_an_object_store_and_come_from_there(cluster, monkeypatch):
    server = pytest.importorskip(
        "moto.server", reason="moto is not installed (pip install 'moto[server,s3]')"
    )
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    there = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    there.start()
    try:
        host, port = there.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name, value in (
            ("ACCESS_KEY_ID", "x"),
            ("SECRET_ACCESS_KEY", "x"),
            ("DEFAULT_REGION", "us-east-1"),
        ):
            monkeypatch.setenv(f"AWS_{name}", value)
        import s3fs

        s3fs.S3FileSystem().mkdir("audits")
        plan = AuditPlan("dlib", "sample", only=("verification",), inverter="none", limit=60)
        place = "s3://audits/dlib"
        answers = []
        for folder in ("first", "second"):
            monkeypatch.setenv("FRAUDIT_CACHE", str(cluster / f"{folder}-cache"))
            run_plan(plan, cluster / folder, engine=lambda: RayEngine.of(plan, workers=2, store=place))
            with np.load(cluster / folder / "vectors.npz") as stored:
                answers.append(stored["vectors"])
            ray.shutdown()
        np.testing.assert_array_equal(*answers)
        record = json.loads((cluster / "second" / "run.json").read_text())
        assert record["inputs"]["embedder"]["queries"] == 0
        files = s3fs.S3FileSystem().find("audits/dlib")
        assert len(files) == 1
        assert ShardStore(place).get(files[0].split("dlib/", 1)[1]) is not None
    finally:
        there.stop()
