"""A trained ID3PM inverter for another black box, without training a network: its ID vectors are translated.

The vectors of independently trained face models are nearly linear functions of each other (McNeely-White et al.
2022, Canonical Face Embeddings). Two boxes that are shown the same faces therefore give, by ridge regression, a
matrix with z' ~ M z between their standardised ID vectors. A network that refines the closed form
(`fraudit.diffusion.model.closed_form`) takes z' in two linear places, the closed form and the projection into the time
embedding, so that M is folded into their weights: the result is an ordinary inverter of the new box, which costs
what the first one costs, and a start for a training of its own (`fraudit train --init`).

A regression shrinks, and the network expects vectors of the length that it was trained on: M is scaled until it
gives that length on people it was not fitted to. What only the new box knows is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fraudit.diffusion.data.shards import Shards, data_digest
from fraudit.diffusion.model.checkpoint import (
    check_embedder,
    load_inverter_network,
    load_state,
    read_inverter_card,
    save_inverter,
    write_card,
)
from fraudit.diffusion.model.conditioning import scaled_identity
from fraudit.diffusion.training.evaluate import Probe, embed_pictures, paired_and_shuffled
from fraudit.diffusion.training.report import grid, write_picture
from fraudit.diffusion.training.workflow import SAMPLES, origin_of
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import ArtifactError, InsufficientData, UsageError
from fraudit.stats.ridge import choosing_people, fit_ridge
from fraudit.types import DEFAULT_GUIDANCE, F32, I64, Bool, unit_rows

FEWEST = 100  # pairs of vectors, of faces and mirrors
CHUNK = 512
MIRRORED = np.array([1, 0, 2, 4, 3])  # the five points of a mirrored face, in their own order

Say = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Translation:
    """From one box's ID vectors to another's.

    Attributes:
        mean, scale: f32[D] by which the new box's vectors are standardised, after scaling to norm sqrt(D).
        matrix: f32[D',D], z' ~ matrix @ z of standardised vectors, `gain` included.
        ridge: of the regression, in units of the standardised vectors' variance, chosen on a fifth of the people.
        gain: by which the regression's answer was lengthened.
        faces: pairs of vectors it was fitted to.
        agreement: cosine of translated and true standardised vectors of people held out, `own` and `other` person.
    """

    mean: F32
    scale: F32
    matrix: F32
    ridge: float
    gain: float
    faces: int
    agreement: dict[str, Any]


def fit_translation(vectors: F32, wanted: F32, people: I64, held_out: Bool) -> Translation:
    """Ridge regression from one box's ID vectors to another's; people held out only judge it.

    Args:
        vectors: f32[N,D] of the new box, scaled to norm sqrt(D).
        wanted: f32[N,D'] standardised vectors of the box whose inverter there is, of the same faces.
        people: i64[N]; held_out: bool[N].

    Raises:
        InsufficientData: fewer than `FEWEST` pairs to fit, or fewer than two people held out.
    """
    fitted = np.flatnonzero(~held_out)
    if len(fitted) < FEWEST or len(np.unique(people[held_out])) < 2:
        raise InsufficientData(
            f"expected at least {FEWEST} pairs of vectors to translate by (a face and its mirror make two) and two "
            f"people held out, found {len(fitted)} pairs and {len(np.unique(people[held_out]))} people",
            "add pictures: some thousands make a good translation",
        )
    made = fit_ridge(vectors[fitted], wanted[fitted], choosing_people(people[fitted]), centred=False)
    _, firsts = np.unique(people[held_out], return_index=True)
    judged = np.flatnonzero(held_out)[firsts]
    agreement = paired_and_shuffled(
        unit_rows(made(vectors[judged]).astype(np.float32)),
        unit_rows(wanted[judged]),
        np.ones(len(judged), bool),
    )
    return Translation(
        made.mean.astype(np.float32),
        made.scale.astype(np.float32),
        np.ascontiguousarray(made.matrix.T, dtype=np.float32),
        made.ridge,
        round(made.gain, 4),
        len(fitted),
        agreement,
    )


def check_adaptable(card: Mapping[str, Any], what: str) -> None:
    """Raise UsageError where a translation cannot be folded into the network that `card` describes."""
    if not card["unet"].get("prior_spread", 0) > 0 or not card["unit_scaled"]:
        raise UsageError(
            f"{what} ({card.get('preset', 'unknown preset')}) cannot be adapted: its network does not refine a "
            "closed form",
            "adapt one trained with small-64 or mini-64, such as the bundled one of dlib",
        )


def translated_state(state: Mapping[str, Tensor], translation: Translation) -> dict[str, Tensor]:
    """Weights of the adapted network: equal to the first one's behind the translation, the null vector as before.

    Raises:
        ArtifactError: weights of another shape than the translation's.
    """
    matrix = torch.from_numpy(translation.matrix).double()
    if len(state["centre"]) != len(matrix):
        raise ArtifactError(
            f"the inverter takes vectors of {len(state['centre'])} numbers, its box gives {len(matrix)}",
            "name the box it was trained for with --source",
        )
    takers = ("prior.weight", "identity_emb.weight", "told.expected")  # whatever takes standardised vectors
    changed = {name: (state[name].double() @ matrix).float() for name in takers if name in state}
    if "told.effect" in state:
        kept = state["told.effect"][:, : -len(matrix)]
        taking = (state["told.effect"][:, -len(matrix) :].double() @ matrix).float()
        changed["told.effect"] = torch.cat([kept, taking], 1)
    changed["centre"] = torch.from_numpy(translation.mean)
    changed["spread"] = torch.from_numpy(translation.scale)
    return {**state, **changed}


def vectors_of_both(
    data: Shards, state: Mapping[str, Tensor], source: EmbedderRuntime, points: F32, say: Say
) -> tuple[F32, F32, I64, Bool]:
    """(f32[M,D] new box's, scaled; f32[M,D'] source's, standardised; people; held out) of pictures and mirrors.

    The source is shown the 64 px pictures: what the network is to answer with has no more. Faces without a vector
    of it are left out.
    """
    centre, spread = state["centre"].numpy(), state["spread"].numpy()
    size = data.pictures.shape[1]
    flipped = points[MIRRORED] * np.array([-1, 1], np.float32) + np.array([size - 1, 0], np.float32)
    wanted, ok = [], []
    total = 2 * len(data)
    for mirror in (False, True):
        for start in range(0, len(data), CHUNK):
            pictures = data.pictures[start : start + CHUNK]
            if mirror:
                pictures = np.ascontiguousarray(pictures[:, :, ::-1])
            answer, usable = embed_pictures(source, pictures, flipped if mirror else points)
            wanted.append(answer)
            ok.append(usable)
            say(f"vectors of {source.spec.name}", mirror * len(data) + start + len(pictures), total)
    usable = np.concatenate(ok)
    theirs = scaled_identity(np.concatenate(wanted)[usable], len(centre), True)
    vectors = np.concatenate([data.vectors, data.vectors_mirror])[usable]
    return (
        scaled_identity(vectors, vectors.shape[1], True),
        (theirs - centre) / spread,
        np.tile(data.subjects, 2)[usable],
        np.tile(data.held_out, 2)[usable],
    )


def adapted_card(
    card: Mapping[str, Any], origin: Mapping[str, Any], data: Shards, translation: Translation
) -> dict[str, Any]:
    """What the adapted inverter says of itself; what is not changed here holds as it did for the first one.

    Args:
        card: of the inverter that was adapted; origin: how it is named in the new one.
    """
    index = data.index
    licences = sorted({d["licence"] or "unknown" for d in index["datasets"]})
    kept = {
        key: value
        for key, value in card.items()
        if key not in ("files", "format", "dtype", "init", "seconds")
    }
    return {
        **kept,
        **{
            key: index[key]
            for key in (
                "embedder",
                "embedder_fingerprint",
                "embedder_weights_sha256",
                "embedder_licence",
                "preprocess",
                "dim",
                "held_out",
            )
        },
        "unet": {**card["unet"], "identity_dim": index["dim"]},
        "adapted_from": dict(origin),
        "translation": {
            "faces": translation.faces,
            "ridge": translation.ridge,
            "gain": translation.gain,
            "agreement": translation.agreement,
            "data": [{k: d[k] for k in ("name", "digest", "faces", "licence")} for d in index["datasets"]],
            "data_digest": data_digest(index),
        },
        "licence": f"{card['licence']}; translated by: {'; '.join(licences)}",
    }


def adapt(
    inverter: Path,
    source: EmbedderRuntime,
    data: Shards,
    runtime: EmbedderRuntime,
    points: F32,
    out: Path,
    *,
    dtype: str = "fp16",
    people: int = 64,
    judge: EmbedderRuntime | None = None,
    say: Say = lambda label, done, total: None,
) -> dict[str, Any]:
    """Write `out/inverter`, made from `inverter` for another black box, and judge it on people held out.

    Args:
        inverter: folder of an ID3PM inverter that refines a closed form.
        source: the black box that it was trained for.
        data: faces with their ID vectors of the new box, in the inverter's geometry and size.
        runtime: the new box. points: f32[5,2] in the pictures.
        dtype: weight type of the files.
        people: held out ones whose faces are inverted; n of `evaluation` in the card.
        judge: an independent model, or None.

    Returns:
        The card as written, with `translation` and `evaluation`.

    Raises:
        UsageError: an inverter of another kind of network.
        ArtifactError: one that was not trained for `source`, or truncated or changed files.
        InsufficientData: too few faces.
    """
    card = read_inverter_card(inverter)
    check_embedder(card, source.spec.name, source.fingerprint, f"the inverter {inverter}")
    check_adaptable(card, f"the inverter {inverter}")
    state = load_state(inverter, card)
    translation = fit_translation(*vectors_of_both(data, state, source, points, say))
    made = adapted_card(card, origin_of(inverter), data, translation)
    folder = out / "inverter"
    # Judged as it will be loaded: rounded to its weight type.
    made = save_inverter(folder, translated_state(state, translation), made, dtype)
    probe = Probe.of_people(
        data,
        True,
        people,
        points=points,
        runtime=runtime,
        judge=judge,
        unit_scaled=True,
        schedule=card["schedule"],
        guidance=float(card.get("guidance", DEFAULT_GUIDANCE)),
        temperature=float(card.get("temperature", 1.0)),
    )
    network = load_inverter_network(folder)[0]
    pictures = probe.pictures(network, lambda done, total: say("pictures of people held out", done, total))
    write_picture(out / "samples.png", grid([data.pictures[probe.rows[:SAMPLES]], pictures[:SAMPLES]]))
    found = probe.score(pictures)
    made["evaluation"] = {key: found[key] for key in ("embedder", "judge", "judge_name") if key in found}
    write_card(folder, made)
    return made
