"""Similarity-only black boxes: cards, functions, budget, resume, and what an audit finds on planted people."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fraudit.audit.pair_scores import NEEDS_VECTORS as REASON
from fraudit.audit.plan import AuditPlan
from fraudit.audit.scoring import budget_text, prepare, run_scorer
from fraudit.cli.main import run
from fraudit.errors import ArtifactError, DataError, PluginError, UsageError
from fraudit.faces.readers import LANDMARK_COLUMNS
from fraudit.progress import Reporter
from fraudit.report.record import RunRecord
from fraudit.scorers.loading import BudgetSpent, ScoreCache, ScorerRuntime, load_scorer
from fraudit.types import LoadedScorer, ScorerSpec
from tests.fixtures.boxes import identity_faces, luma_pattern
from tests.fixtures.http_server import serve

PEOPLE, EACH = 72, 3
MODULE = '''
"""A scorer for tests: cosine of coarse luma, and how often it was asked."""
import numpy as np
from tests.fixtures.boxes import luma_pattern

asked = 0
stop_after = None


def compare(lefts, rights):
    global asked
    if stop_after is not None and asked >= stop_after:
        raise RuntimeError("the line is dead")
    asked += len(lefts)
    a, b = luma_pattern(lefts), luma_pattern(rights)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


compare.name = "luma"
compare.input = "aligned"
compare.cost_per_query = 0.01
compare.currency = "EUR"


def wrong(lefts, rights):
    return [0.5]
'''


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The module, importable; its folder is the working directory and holds the cache."""
    (tmp_path / "luma_box.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    sys.modules.pop("luma_box", None)
    import importlib

    yield importlib.import_module("luma_box")
    sys.modules.pop("luma_box", None)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Planted people as a folder of aligned PNG files with a manifest that declares their landmarks."""
    from fraudit.types import ARCFACE_112

    images, subjects = identity_faces(PEOPLE, EACH, seed=2, within=0.35)
    folder = tmp_path / "faces"
    folder.mkdir()
    names = LANDMARK_COLUMNS
    points = ",".join(f"{v:.3f}" for v in ARCFACE_112.ravel())
    lines = ["path,subject,gender," + ",".join(names)]
    for i, (image, s) in enumerate(zip(images, subjects, strict=True)):
        Image.fromarray(image).save(folder / f"{i:03d}.png")
        lines.append(f"{i:03d}.png,{s},{'woman' if s % 2 else 'man'},{points}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv"


SMALL = {
    "scorer": {
        "verification": "400",
        "calibration": "320",
        "probes": "8",
        "severities": "5",
        "corruptions": "gaussian_noise,gaussian_blur",
        "group_pairs": "60",
    }
}


def _prepare(manifest: Path, out: Path, max_queries: int | None = None, **changes):
    plan = AuditPlan("luma", str(manifest), params=SMALL, pictures="none", **changes)
    return prepare(plan, "python:luma_box:compare", out, max_queries)


def test_an_audit_by_scores_alone_runs_what_it_can_and_says_what_it_cannot(
    box, manifest: Path, tmp_path: Path
) -> None:
    prepared = _prepare(manifest, tmp_path / "run")
    assert box.asked == 0
    promised = prepared.budget.total_new
    assert "EUR" in budget_text(prepared)
    record = run_scorer(prepared)
    assert box.asked == prepared.runtime.queries == promised
    status = {r.name: (r.status, r.reason) for r in record.results}
    assert {n for n, (s, _) in status.items() if s == "done"} == {"verification", "robustness", "bias"}
    assert all(reason == REASON for s, reason in status.values() if s == "not_run")
    # planted: clean pictures of a person are alike, strangers are not; noise of severity 5 hides nobody's coarse luma
    assert record.metric("verification.auc").value > 0.95
    assert record.metric("robustness.fnmr.gaussian_blur.5").n == 8
    assert {m.group for m in record.metrics() if m.name == "bias.gender.fnmr"} == {"man", "woman"}
    assert record.inputs["embedder"]["queries"] == promised
    assert RunRecord.load(tmp_path / "run").status == "complete"


def test_scores_are_those_of_the_box_pair_by_pair(box, manifest: Path, tmp_path: Path) -> None:
    from fraudit.scores import read_run_scores

    run_scorer(_prepare(manifest, tmp_path / "run", only=("verification",)))
    found = read_run_scores(tmp_path / "run" / "scores.csv")
    images, _ = identity_faces(PEOPLE, EACH, seed=2, within=0.35)
    vectors = luma_pattern(list(images))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [[int(Path(str(n)).stem) for n in side] for side in (found.left, found.right)]
    assert np.allclose((vectors[rows[0]] * vectors[rows[1]]).sum(1), found.score, atol=2e-3)


def test_a_second_audit_asks_nothing_and_a_dead_line_loses_nothing(
    box, manifest: Path, tmp_path: Path
) -> None:
    total = _prepare(manifest, tmp_path / "run").budget.total_new
    box.stop_after = total // 2
    with pytest.raises(PluginError, match="the line is dead"):
        run_scorer(_prepare(manifest, tmp_path / "run"))
    assert 0 < box.asked < total
    before, box.stop_after = box.asked, None
    again = _prepare(manifest, tmp_path / "run")
    assert again.budget.total_new == total - before
    run_scorer(again, overwrite=True)
    assert box.asked == total
    assert _prepare(manifest, tmp_path / "other").budget.total_new == 0


def test_the_budget_is_kept_and_a_smaller_one_asks_a_part_of_the_larger(
    box, manifest: Path, tmp_path: Path
) -> None:
    from fraudit.audit.asking import keys_of

    full = _prepare(manifest, tmp_path / "run")
    half = _prepare(manifest, tmp_path / "run", full.budget.total // 2)
    assert 0.3 < half.budget.share < 0.7
    assert half.budget.total <= full.budget.total // 2
    keys = [
        {
            key
            for name, keys in keys_of(p.asking, p.pictures, p.runtime).items()
            if name != "robustness"
            for key in keys
        }
        for p in (half, full)
    ]
    assert keys[0] < keys[1]
    run_scorer(half)
    assert box.asked <= full.budget.total // 2
    with pytest.raises(UsageError, match="still") as error:
        _prepare(manifest, tmp_path / "x", 3)
    least = int(error.value.hint.split()[1].rstrip(","))
    assert 3 < least < full.budget.total // 20
    assert _prepare(manifest, tmp_path / "x", least).budget.total <= least  # the number that is named works
    with pytest.raises(UsageError, match="still"):
        _prepare(manifest, tmp_path / "x", least - 1)


def test_what_is_told_of_queries_adds_up_to_what_the_record_has(box, manifest: Path, tmp_path: Path) -> None:
    prepared, said = _prepare(manifest, tmp_path / "run"), []
    parts = {name: new for name, (_, new) in prepared.budget.parts.items()}
    record = run_scorer(prepared, reporter=Reporter(said.append, lambda *_: None))
    before = next(line for line in said if line.startswith("before the analyses: "))
    assert before == f"before the analyses: {parts['verification']:,} pairs asked"  # the protocol's
    counts = [
        int(n.replace(",", "")) for line in said for n in re.findall(r"([\d,]+) pairs asked(?! in)", line)
    ]
    assert sum(counts) == record.inputs["embedder"]["queries"]
    assert said[-1] == f"pairs asked in all: {record.inputs['embedder']['name']} {sum(counts):,}"


def test_the_command_shows_the_price_first(box, manifest: Path, tmp_path: Path, capsys) -> None:
    base = [
        "analyze",
        "--scorer",
        "python:luma_box:compare",
        "--dataset",
        str(manifest),
        "--only",
        "verification",
    ]
    base += ["--param", "scorer.verification=300", "--param", "scorer.calibration=320"]
    assert run([*base, "--dry-run"]) == 0
    assert "new queries" in capsys.readouterr().out
    assert box.asked == 0
    assert run([*base, "--out", str(tmp_path / "run"), "--quiet"]) == 0
    assert "report:" in capsys.readouterr().out
    assert run([*base, "--embedder", "dlib"]) == 2
    assert run(["analyze", "--max-queries", "3", "--dry-run", "--embedder", "dlib"]) == 2
    assert run([*base, "--param", "robustness.probes=3"]) == 2
    assert "scorer.*" in capsys.readouterr().err


def test_wrong_scorers_are_refused(box, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="unknown scorer"):
        load_scorer("pyhton:luma_box:compare")
    with pytest.raises(PluginError, match="no 'comapre'"):
        load_scorer("python:luma_box:comapre")
    with pytest.raises(ArtifactError, match=r"no card none\.toml, looked for in /"):
        load_scorer(str(tmp_path / "none.toml"))
    picture = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(DataError, match=r"answers the shape \(1,\) for 2 pairs"):
        load_scorer("python:luma_box:wrong").score([picture] * 2, [picture] * 2)


def _runtime(tmp_path: Path, **spec) -> tuple[ScorerRuntime, list[int]]:
    calls: list[int] = []

    def score(lefts, rights):
        calls.append(len(lefts))
        return np.array([float(a[0, 0, 0]) - float(b[0, 0, 0]) for a, b in zip(lefts, rights, strict=True)])

    loaded = LoadedScorer(ScorerSpec("toy", batch_size=2, **spec), score, "0" * 64)
    return ScorerRuntime(loaded, tmp_path, 3), calls


def _picture(digest: str) -> np.ndarray:
    return np.full((2, 2, 3), ord(digest), np.uint8)


def test_a_symmetric_box_is_asked_one_way_and_distances_are_turned(tmp_path: Path) -> None:
    runtime, calls = _runtime(tmp_path / "a")
    assert runtime.score([("a", "c"), ("c", "a"), ("a", "c")], _picture).tolist() == [-2.0] * 3
    assert calls == [1]
    turned, calls = _runtime(tmp_path / "b", symmetric=False, distance=True)
    assert turned.score([("a", "c"), ("c", "a")], _picture).tolist() == [2.0, -2.0]
    assert calls == [2]


def test_nothing_is_asked_beyond_the_budget(tmp_path: Path) -> None:
    runtime, calls = _runtime(tmp_path)
    runtime.score([("a", "b"), ("a", "c")], _picture)
    with pytest.raises(BudgetSpent, match="2 more queries are needed, 1 of 3 are left"):
        runtime.score([("a", "d"), ("a", "e"), ("a", "b")], _picture)
    assert calls == [2]


def test_no_face_is_remembered_too(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path / "s.sqlite")
    cache.put({"a": 0.25, "b": float("nan")})
    cache.close()
    found = ScoreCache(tmp_path / "s.sqlite").get(["a", "b", "c"])
    assert found["a"] == 0.25
    assert np.isnan(found["b"])
    assert "c" not in found


@pytest.fixture
def service():
    """A comparing service on this machine: answers the difference of mean luma; `null` for black pictures."""
    seen: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({"auth": self.headers.get("Authorization"), **body})
            pictures = [
                np.asarray(Image.open(io.BytesIO(base64.b64decode(body[k]["image"])))).mean()
                for k in ("one", "two")
            ]
            score = None if 0 in pictures else abs(pictures[0] - pictures[1])
            answer = json.dumps({"result": {"distance": score}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serve(server)
    yield f"http://127.0.0.1:{server.server_port}/compare", seen
    server.shutdown()
    server.server_close()


def _card(tmp_path: Path, url: str, extra: str = "") -> str:
    path = tmp_path / "vendor.toml"
    path.write_text(
        f'kind = "http"\nname = "vendor"\nurl = "{url}"\nauth_env = "VENDOR_KEY"\nleft_key = "one"\nright_key = "two"\n'
        f'image_key = "image"\nresponse = "result.distance"\ndistance = true\ncost_per_query = 0.5\n{extra}'
    )
    return str(path)


def test_a_card_describes_a_comparing_service(
    tmp_path: Path, service, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, seen = service
    monkeypatch.setenv("VENDOR_KEY", "s3cret")
    loaded = load_scorer(_card(tmp_path, url))
    light, dark, black = (np.full((9, 7, 3), v, np.uint8) for v in (200, 150, 0))
    found = loaded.score([light, light], [dark, black])
    assert found[0] == pytest.approx(50, abs=0.5)
    assert np.isnan(found[1])
    assert seen[0]["auth"] == "Bearer s3cret"
    runtime = ScorerRuntime(loaded, tmp_path / "cache")
    assert runtime.score([("l", "d")], lambda d: {"l": light, "d": dark}[d])[0] == pytest.approx(-50, abs=0.5)
    assert "s3cret" not in repr(loaded.spec)
    runtime.close()


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ('inptu = "picture"', "unknown key 'inptu'"),
        ('input = "aligend"', "input must be picture or aligned"),
        ("batch_size = 4", "one pair a request"),
        ('request = "npy"', "json or multipart"),
        ("symmetric = 1", "true or false"),
        ('input = "aligned"\nsize = [1, 2]', "size is"),
    ],
)
def test_a_wrong_card_names_its_key(tmp_path: Path, extra: str, expected: str, monkeypatch) -> None:
    monkeypatch.setenv("VENDOR_KEY", "s3cret")
    with pytest.raises(UsageError, match=expected):
        load_scorer(_card(tmp_path, "http://127.0.0.1:9/compare", extra))


def test_a_set_that_names_nobody_is_asked_about_its_declared_pairs_alone(box, tmp_path: Path) -> None:
    import pickle

    people, each = 40, 12
    images, _ = identity_faces(people, each, seed=4, within=0.35)
    rows = np.arange(len(images)).reshape(people, each)
    genuine = rows[:, : each // 2].reshape(-1, 2)
    strangers = np.stack([rows[:20, each // 2 :].ravel(), rows[20:, each // 2 :].ravel()], axis=1)
    pairs = np.concatenate([genuine, strangers])
    same = [True] * len(genuine) + [False] * len(strangers)
    order = np.random.default_rng(0).permutation(len(pairs))
    encoded = []
    for face in pairs[order].ravel():
        buffer = io.BytesIO()
        Image.fromarray(images[face]).save(buffer, "PNG")
        encoded.append(buffer.getvalue())
    (tmp_path / "set.bin").write_bytes(pickle.dumps((encoded, [same[i] for i in order])))
    params = {"scorer": {**SMALL["scorer"], "probes": "40"}}
    plan = AuditPlan("luma", str(tmp_path / "set.bin"), params=params, pictures="none")
    prepared = prepare(plan, "python:luma_box:compare", tmp_path / "run")
    declared = {*zip(prepared.faces.pairs.left, prepared.faces.pairs.right, strict=True)}
    assert len(prepared.asking.calibration[0]) == 0
    probes = prepared.asking.questions["robustness"].probes
    assert {*zip(probes.probes[probes.row], probes.enrolled, strict=True)} <= declared
    record = run_scorer(prepared)
    status = {r.name: r.status for r in record.results}
    assert (status["verification"], status["robustness"], status["bias"]) == ("done", "done", "not_run")
    metrics = {m.name: m for m in record.metrics()}
    assert metrics["verification.eer"].n == len(pairs)
    threshold = metrics["verification.threshold@fmr=1e-1"]
    assert threshold.n < len(strangers)
    # Strangers' pictures of one person are nearer to each other than this: all cross pairs would have put it higher.
    assert metrics["verification.fnmr@fmr=1e-1"].value < 0.02
    fewer = [line for line in (tmp_path / "run" / "scores.csv").read_text().splitlines() if line]
    assert len(fewer) == len(pairs) + 1
