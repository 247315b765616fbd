"""The embedding runtime: counted, cached, checked; survives kill -9."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from fraudit.embedding.runtime import NOT_FINITE, ZERO, EmbedderRuntime
from fraudit.errors import DataError, UsageError
from fraudit.files.store import Store
from fraudit.types import ARCFACE_112, EmbedderSpec, LoadedEmbedder, Located, Preprocess
from tests.fixtures.boxes import picture_set

SIZE = (112, 112)


def box(forward, dim: int = 4, name: str = "box", unit: bool = False, batch: int = 3) -> LoadedEmbedder:
    spec = EmbedderSpec(name, dim, Preprocess(SIZE, ARCFACE_112), "", "", unit_after_fusion=unit)
    return LoadedEmbedder(spec, forward, "0" * 64, batch_size=batch)


def quarters(images: np.ndarray) -> np.ndarray:
    """Mean of each quarter of the picture: changes when mirrored."""
    x = images.astype(np.float32).mean(axis=3)
    return np.stack([x[:, a : a + 56, b : b + 56].mean((1, 2)) for a in (0, 56) for b in (0, 56)], 1) + 1


def test_a_second_run_embeds_nothing_and_another_model_shares_nothing(tmp_path: Path) -> None:
    faces, store = picture_set(10), Store(tmp_path)
    first = EmbedderRuntime(box(quarters), store)
    one = first.embed_faces(faces)
    assert (first.queries, one.ok.all()) == (10, True)
    second = EmbedderRuntime(box(quarters), store)
    two = second.embed_faces(faces)
    assert second.queries == 0
    np.testing.assert_array_equal(one.vectors, two.vectors)
    other = EmbedderRuntime(box(quarters, name="other"), store)
    other.embed_faces(faces)
    assert other.queries == 10


def test_declared_landmarks_in_template_give_the_picture_itself_so_both_ways_agree(tmp_path: Path) -> None:
    faces = picture_set(5)
    runtime = EmbedderRuntime(box(quarters))
    np.testing.assert_allclose(
        runtime.embed_faces(faces).vectors, runtime.embed_faces(faces, aligned=True).vectors, atol=1e-3
    )


def test_flips_are_fused_as_stated() -> None:
    images = np.stack([picture_set(1).read(0)])
    plain, mirrored = quarters(images), quarters(images[:, :, ::-1])
    runtime = EmbedderRuntime(box(quarters))
    total = plain + mirrored
    np.testing.assert_allclose(
        runtime.embed_aligned(images, "sum").vectors, total / np.linalg.norm(total), rtol=1e-6
    )
    np.testing.assert_allclose(
        runtime.embed_aligned(images, "concat").vectors, np.concatenate([plain, mirrored], 1), rtol=1e-6
    )
    unit = EmbedderRuntime(box(quarters, unit=True)).embed_aligned(images).vectors
    np.testing.assert_allclose(unit, plain / np.linalg.norm(plain), rtol=1e-6)
    with pytest.raises(UsageError, match="unknown flip"):
        runtime.embed_aligned(images, "both")


def test_failures_are_counted_with_their_reason_and_stop_nothing(tmp_path: Path) -> None:
    def forward(images: np.ndarray) -> np.ndarray:
        answer = quarters(images)
        answer[answer[:, 0] > 128.4] = np.nan
        answer[answer[:, 1] > 128.6] = 0
        return answer

    faces = picture_set(40, broken=frozenset({3}))
    answer = EmbedderRuntime(box(forward), Store(tmp_path)).embed_faces(faces)
    kinds = {reason for reason in answer.reasons if reason}
    assert answer.reasons[3] == "truncated picture"
    assert kinds == {"truncated picture", NOT_FINITE, ZERO}
    assert not answer.vectors[~answer.ok].any()
    clean = quarters(np.stack([faces.read(i) for i in range(40) if i != 3]))
    assert answer.ok.sum() == np.sum((clean[:, 0] <= 128.4) & (clean[:, 1] <= 128.6))


def test_a_wrong_answer_shape_is_refused_with_the_files_name() -> None:
    runtime = EmbedderRuntime(box(lambda x: np.ones((len(x), 7), np.float32)))
    with pytest.raises(DataError, match=r"expected f32\[3, 4\] for 0\.png and others, found float32\[3, 7\]"):
        runtime.embed_faces(picture_set(3))


def test_an_undetected_face_is_a_failure_to_acquire() -> None:
    def locate(index: int, data: bytes, picture: np.ndarray) -> Located:
        return Located(None, "no face found") if index % 2 else Located(ARCFACE_112)

    answer = EmbedderRuntime(box(quarters)).embed_faces(picture_set(6, landmarks=False), locate=locate)
    assert answer.ok.tolist() == [True, False] * 3


def test_without_landmarks_and_detector_the_error_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="no detector was given"):
        EmbedderRuntime(box(quarters)).embed_faces(picture_set(2, landmarks=False))


KILLED = """
import sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, {tests!r})
from test_embedding import box, picture_set, quarters
from fraudit.embedding.runtime import NOT_FINITE, ZERO, EmbedderRuntime
from fraudit.files.store import Store

def slow(images):
    time.sleep(0.05)
    print("asked", len(images), flush=True)
    return quarters(images)

runtime = EmbedderRuntime(box(slow), Store(Path({store!r})))
runtime.embed_faces(picture_set(60))
print("done", runtime.queries, flush=True)
"""


def test_a_killed_run_repeats_at_most_the_batch_in_flight(tmp_path: Path) -> None:
    code = textwrap.dedent(KILLED).format(tests=str(Path(__file__).parent), store=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    asked = 0
    while asked < 15:
        asked += int(process.stdout.readline().split()[1])
    os.kill(process.pid, signal.SIGKILL)
    asked += sum(int(line.split()[1]) for line in process.stdout.read().splitlines() if line[:5] == "asked")
    process.wait(timeout=20)
    again = EmbedderRuntime(box(quarters), Store(tmp_path))
    answer = again.embed_faces(picture_set(60))
    assert answer.ok.all()
    assert 60 <= asked + again.queries <= 63  # batches of three


def test_two_processes_share_one_cache(tmp_path: Path) -> None:
    code = textwrap.dedent(KILLED).format(tests=str(Path(__file__).parent), store=str(tmp_path))
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in "ab"
    ]
    for process in running:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert "done" in out
    last = EmbedderRuntime(box(quarters), Store(tmp_path))
    last.embed_faces(picture_set(60))
    assert last.queries == 0


def test_memory_of_pictures_under_way_is_bounded() -> None:
    """No more pictures are decoded ahead than the window of four batches."""
    decoded, asked = [0], [0]

    def forward(images: np.ndarray) -> np.ndarray:
        time.sleep(0.01)
        asked[0] += len(images)
        ahead.append(decoded[0] - asked[0])
        return quarters(images)

    ahead: list[int] = []
    faces = picture_set(80)
    inner = faces.decode

    def decode(data: bytes) -> np.ndarray:
        decoded[0] += 1
        return inner(data)

    object.__setattr__(faces, "decode", decode)
    EmbedderRuntime(box(forward)).embed_faces(faces)
    assert max(ahead) <= 4 * 3 + 3


def test_a_box_whose_weights_cannot_be_known_is_never_answered_from_memory(tmp_path: Path) -> None:
    faces, store = picture_set(4), Store(tmp_path)
    unknown = dataclasses.replace(box(quarters), cacheable=False)
    EmbedderRuntime(unknown, store).embed_faces(faces)
    again = EmbedderRuntime(unknown, store)
    again.embed_faces(faces)
    assert again.queries == 4
