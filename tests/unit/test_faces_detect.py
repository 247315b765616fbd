"""Detectors, the choice among several faces, and landmarks remembered by content."""

import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from fraudit.errors import DataError, PluginError, UsageError, WeightsError
from fraudit.faces import detect
from fraudit.faces.boxes import Detection, choose, non_maximum_suppression
from fraudit.faces.detect import LandmarkCache, Locator, default_detector, locate, locate_in, open_detector
from fraudit.faces.scrfd import decode_outputs
from fraudit.faces.sources import open_faces
from fraudit.types import ARCFACE_112, FaceSet
from tests.fixtures.yunet import eye_distance, yunet


def face(x, y, w, h, score=0.9):
    return Detection((x, y, w, h), ARCFACE_112 + np.float32([x, y]), score)


CENTRAL, LARGE, SURE = face(45, 45, 10, 10, 0.7), face(0, 0, 40, 40, 0.8), face(80, 80, 9, 9, 0.99)


@pytest.mark.parametrize(
    ("policy", "wanted"), [("most_central", CENTRAL), ("largest", LARGE), ("highest_score", SURE)]
)
def test_the_policy_decides_among_several_faces(policy, wanted):
    for order in ([CENTRAL, LARGE, SURE], [SURE, LARGE, CENTRAL]):
        assert choose(order, 100, 100, policy) is wanted


def test_equally_central_faces_go_to_the_larger():
    small, large = face(45, 45, 10, 10), face(40, 40, 20, 20)
    assert choose([small, large], 100, 100) is large


def test_an_unknown_policy_gets_a_suggestion():
    with pytest.raises(UsageError) as caught:
        Locator(Fake([]), policy="bigest")
    assert "largest" in caught.value.hint


def test_suppression_keeps_the_best_of_overlapping_boxes():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [20, 0, 30, 10], [2, 2, 4, 4]], float)
    scores = np.array([0.5, 0.9, 0.8, 0.7])
    # overlaps with box 1: box 0 has 80 / 100 = 0.8, box 3 has 4 / 80 = 0.05 of the union, 1 of the smaller
    assert non_maximum_suppression(boxes, scores, 0.5).tolist() == [1, 2, 3]
    assert non_maximum_suppression(boxes, scores, 0.85).tolist() == [1, 2, 3, 0]
    assert non_maximum_suppression(boxes, scores, 0.5, over="smaller").tolist() == [1, 2]
    assert non_maximum_suppression(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


class Fake:
    """Finds what it is told, and counts."""

    name = "fake"
    fingerprint = "fake-1"

    def __init__(self, found):
        self.found, self.calls, self.lock = found, 0, threading.Lock()

    def find(self, image):
        with self.lock:
            self.calls += 1
        return self.found(image) if callable(self.found) else self.found


def gray_set(shades, landmarks=None):
    def read(index):
        if shades[index] is None:
            raise DataError("truncated image")
        return bytes([shades[index]])

    return FaceSet(
        name="gray",
        ids=tuple(map(str, range(len(shades)))),
        subjects=np.arange(len(shades)),
        attributes={},
        landmarks=landmarks,
        pairs=None,
        digest="",
        read_bytes=read,
        decode=lambda data: np.full((100, 100, 3), data[0], np.uint8),
    )


def by_shade(image):
    """0: nobody; 1: one face; else several."""
    return {0: [], 1: [CENTRAL]}.get(int(image[0, 0, 0]), [LARGE, CENTRAL])


def test_locate_counts_failures_with_their_reasons_and_stops_at_none(tmp_path):
    faces = gray_set([1, 0, None, 2])
    steps = []
    found = locate(faces, detector=Fake(by_shade), cache=None, progress=lambda *step: steps.append(step))
    assert found.reasons == ("", "no face found", "truncated image", "")
    assert np.isfinite(found.points).all(axis=(1, 2)).tolist() == [True, False, False, True]
    np.testing.assert_array_equal(found.points[3], CENTRAL.landmarks)
    assert found.several == 1
    assert steps[-1] == (4, 4)


def test_answers_are_remembered_by_content_detector_and_policy(tmp_path):
    faces, fake = gray_set([1, 0, 2, 1]), Fake(by_shade)
    cache = LandmarkCache(tmp_path / "c.sqlite")
    first = locate(faces, detector=fake, cache=cache, workers=1)
    assert fake.calls == 3  # pictures 0 and 3 are the same bytes
    again = locate(faces, [3, 2, 1, 0], fake, cache=LandmarkCache(tmp_path / "c.sqlite"))
    assert fake.calls == 3
    np.testing.assert_array_equal(again.points, first.points[::-1])
    assert (again.reasons, again.several) == (first.reasons[::-1], 1)
    locate(faces, [2], fake, "largest", cache)
    assert fake.calls == 4
    fake.fingerprint = "fake-2"
    locate(faces, [2], fake, cache=cache)
    assert fake.calls == 5


def test_remembered_pictures_are_not_decoded_again(tmp_path):
    cache, fake = LandmarkCache(tmp_path / "c.sqlite"), Fake(by_shade)
    locate(gray_set([1]), detector=fake, cache=cache)
    broken = gray_set([1])
    object.__setattr__(broken, "decode", lambda data: pytest.fail("decoded"))
    assert locate(broken, detector=fake, cache=cache).reasons == ("",)


def refuse(_data):
    pytest.fail("decoded")


def test_scores_are_remembered_with_the_points_to_the_last_bit(tmp_path):
    exact = 0.1 + 0.2 + 1e-16
    fake = Fake(
        lambda image: {0: [], 1: [face(45, 45, 10, 10, exact)]}.get(int(image[0, 0, 0]), [LARGE, CENTRAL])
    )
    faces = gray_set([1, 0, 2])
    locate(faces, detector=fake, cache=LandmarkCache(tmp_path / "c.sqlite"))
    assert fake.calls == 3
    locator = Locator(fake, cache=LandmarkCache(tmp_path / "c.sqlite"))
    found = [locator.score(faces.read_bytes(i), refuse) for i in range(3)]
    np.testing.assert_array_equal(found, [exact, np.nan, CENTRAL.score])
    assert fake.calls == 3


def test_a_score_that_is_asked_for_first_remembers_the_points(tmp_path):
    faces, fake = gray_set([1]), Fake(by_shade)
    locator = Locator(fake, cache=LandmarkCache(tmp_path / "c.sqlite"))
    assert locator.score(faces.read_bytes(0), faces.decode) == CENTRAL.score
    known = locator.remembered(faces.read_bytes(0))
    np.testing.assert_array_equal(known.points, CENTRAL.landmarks)
    assert fake.calls == 1


def test_a_memory_from_before_scores_keeps_its_points_and_learns_the_score_once(tmp_path):
    faces, fake, path = gray_set([1, 0]), Fake(by_shade), tmp_path / "c.sqlite"
    keys = [Locator(fake, cache=None).key(faces.read_bytes(i)) for i in range(2)]
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE landmarks (key TEXT PRIMARY KEY, points BLOB NOT NULL, faces INT NOT NULL)")
    rows = [(keys[0], CENTRAL.landmarks.astype("<f4").tobytes(), 1), (keys[1], b"", 0)]
    old.executemany("INSERT INTO landmarks VALUES (?, ?, ?)", rows)
    old.commit()
    old.close()
    locator = Locator(fake, cache=LandmarkCache(path))
    np.testing.assert_array_equal(locator.remembered(faces.read_bytes(0)).points, CENTRAL.landmarks)
    assert np.isnan(locator.score(faces.read_bytes(1), refuse))  # no face: there is no score to learn
    assert fake.calls == 0
    assert locator.score(faces.read_bytes(0), faces.decode) == CENTRAL.score
    again = Locator(fake, cache=LandmarkCache(path))
    assert again.score(faces.read_bytes(0), refuse) == CENTRAL.score
    assert fake.calls == 1


def test_an_old_memory_that_cannot_be_written_still_tells_its_points(tmp_path, monkeypatch):
    faces, fake, path = gray_set([1]), Fake(by_shade), tmp_path / "c.sqlite"
    key = Locator(fake, cache=None).key(faces.read_bytes(0))
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE landmarks (key TEXT PRIMARY KEY, points BLOB NOT NULL, faces INT NOT NULL)")
    old.execute("INSERT INTO landmarks VALUES (?, ?, 1)", (key, CENTRAL.landmarks.astype("<f4").tobytes()))
    old.commit()
    old.close()
    monkeypatch.setattr(
        detect, "open_table", lambda file, _: sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    )
    locator = Locator(fake, cache=LandmarkCache(path))
    np.testing.assert_array_equal(locator.remembered(faces.read_bytes(0)).points, CENTRAL.landmarks)
    assert fake.calls == 0
    assert locator.score(faces.read_bytes(0), faces.decode) == CENTRAL.score


def test_decoded_pictures_are_asked_about_together_and_remembered_by_their_pixels(tmp_path):
    fake, cache = Fake(by_shade), LandmarkCache(tmp_path / "c.sqlite")
    pictures = [np.full((100, 100, 3), shade, np.uint8) for shade in (1, 0, 2)]
    first = locate_in(Locator(fake, cache=cache), pictures)
    assert [found.reason for found in first] == ["", "no face found", ""]
    again = locate_in(Locator(fake, cache=cache), [*pictures[::-1], np.full((100, 100, 3), 1, np.uint8) + 2])
    assert fake.calls == 4
    assert [found.reason for found in again] == ["", "no face found", "", ""]
    np.testing.assert_array_equal(again[2].points, first[0].points)
    plain = locate_in(lambda index, data, picture: (index, len(data), picture.shape), pictures[:1])
    assert plain == [(-1, 30_000, (100, 100, 3))]


def test_a_full_or_locked_memory_costs_nothing_but_time(tmp_path):
    path = tmp_path / "c.sqlite"
    cache = LandmarkCache(path)
    cache._db.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    locator = Locator(Fake(by_shade), cache=cache)
    faces = gray_set([1])
    assert locator(0, faces.read_bytes(0), faces.read(0)).points is not None
    other.execute("ROLLBACK")
    assert locator.remembered(faces.read_bytes(0)) is None  # it could not be written then
    locator(0, faces.read_bytes(0), faces.read(0))
    assert locator.remembered(faces.read_bytes(0)) is not None  # and can be now


def test_a_damaged_cache_is_begun_anew(tmp_path):
    path = tmp_path / "c.sqlite"
    path.write_bytes(b"this is no database, but it is long enough to be taken for one" * 20)
    assert locate(gray_set([1]), detector=Fake(by_shade), cache=LandmarkCache(path)).reasons == ("",)
    assert sqlite3.connect(path).execute("SELECT COUNT(*) FROM landmarks").fetchone() == (1,)


def test_declared_landmarks_need_no_detector(monkeypatch):
    monkeypatch.setattr(detect, "open_detector", lambda *_: pytest.fail("a detector was opened"))
    points = np.stack([ARCFACE_112, np.full((5, 2), np.nan, np.float32)])
    found = locate(gray_set([1, 1], points))
    assert found.reasons == ("", "no landmarks declared")
    np.testing.assert_array_equal(found.points, points)


def test_points_that_are_not_finite_are_no_face():
    bad = Detection((0, 0, 9, 9), np.full((5, 2), np.nan, np.float32), 0.9)
    assert locate(gray_set([1]), detector=Fake([bad]), cache=None).reasons == ("no face found",)


def test_unknown_and_missing_detectors_say_what_to_do(monkeypatch, tmp_path):
    with pytest.raises(PluginError) as caught:
        open_detector("yunett")
    assert "did you mean 'yunet'?" in caught.value.hint
    monkeypatch.setattr(detect, "weights_folders", lambda: [tmp_path])
    monkeypatch.setattr(detect.Path, "home", lambda: tmp_path)
    with pytest.raises(WeightsError) as caught:
        open_detector("yunet")
    assert "yunet_n_dynamic.onnx" in caught.value.message
    monkeypatch.setattr(detect, "find_spec", lambda name: None)
    for name in ("dlib", "mtcnn"):
        with pytest.raises(PluginError, match="not installed"):
            open_detector(name)
    with pytest.raises(WeightsError, match="no face detector"):
        default_detector()


def test_the_default_is_yunet_where_its_model_is_else_dlib(monkeypatch, tmp_path):
    pytest.importorskip("dlib")
    monkeypatch.setattr(detect, "weights_folders", lambda: [tmp_path])
    assert default_detector() == "dlib"
    (tmp_path / "yunet_n_dynamic.onnx").write_bytes(b"there")
    assert default_detector() == "yunet"
    with pytest.raises(WeightsError, match="no YuNet model"):
        open_detector("yunet", tmp_path / "yunet_n_dynamic.onnx")


# -- SCRFD on planted outputs


def planted(input_px=640):
    """Nine outputs with one face at stride 16, cell (3, 2), and a weaker double one cell further."""
    outputs = []
    for width in (1, 4, 10):
        for stride in (8, 16, 32):
            outputs.append(np.zeros((2 * (input_px // stride) ** 2, width), np.float32))
    side = input_px // 16
    row, twin = 2 * (2 * side + 3) + 1, 2 * (2 * side + 4)
    for place, score in ((row, 0.9), (twin, 0.6)):
        outputs[1][place] = score
        outputs[4][place] = [1, 1, 2, 3]
        outputs[7][place] = np.arange(10) / 4
    outputs[4][twin, 0] = 2  # reaches back over the first
    return outputs


def test_scrfd_outputs_are_decoded_around_the_cell():
    found = decode_outputs(planted())
    assert len(found) == 1
    # the cell (column 3, row 2) of stride 16 lies at (48, 32): left 16, up 16, right 32, down 48
    assert found[0].box == (32.0, 16.0, 48.0, 64.0)
    wanted = np.array([48, 32]) + 16 * (np.arange(10) / 4).reshape(5, 2)
    np.testing.assert_allclose(found[0].landmarks, wanted, rtol=1e-6)
    assert found[0].score == pytest.approx(0.9)


def test_scrfd_takes_outputs_in_any_order_and_refuses_other_shapes():
    assert len(decode_outputs([array[None] for array in planted()[::-1]])) == 1
    with pytest.raises(WeightsError, match="no output of shape"):
        decode_outputs([array[:-1] for array in planted()])


def test_scrfd_maps_back_to_the_picture(tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    from fraudit.faces.scrfd import Scrfd

    nodes, outputs, constants = [], [], []
    for k, array in enumerate(planted()):
        constants.append(numpy_helper.from_array(array, f"c{k}"))
        nodes.append(helper.make_node("Add", [f"c{k}", "zero"], [f"o{k}"]))
        outputs.append(helper.make_tensor_value_info(f"o{k}", TensorProto.FLOAT, list(array.shape)))
    constants.append(numpy_helper.from_array(np.array([0], np.float32), "nought"))
    nodes.insert(0, helper.make_node("ReduceMax", ["input"], ["peak"], keepdims=0))
    nodes.insert(1, helper.make_node("Mul", ["peak", "nought"], ["zero"]))
    shape = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])
    graph = helper.make_graph(nodes, "planted", [shape], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path = tmp_path / "det_10g.onnx"
    onnx.save(model, path)
    (found,) = Scrfd(path).find(np.zeros((160, 320, 3), np.uint8))  # enlarged twice to 640 x 320
    assert found.box == pytest.approx((16, 8, 24, 32))
    np.testing.assert_allclose(found.landmarks[0], [24, 16 + 2], rtol=1e-6)
    path.write_bytes(b"no model")
    with pytest.raises(WeightsError, match="ONNX"):
        Scrfd(path)


# -- real faces


@pytest.fixture
def lfw(shared_data, monkeypatch):
    monkeypatch.setenv("FRAUDIT_DATA", str(shared_data))
    return open_faces("lfw")


def test_yunet_finds_lfw_faces_with_eyes_above_the_mouth(lfw, shared_weights):
    some = np.random.default_rng(0).choice(len(lfw), 200, replace=False)
    found = locate(lfw, some, yunet(shared_weights))
    ok = np.isfinite(found.points).all(axis=(1, 2))
    assert ok.mean() >= 0.99
    points = found.points[ok]
    assert (points[:, 0, 0] < points[:, 1, 0]).mean() > 0.98  # left eye first, as the viewer sees it
    assert (points[:, :2, 1].max(axis=1) < points[:, 3:, 1].min(axis=1)).all()
    assert np.median(eye_distance(points)) == pytest.approx(46, abs=8)  # deep-funneled: 42 px apart or so


def test_detectors_agree_between_threads(lfw, shared_weights):
    detector = yunet(shared_weights)
    some = list(range(0, 60, 3))
    one = locate(lfw, some, detector, cache=None, workers=1)
    four = locate(lfw, some, detector, cache=None, workers=4)
    np.testing.assert_array_equal(one.points, four.points)
    assert one.several == four.several


def agreement(lfw, detector, reference, count=60):
    """Median distance of the points in pixels of a face whose eyes are 35.2 px apart, and share found."""
    some = np.random.default_rng(7).choice(len(lfw), count, replace=False)
    theirs, ours = locate(lfw, some, reference, cache=None), locate(lfw, some, detector, cache=None)
    both = np.isfinite(theirs.points + ours.points).all(axis=(1, 2))
    apart = np.linalg.norm(theirs.points[both] - ours.points[both], axis=2)
    return np.median(apart / eye_distance(theirs.points[both])[:, None] * 35.24), both.mean()


def test_dlib_agrees_with_yunet_on_lfw(lfw, shared_weights):
    pytest.importorskip("dlib")
    apart, found = agreement(lfw, open_detector("dlib"), yunet(shared_weights))
    assert found >= 0.95
    assert apart < 4  # measured 2.9 px; eye corners taken for eye centres would give about 7


def test_mtcnn_agrees_with_yunet_on_lfw(lfw, shared_weights):
    if detect.missing("mtcnn"):
        pytest.skip(detect.missing("mtcnn"))
    apart, found = agreement(lfw, open_detector("mtcnn"), yunet(shared_weights), 20)
    assert found >= 0.95
    assert apart < 4


def test_dlib_points_of_the_mean_face_land_on_the_template():
    from fraudit.faces.dlib_hog import _FIVE, _MEAN, to_five_points

    turn = 1.7 * np.array([[0.8, -0.6], [0.6, 0.8]])
    there = to_five_points(_MEAN @ turn.T + [30, -9])
    np.testing.assert_allclose(there, _FIVE @ turn.T + [30, -9], rtol=1e-5)
    assert np.abs(_FIVE - ARCFACE_112).max() < 3.2  # fitted to faces that were laid on the template
    assert to_five_points(np.full((5, 2), 8.0)) is None


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = LandmarkCache(tmp_path / "file" / "c.sqlite")
    fake = Fake(by_shade)
    for _ in range(2):
        assert locate(gray_set([1]), detector=fake, cache=cache).reasons == ("",)
    assert fake.calls == 2
    cache.close()


def test_the_default_detector_follows_the_weights_that_are_there_now(
    shared_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process that first ran without YuNet's model went on with the other detector after it was given.
    pytest.importorskip("dlib")
    monkeypatch.setenv("FRAUDIT_WEIGHTS_HOME", str(tmp_path))
    monkeypatch.delenv("FRAUDIT_WEIGHTS", raising=False)
    first = open_detector().fingerprint
    monkeypatch.setenv("FRAUDIT_WEIGHTS", str(shared_weights))
    second = open_detector()
    assert second.fingerprint != first
    assert "yunet" in second.fingerprint.lower()
    assert open_detector() is second  # opened once
