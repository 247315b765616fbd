"""Workers answer as this process does, to the last bit; Ray itself is tested in test_cluster_ray.py."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from fraudit.audit.plan import AuditPlan
from fraudit.cluster.engine import RemoteInverter, RemoteRuntime
from fraudit.cluster.shards import Shard, ShardStore
from fraudit.cluster.worker import Job, Worker
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import ArtifactError, DataError, PluginError, UsageError
from fraudit.faces.sources import open_faces, take
from fraudit.inverters.loading import find_inverter


class Here:
    """The pool's shape with real workers in this process, which finish in another order than they began."""

    def __init__(self, job, size=2):
        self.size, self.workers = size, [Worker(job) for _ in range(size)]
        self.asked = []

    def share(self, value):
        return pickle.loads(pickle.dumps(value))

    def sent(self, box):
        return sum(worker._boxes[box].queries for worker in self.workers if box in worker._boxes)

    def run(self, calls, only=0):
        for number, (method, arguments) in reversed(list(enumerate(calls))):
            self.asked.append(number % (only or self.size))
            yield number, getattr(self.workers[number % (only or self.size)], method)(*arguments)

    def ordered(self, calls, told=None, only=0):
        found = dict(self.run(calls, only))
        return [found[i] for i in range(len(calls))]


@pytest.fixture
def few(monkeypatch, tmp_path):
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FRAUDIT_THREADS", os.environ.get("FRAUDIT_THREADS", "1"))
    return AuditPlan("dlib", "sample", limit=60)


def remote(plan, tmp_path, **job):
    from fraudit.audit.runner import read_faces
    from fraudit.progress import silent

    faces = read_faces(plan, silent())
    pool = Here(Job(plan, 1, **job))
    loaded = load_embedder("dlib")
    return RemoteRuntime(loaded, None, pool, ("dlib", None), lambda: faces.digest), faces, loaded, pool


def test_vectors_of_workers_are_those_of_this_process_and_are_counted(few, tmp_path, monkeypatch):
    box, faces, loaded, _ = remote(few, tmp_path)
    monkeypatch.setattr("fraudit.cluster.engine.SHARD_BATCHES", 1)
    told = []
    found = box.embed_faces(faces, progress=lambda done, total: told.append((done, total)))
    plain = EmbedderRuntime(loaded).embed_faces(faces)
    np.testing.assert_array_equal(found.vectors, plain.vectors)
    assert found.reasons == plain.reasons
    assert found.fingerprint == plain.fingerprint
    assert box.queries == len(faces)
    assert told[-1] == (len(faces), len(faces))
    assert len(told) == 2


def test_pictures_of_another_set_are_embedded_here(few, tmp_path):
    box, faces, _, pool = remote(few, tmp_path)
    other = take(open_faces("sample"), np.arange(5))
    assert other.digest != faces.digest
    assert box.embed_faces(other).ok.all()
    assert pool.asked == []


def test_a_shard_in_the_store_is_not_asked_for_again_and_a_damaged_one_is(few, tmp_path, monkeypatch):
    store = tmp_path / "shards"
    box, faces, _, _ = remote(few, tmp_path, store=str(store))
    first = box.embed_faces(faces)
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "another"))  # another machine
    again, _, _, _ = remote(few, tmp_path, store=str(store))
    np.testing.assert_array_equal(again.embed_faces(faces).vectors, first.vectors)
    assert again.queries == 0
    (stored,) = store.rglob("*.npz")
    stored.write_bytes(stored.read_bytes()[:-30])
    third, _, _, _ = remote(few, tmp_path, store=str(store))
    np.testing.assert_array_equal(third.embed_faces(faces).vectors, first.vectors)
    assert Shard.unpacked(stored.read_bytes(), len(faces), 128) is not None


def test_what_detectors_of_workers_said_is_not_asked_again_here(tmp_path, monkeypatch):
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    from fraudit.faces.detect import LandmarkCache, Locator

    sample = open_faces("sample")
    for i in range(4):
        person = tmp_path / "set" / f"person{sample.subjects[i]}"
        person.mkdir(parents=True, exist_ok=True)
        (person / f"{i}.png").write_bytes(sample.read_bytes(i))
    plan = AuditPlan("dlib", str(tmp_path / "set"), detector="dlib")
    box, faces, _, _ = remote(plan, tmp_path)
    here = Locator("dlib", cache=LandmarkCache(tmp_path / "here.sqlite"))
    assert box.embed_faces(faces, locate=here).ok.any()
    monkeypatch.setattr(here.detector, "find", lambda _: pytest.fail("asked again"))
    found = [here.score(faces.read_bytes(i), faces.decode) for i in range(len(faces))]
    monkeypatch.undo()
    plain = Locator("dlib", cache=None)
    np.testing.assert_array_equal(found, [plain.score(faces.read_bytes(i), faces.decode) for i in range(4)])
    assert np.isfinite(found).any()


def test_a_shard_from_before_scores_is_whole_and_its_scores_are_unknown():
    points = np.zeros((2, 5, 2), np.float32)
    new = Shard(np.ones((2, 4), np.float32), ("", ""), ("a", "b"), points, [1, 2], [0.1 + 0.2, 0.5], 0)
    np.testing.assert_array_equal(Shard.unpacked(new.packed(), 2, 4).scores, [0.1 + 0.2, 0.5])
    with np.load(io.BytesIO(new.packed())) as stored:
        old = io.BytesIO()
        np.savez(old, **{name: stored[name] for name in stored.files if name != "scores"})
    read = Shard.unpacked(old.getvalue(), 2, 4)
    np.testing.assert_array_equal(read.scores, [np.nan, np.nan])
    np.testing.assert_array_equal(read.vectors, new.vectors)


def test_aligned_faces_are_shared_out_in_whole_batches(few, tmp_path):
    box, _faces, loaded, pool = remote(few, tmp_path)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (loaded.batch_size + 8, 150, 150, 3), dtype=np.uint8)
    found = box.embed_aligned(images)
    np.testing.assert_array_equal(found.vectors, EmbedderRuntime(loaded).embed_aligned(images).vectors)
    assert len(pool.asked) == 2
    assert box.queries == len(images)


def test_a_service_is_asked_by_one_worker_alone(few, tmp_path):
    from dataclasses import replace

    from fraudit.types import Meter

    box, _faces, loaded, pool = remote(few, tmp_path)
    box.loaded = replace(loaded, meter=Meter())
    box._before = 0
    images = np.random.default_rng(0).integers(0, 256, (3 * loaded.batch_size, 150, 150, 3), dtype=np.uint8)
    box.embed_aligned(images)
    assert set(pool.asked) == {0}
    assert box.queries == 3 * loaded.batch_size


def test_another_set_at_the_same_path_on_a_worker_is_refused(few, tmp_path):
    with pytest.raises(DataError, match="on a worker is not the one"):
        Worker(Job(few, 1)).embed(("dlib", None), "0" * 64, [0, 1], "none", False, "x")


def test_reconstructions_of_workers_are_those_of_this_process(few, tmp_path):
    inverter, missing = find_inverter("linear", load_embedder("dlib"))
    assert not missing
    plan = AuditPlan("dlib", "sample", inverter="linear")
    there = RemoteInverter(inverter, Here(Job(plan, 1)), ("dlib", None))
    vectors = np.random.default_rng(0).standard_normal((150, 128)).astype(np.float32)
    seeds = np.arange(150)
    made, plain = there.invert(vectors, seeds, guidance=1.0), inverter.invert(vectors, seeds, guidance=1.0)
    assert np.abs(made.astype(int) - plain).max() <= 1  # a matrix product in other pieces
    assert (made == plain).mean() > 0.999
    assert (there.name, there.size_px) == (inverter.name, inverter.size_px)


def test_a_store_keeps_bytes_in_a_folder_or_behind_a_url(tmp_path):
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    for place in (str(tmp_path / "plain"), f"file://{tmp_path}/url", "memory://fraudit-test"):
        store = ShardStore(place)
        assert store.get("a/b.npz") is None
        store.put("a/b.npz", b"one")
        store.put("a/b.npz", b"two")
        assert ShardStore(place).get("a/b.npz") == b"two"
    with pytest.raises((UsageError, PluginError)):
        ShardStore("nosuchprotocol://x")


def test_a_store_that_cannot_be_written_says_so_in_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="cannot be written"):
        ShardStore(str(tmp_path / "file")).put("a.npz", b"x")


@pytest.mark.parametrize("broken", [b"", b"PK\x03\x04 nonsense", b"\x80\x04pickle"])
def test_what_is_no_shard_is_none(broken):
    assert Shard.unpacked(broken, 1, 4) is None


def test_a_shard_of_other_sizes_or_with_vectors_that_are_not_finite_is_none():
    whole = Shard(
        np.ones((2, 4), np.float32),
        ("", "x"),
        ("", ""),
        np.zeros((2, 5, 2), np.float32),
        [0, 0],
        [0.9, np.nan],
        2,
    )
    assert Shard.unpacked(whole.packed(), 2, 4) is not None
    assert Shard.unpacked(whole.packed(), 3, 4) is None
    assert Shard.unpacked(whole.packed(), 2, 5) is None
    bad = Shard(
        np.full((2, 4), np.nan, np.float32), ("", "x"), ("", ""), whole.points, [0, 0], whole.scores, 2
    )
    assert Shard.unpacked(bad.packed(), 2, 4) is None


def test_options_of_ray_without_it_are_refused():
    from fraudit.cli.engines import engine_of

    plan = AuditPlan("dlib")
    assert engine_of(plan, "local", "", "", 2) is None
    for given in (
        ("rai", "", "", None),
        ("local", "auto", "", None),
        ("local", "", "x", None),
        ("ray", "", "", 0),
    ):
        with pytest.raises(UsageError):
            engine_of(plan, *given)


def test_without_ray_one_line_says_what_to_install(monkeypatch, tmp_path):
    import sys

    from fraudit.cluster.engine import RayEngine

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PluginError, match="needs the package ray"):
        RayEngine.of(AuditPlan("dlib"), store=str(Path(tmp_path)))


def test_corrupted_faces_of_workers_are_those_of_this_process(few, tmp_path):
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.corrupted import CHUNK, show_corrupted
    from fraudit.cluster.engine import RayEngine
    from fraudit.files.store import Store
    from fraudit.perturb.catalogue import resolve

    box, faces, loaded, pool = remote(few, tmp_path)
    engine = RayEngine.__new__(RayEngine)  # with workers of this process instead of Ray's
    engine.pool, engine._digest, engine._box = pool, faces.digest, ("dlib", None)
    probes = np.arange(CHUNK + 5)
    cells = (probes, resolve(("gaussian_noise", "jpeg")), (1, 5), "picture", "robustness")
    there = AnalysisContext(few, faces, box, store=Store(tmp_path / "a"), run_dir=tmp_path)
    found = engine.corrupted(there, *cells)
    here = AnalysisContext(few, faces, EmbedderRuntime(loaded), store=Store(tmp_path / "b"), run_dir=tmp_path)
    plain = show_corrupted(here, *cells)
    assert found.keys() == plain.keys()
    for key, cell in plain.items():
        np.testing.assert_array_equal(found[key].vectors, cell.vectors)
        np.testing.assert_array_equal(found[key].ok, cell.ok)
    assert len(pool.asked) == 2
    assert box.queries == len(probes) * len(plain)


@pytest.fixture
def passes(few, monkeypatch):
    """What makes long passes on two workers of this process, the ranges they were given, and what was told."""
    from fraudit.audit import long_passes as long
    from fraudit.cluster.engine import RayEngine
    from fraudit.progress import Progress

    monkeypatch.setattr("fraudit.cluster.engine.TASK", 2e5)
    monkeypatch.setattr(long, "LONG", 1e6)
    engine, told = RayEngine.__new__(RayEngine), []
    engine.pool, engine.threads = Here(Job(few, 1)), 1
    made = long.long_passes(
        engine, lambda label, total: Progress(label, total, lambda *now: told.append(now))
    )
    return made, engine.pool.asked, told


@pytest.mark.parametrize("tile", [None, (64, 32)])
def test_all_pairs_by_workers_are_those_of_this_process(passes, tile):
    from fraudit.stats.all_pairs import sweep
    from fraudit.stats.all_pairs_pieces import passes_by

    made, asked, told = passes
    rng = np.random.default_rng(3)
    unit = rng.standard_normal((700, 40))
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    people, ok = rng.integers(0, 90, 700), rng.random(700) < 0.9
    how = {"bins": 5000, "floor": 0.3, "tile": tile}
    here = sweep(unit, people, ok, **how)
    assert not asked
    with passes_by(made):
        there = sweep(unit, people, ok, **how)
        asked_for_long = len(asked)
        sweep(unit[:100], people[:100], **how)
    assert asked_for_long == len(asked) >= (1 if tile is None else 20)  # a short pass is made here
    assert told[0][1] == 0
    assert told[-1][1] == told[-1][2]
    for name in ("counts", "left", "right", "scores", "pairs"):
        np.testing.assert_array_equal(getattr(there, name), getattr(here, name))


def test_a_pass_on_workers_that_was_cut_off_goes_on_where_it_was(passes, tmp_path, monkeypatch):
    from fraudit.stats import pair_state
    from fraudit.stats.all_pairs import sweep
    from fraudit.stats.all_pairs_pieces import passes_by
    from tests.fixtures.plain_pairs import exact_rows

    made, asked, _ = passes
    monkeypatch.setattr(pair_state, "EVERY", 0.0)
    unit, people = exact_rows(700, 90)
    how = {"bins": 5000, "floor": 0.3, "tile": (64, 32), "state": tmp_path / "pairs.npz"}

    class Stop(Exception):
        pass

    def stop(scores):
        if len(asked) == 15:
            raise Stop

    with passes_by(made):
        with pytest.raises(Stop):
            sweep(unit, people, progress=stop, **how)
        asked.clear()
        found = sweep(unit, people, **how)
        rest = len(asked)
        asked.clear()
        whole = sweep(unit, people, **(how | {"state": None}))
        assert rest == len(asked) - 15
    for name in ("counts", "left", "right", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
