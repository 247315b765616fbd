"""A grid of corruptions asks the black box in whole batches, and each answer lands in its own cell."""

from __future__ import annotations

import numpy as np

from fraudit.audit.corrupted import corrupted_crop, show_corrupted, working_copy
from fraudit.perturb.catalogue import resolve
from tests.fixtures.boxes import identity_faces, luma_pattern
from tests.fixtures.contexts import planted_context


def test_grids_are_asked_in_whole_batches_and_every_answer_is_in_its_cell():
    images, subjects = identity_faces(30, 2, seed=3)
    sizes: list[int] = []

    def counted(faces: np.ndarray) -> np.ndarray:
        sizes.append(len(faces))
        return luma_pattern(faces)

    context = planted_context(images, subjects, counted)
    context.embeddings()
    sizes.clear()
    batch = context.embedder.loaded.batch_size
    probes, corruptions = list(range(0, 54, 2)), resolve(["grey", "jpeg", "landmark_jitter", "roll"])
    answers = show_corrupted(context, probes, corruptions, (1, 4), "picture", "test")
    assert len(probes) % batch
    assert set(sizes[:-1]) == {batch}
    assert sizes[-1] <= batch
    points = context.landmarks()[0]
    for corruption in corruptions:
        if corruption.domain == "landmarks":
            continue
        for severity in (1, 4):
            cell = answers[corruption.name, severity]
            assert cell.ok.all()
            for row in (0, 15, 16, len(probes) - 1):
                face = probes[row]
                copy = working_copy(context.picture(face), points[face], False)
                crop = context.aligned([face])[0][0]
                worse = corrupted_crop(context, corruption, severity, face, crop, copy, "test")
                expected = luma_pattern(worse[None])[0]
                expected /= np.linalg.norm(expected)
                assert np.abs(cell.vectors[row] - expected).max() < 1e-6


def test_a_face_that_is_not_found_again_has_no_answer_and_moves_no_other():
    images, subjects = identity_faces(12, 2, seed=4)
    lost = images[6].tobytes()
    seen = {image.tobytes() for image in images}

    def locate(picture: np.ndarray) -> np.ndarray | None:
        from fraudit.perturb.base import template_landmarks

        known = picture.tobytes() in seen
        return None if not known and abs(float(picture.mean()) - mean) < 3 else template_landmarks(112, 112)

    mean = float(np.frombuffer(lost, np.uint8).mean())
    context = planted_context(images, subjects, luma_pattern, locate=locate)
    context.embeddings()
    answers = show_corrupted(context, list(range(10)), resolve(["grey"]), (5,), "picture", "test")
    cell = answers["grey", 5]
    assert not cell.ok[6]
    assert not cell.vectors[6].any()
    assert np.allclose(np.linalg.norm(cell.vectors[cell.ok], axis=1), 1, atol=1e-5)
