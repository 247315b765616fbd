"""The bundled synthetic set: its manifest, its pictures, and the models that must be able to read it."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from fraudit.errors import DataError
from fraudit.inverters.eigenfaces import fit_eigenfaces
from fraudit.types import ARCFACE_112

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "fraudit" / "data" / "sample" / "sample.zip"
HEADER = "path,subject,male,young,smiling,eyeglasses,le_x,le_y,re_x,re_y,nose_x,nose_y,ml_x,ml_y,mr_x,mr_y"


@pytest.fixture(scope="module")
def sample():
    with zipfile.ZipFile(SAMPLE) as archive:
        text = archive.read("manifest.csv").decode()
        assert text.splitlines()[0] == HEADER
        rows = list(csv.DictReader(io.StringIO(text)))
        names = set(archive.namelist()) - {"manifest.csv"}
        raw = {row["path"]: np.frombuffer(archive.read(row["path"]), np.uint8) for row in rows}
    assert names == set(raw)
    pictures = [cv2.imdecode(raw[row["path"]], cv2.IMREAD_COLOR)[..., ::-1] for row in rows]
    points = np.array([[float(v) for v in list(row.values())[6:]] for row in rows]).reshape(-1, 5, 2)
    return rows, np.array(pictures), points


def test_size_and_shape(sample):
    rows, pictures, _ = sample
    assert SAMPLE.stat().st_size <= 3_000_000
    assert pictures.shape == (360, 144, 144, 3)
    assert Counter(Counter(row["subject"] for row in rows).values()) == {6: 60}


def test_every_picture_is_its_own(sample):
    _, pictures, _ = sample
    assert len({picture.tobytes() for picture in pictures}) == 360


def test_groups_are_balanced_and_expression_varies_within_people(sample):
    rows, _, _ = sample
    people = {row["subject"]: (row["male"], row["young"]) for row in rows}
    assert Counter(people.values()) == {(m, y): 15 for m in "01" for y in "01"}
    assert all((row["male"], row["young"]) == people[row["subject"]] for row in rows)
    for name, low, high in (("smiling", 0.35, 0.65), ("eyeglasses", 0.1, 0.4)):
        values = np.array([int(row[name]) for row in rows]).reshape(60, 6)
        assert set(values.ravel()) == {0, 1}
        assert low <= values.mean() <= high
        varying = (values.min(1) != values.max(1)).sum()
        assert varying >= 8, f"{name} varies in {varying} people only"


def test_landmarks_lie_near_the_template(sample):
    _, _, points = sample
    assert np.abs(points - (ARCFACE_112 + 16)).max() < 20
    assert (points[:, 0, 0] < points[:, 1, 0]).all()
    assert (points[:, 3, 0] < points[:, 4, 0]).all()
    assert (points[:, :2, 1].max(1) < points[:, 3:, 1].min(1)).all()


def test_yunet_finds_every_face_where_declared(sample, shared_weights):
    _, pictures, points = sample
    detector = cv2.FaceDetectorYN.create(
        str(shared_weights / "yunet_n_dynamic.onnx"), "", (144, 144), 0.6, 0.3, 50
    )
    for picture, declared in zip(pictures, points, strict=True):
        found = detector.detect(np.ascontiguousarray(picture[..., ::-1]))[1]
        assert found is not None
        errors = np.abs(found[:, 4:14].reshape(-1, 5, 2) - declared).max((1, 2))
        assert errors.min() < 1


def test_dlib_finds_every_face(sample):
    dlib = pytest.importorskip("dlib")
    detector = dlib.get_frontal_face_detector()
    _, pictures, _ = sample
    missed = [i for i, p in enumerate(pictures) if not detector(np.ascontiguousarray(p), 0)]
    assert missed == []


def test_the_reader_opens_it(sample):
    from fraudit.faces.sources import open_faces

    rows, pictures, points = sample
    faces = open_faces("sample")
    assert len(faces) == 360
    assert faces.synthetic
    assert faces.identified
    assert len(np.unique(faces.subjects)) == 60
    at = {str(name): i for i, name in enumerate(faces.ids)}
    for i in (0, 77, 359):
        j = at[rows[i]["path"]]
        assert int(faces.attributes["male"][j]) == int(rows[i]["male"])
        np.testing.assert_allclose(faces.landmarks[j], points[i], atol=0.01)
        assert np.abs(faces.read(j).astype(int) - pictures[i]).mean() < 2  # decoders may round differently


def test_a_real_model_tells_the_people_apart(sample, shared_weights):
    """Cosines of MobileFaceNet; better than d' 3 and AUC 0.99, and not perfect by being copies."""
    onnxruntime = pytest.importorskip("onnxruntime")
    from sklearn.metrics import roc_auc_score

    from fraudit.faces.align import align

    rows, pictures, points = sample
    session = onnxruntime.InferenceSession(str(shared_weights / "mobilefacenet-photo.onnx"))
    vectors = []
    for picture, where in zip(pictures, points, strict=True):
        face = align(np.ascontiguousarray(picture), where.astype(np.float32), (112, 112), ARCFACE_112)
        tensor = ((face.astype(np.float32) - 127.5) / 128).transpose(2, 0, 1)[None]
        vectors.append(session.run(None, {"input": tensor})[0][0])
    unit = np.array(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    left, right = np.triu_indices(len(unit), 1)
    subject = np.array([row["subject"] for row in rows])
    score, same = np.einsum("ij,ij->i", unit[left], unit[right]), subject[left] == subject[right]
    genuine, impostor = score[same], score[~same]
    assert roc_auc_score(same, score) >= 0.99
    assert (genuine.mean() - impostor.mean()) / np.sqrt((genuine.var() + impostor.var()) / 2) >= 3
    assert genuine.mean() < 0.9


# -- eigenfaces ---------------------------------------------------------------------------------------------


def _pictures(rng, n=40, side=8):
    """Pictures in a known 3-dimensional space: mean 128, orthogonal patterns of deviation 40, 20 and 10."""
    patterns = np.linalg.qr(rng.standard_normal((side * side * 3, 3)))[0].T
    codes = np.linalg.qr(rng.standard_normal((n, 3)))[0]
    codes = (codes - codes.mean(0)) * np.array([40, 20, 10]) * np.sqrt(n)
    return (128 + codes @ patterns).reshape(n, side, side, 3).astype(np.float32)


def test_eigenfaces_match_an_exact_svd():
    images = _pictures(np.random.default_rng(0))
    model = fit_eigenfaces(images, 3, seed=1, mirror=False)
    flat = images.reshape(len(images), -1)
    exact = np.linalg.svd(flat - flat.mean(0), compute_uv=False)[:3] / np.sqrt(len(images))
    np.testing.assert_allclose(model.scale, exact, rtol=1e-4)
    assert model.explained == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(model.decode(model.encode(images)), images, atol=0.01)
    np.testing.assert_allclose(model.encode(images).std(0), 1, rtol=1e-3)


def test_mirrors_split_exactly():
    """The two half-picture fits equal one fit on the pictures and their mirrors."""
    images = _pictures(np.random.default_rng(2))
    split = fit_eigenfaces(images, 6, seed=1)
    plain = fit_eigenfaces(np.concatenate([images, images[:, :, ::-1]]), 6, seed=1, mirror=False)
    np.testing.assert_allclose(split.scale, plain.scale, rtol=1e-3)
    np.testing.assert_allclose(split.basis @ split.basis.T, np.eye(6), atol=1e-4)
    projector = split.basis.T @ split.basis
    np.testing.assert_allclose(projector, plain.basis.T @ plain.basis, atol=1e-3)


def test_eigenfaces_refuse_what_does_not_fit():
    images = _pictures(np.random.default_rng(3), n=5)
    with pytest.raises(DataError, match="cannot fit 10 eigenfaces"):
        fit_eigenfaces(images, 10, seed=0)
    model = fit_eigenfaces(images, 2, seed=0)
    with pytest.raises(DataError, match="expected pictures of shape"):
        model.encode(np.zeros((1, 9, 9, 3), np.float32))
