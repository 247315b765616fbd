"""YuNet: its two looks, how they are put together, and OpenCV's own reading of the same model."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fraudit.faces import yunet_rows
from fraudit.faces.boxes import Detection, choose
from fraudit.faces.sources import open_faces
from fraudit.faces.yunet import YuNet, _detections, average_faces, unmirror
from fraudit.faces.yunet_rows import around
from tests.fixtures.yunet import eye_distance, yunet


@pytest.fixture
def lfw(shared_data, monkeypatch):
    monkeypatch.setenv("FRAUDIT_DATA", str(shared_data))
    return open_faces("lfw")


def test_yunet_follows_a_picture_that_is_enlarged_shrunk_or_padded(lfw, shared_weights):
    import cv2

    detector = yunet(shared_weights)
    for factor in (0.3, 4.0):
        size, apart = round(250 * factor), []
        for index in range(12):
            image = lfw.read(index)
            plain = choose(detector.find(image), 250, 250).landmarks
            moved = choose(detector.find(cv2.resize(image, (size, size))), size, size).landmarks / factor
            apart.append(np.abs(moved - plain).max() / eye_distance(plain[None])[0])
        assert np.median(apart) < 0.1  # the worst point; measured 0.06 and 0.09, one look alone 0.09 and 0.12
    assert detector.find(np.zeros((200, 300, 3), np.uint8)) == []
    assert detector.find(np.zeros((1, 1, 3), np.uint8)) == []


def test_yunet_answers_a_mirrored_picture_with_nearly_the_mirrored_points(lfw, shared_weights):
    detector = yunet(shared_weights)
    two, one = [], []
    for index in range(0, 60, 4):
        image = lfw.read(index)
        mirrored = np.ascontiguousarray(image[:, ::-1])
        plain = choose(detector.find(image), 250, 250)
        other = unmirror(choose(detector.find(mirrored), 250, 250), 250)
        two.append(np.linalg.norm(other.landmarks - plain.landmarks, axis=1).mean())
        looks = [yunet_look(detector, picture) for picture in (image, mirrored)]
        one.append(np.linalg.norm(unmirror(looks[1], 250).landmarks - looks[0].landmarks, axis=1).mean())
    assert np.mean(two) < 1  # measured 0.60 px over 200 pictures
    assert np.mean(one) > 2  # one look alone: 2.9 px


def yunet_look(detector, picture):
    ((rows, _),) = detector._look([picture], [False], 0.6)
    return choose(_detections(rows, np.float32([1, 1]), 0), *picture.shape[:2])


def test_a_mirrored_look_near_the_faces_says_what_one_at_the_whole_picture_says(lfw, shared_weights):
    detector = yunet(shared_weights)
    apart, found = [], []
    for index in range(0, 160, 4):
        image = lfw.read(index)
        whole = unmirror(yunet_look(detector, np.ascontiguousarray(image[:, ::-1])), 250)
        both = (yunet_look(detector, image).landmarks + whole.landmarks) / 2
        faces = detector.find(image)
        found.append(len(faces))
        apart.append(np.linalg.norm(choose(faces, 250, 250).landmarks - both, axis=1).mean())
    assert np.mean(apart) < 0.5  # measured 0.42 px over 500 pictures
    assert min(found) >= 1


def test_the_mirrored_look_is_at_whole_blocks_round_all_faces():
    rows = np.zeros((2, 15), np.float32)
    rows[:, :4] = [[300, 100, 40, 40], [380, 200, 40, 80]]
    down, across = around(rows, 500, 600, 0.25)
    # mirrored they span 600 - 420 .. 600 - 300, with a quarter of a box more on either side 170 .. 310
    assert (across.start, across.stop) == (160, 320)
    assert (down.start, down.stop) == (64, 320)
    rows[0, :4] = [-20, -10, 640, 505]  # larger than the picture, whose sides are no multiples
    assert around(rows, 500, 600, 0.25) == (slice(0, 500), slice(0, 600))
    rows[:, :4] = [900, 900, 10, 10]  # outside of it
    assert around(rows, 500, 600, 0.25) == (slice(0, 500), slice(0, 600))
    assert around(rows[:0], 500, 600, 0.25) == (slice(0, 500), slice(0, 600))


def test_a_small_face_far_from_the_edge_is_where_two_looks_at_the_whole_picture_see_it(lfw, shared_weights):
    detector = yunet(shared_weights)
    for index, (top, left) in enumerate([(40, 310), (350, 64), (200, 200)]):
        picture = np.full((600, 560, 3), 90, np.uint8)
        picture[top : top + 250, left : left + 250] = lfw.read(index)
        whole = unmirror(yunet_look(detector, np.ascontiguousarray(picture[:, ::-1])), 560)
        both = (yunet_look(detector, picture).landmarks + whole.landmarks) / 2
        (face,) = detector.find(picture)
        assert np.linalg.norm(face.landmarks - both, axis=1).mean() < 1.5


def test_yunet_says_in_onnxruntime_what_opencv_says_of_the_same_model(lfw, shared_weights):
    import cv2

    detector = yunet(shared_weights)
    assert detector._session is not None
    pictures = [lfw.read(index) for index in range(0, 30, 3)]
    pictures += [
        pictures[0][:101, :133],
        cv2.resize(pictures[1], (900, 700)),
        np.concatenate(pictures[:3], axis=1),
    ]
    for picture in pictures:
        for seen in (picture, np.ascontiguousarray(picture[:, ::-1])):
            for least in (0.3, 0.6):
                ((ours, _),) = detector._look([seen], [False], least)
                theirs = detector._by_opencv(seen, least)
                assert len(ours) == len(theirs)
                np.testing.assert_allclose(ours, theirs, atol=5e-3)


def test_several_pictures_at_a_time_are_told_what_each_is_told_alone(lfw, shared_weights):
    detector = yunet(shared_weights)
    pictures = [lfw.read(index) for index in range(3)]
    pictures += [
        np.zeros((40, 300, 3), np.uint8),
        pictures[0][60:200, 60:190],
        np.concatenate(pictures, axis=1),
    ]
    together = detector.find_many(pictures)
    assert [len(faces) for faces in together][3:] == [0, 1, 3]
    for faces, picture in zip(together, pictures, strict=True):
        alone = detector.find(picture)
        assert [(f.box, f.score) for f in faces] == [(f.box, f.score) for f in alone]
        for one, other in zip(faces, alone, strict=True):
            np.testing.assert_array_equal(one.landmarks, other.landmarks)
    assert detector.find_many([]) == []


def test_a_second_look_without_fine_cells_says_the_same_where_the_first_needs_none(
    lfw, shared_weights, monkeypatch
):
    detector = yunet(shared_weights)
    pictures, without = [lfw.read(index) for index in range(0, 120, 5)], []
    inner = detector._look
    monkeypatch.setattr(
        detector,
        "_look",
        lambda seen, coarse, least: without.append(sum(coarse)) or inner(seen, coarse, least),
    )
    fast = detector.find_many(pictures)
    assert without[0] == 0
    assert without[1] > 12  # measured 434 of 500
    monkeypatch.setattr(detector, "_coarse", None)
    for some, all_of_it in zip(fast, detector.find_many(pictures), strict=True):
        assert [(f.box, f.score) for f in some] == [(f.box, f.score) for f in all_of_it]
        for one, other in zip(some, all_of_it, strict=True):
            np.testing.assert_array_equal(one.landmarks, other.landmarks)


def test_a_model_of_one_size_is_looked_at_through_opencv_and_says_the_same(lfw, shared_weights, tmp_path):
    import onnx

    free = yunet(shared_weights)
    model = onnx.load(str(shared_weights / "yunet_n_dynamic.onnx"))
    for axis, size in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 3, 320, 320), strict=True):
        axis.dim_value = size
    onnx.save(model, str(tmp_path / "fixed.onnx"))
    fixed = YuNet(tmp_path / "fixed.onnx")
    assert (free._session is None, fixed._session is None) == (False, True)
    for index in range(0, 24, 4):
        one, other = free.find(lfw.read(index)), fixed.find(lfw.read(index))
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a.landmarks, b.landmarks, atol=5e-3)
            np.testing.assert_allclose(a.score, b.score, atol=1e-4)


def test_the_networks_input_is_black_beyond_the_picture_whatever_was_seen_before(monkeypatch):
    rng = np.random.default_rng(0)
    for kept in (yunet_rows.KEPT_BYTES, 0):
        monkeypatch.setattr(yunet_rows, "KEPT_BYTES", kept)
        for height, width in [(250, 250), (230, 250), (250, 250), (256, 224), (230, 250)]:
            picture = rng.integers(1, 256, (height, width, 3), dtype=np.uint8)
            made = yunet_rows.network_input(picture)
            assert made.shape == (1, 3, 256, -(-width // 32) * 32)
            np.testing.assert_array_equal(made[0, :, :height, :width], picture[:, :, ::-1].transpose(2, 0, 1))
            assert not made[:, :, height:].any()
            assert not made[:, :, :, width:].any()
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(yunet_rows.network_input, picture).result()
    assert not np.shares_memory(made, theirs)


def square_face(x, y, side, score, turn=0.0):
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    return Detection((x, y, side, side), (points * side + [x + turn, y]).astype(np.float32), score)


def test_faces_of_two_looks_are_averaged_and_those_of_one_look_are_kept():
    one = [square_face(10, 20, 100, 0.9), square_face(200, 20, 50, 0.7)]
    other = [square_face(300, 0, 40, 0.65), square_face(14, 20, 100, 0.8, turn=2.0)]
    both = average_faces(one, other)
    assert [round(f.score, 3) for f in both] == [0.85, 0.7, 0.65]
    assert both[0].box == (12, 20, 100, 100)
    np.testing.assert_allclose(both[0].landmarks, one[0].landmarks + np.float32([3, 0]))  # half of 4 + 2
    assert both[1:] == [one[1], other[0]]
    assert average_faces([], other) == other
    assert average_faces(one, []) == one


def test_each_face_has_at_most_one_mate_the_one_it_overlaps_most():
    one = [square_face(0, 0, 100, 0.9), square_face(30, 0, 100, 0.8)]
    both = average_faces(one, [square_face(25, 0, 100, 0.7)])
    assert len(both) == 2
    assert both[0] is one[0]
    assert both[1].box == (27.5, 0, 100, 100)


def test_a_face_mirrored_twice_is_itself_and_left_and_right_change_places():
    first = square_face(10, 20, 100, 0.9)
    once = unmirror(first, 250)
    assert once.box == (140, 20, 100, 100)
    assert once.landmarks[0, 0] < once.landmarks[1, 0]
    assert once.landmarks[3, 0] < once.landmarks[4, 0]
    np.testing.assert_allclose(once.landmarks[0], [250 - first.landmarks[1, 0], first.landmarks[1, 1]])
    np.testing.assert_allclose(unmirror(once, 250).landmarks, first.landmarks)
