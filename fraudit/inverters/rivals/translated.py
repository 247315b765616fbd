"""Methods that stand on the bundled ID3PM: its closed form alone, and transcoding for another box.

The closed form is the ridge regression that the network refines. Transcoding shows drawn faces of nobody to the
audited model and to the model that the bundled inverter was trained for, and carries vectors of the one into the
space of the other (`fraudit adapt` folds the same translation into an inverter's weights, with pictures of your own).
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import FrauditError, InsufficientData
from fraudit.inverters.id3pm import load as load_id3pm
from fraudit.inverters.inverting import invert_in_pieces, reembed
from fraudit.inverters.loading import bundled, read_card
from fraudit.inverters.rivals.attack import Attempt, Setting
from fraudit.inverters.rivals.generators import bundled_folder, eigenface_generator, kin_of
from fraudit.stats.ridge import MANY_RIDGES, choosing_people, fit_ridge
from fraudit.types import F32, I64, U8, InverterPlugin, MethodCard, unit_rows

FEWEST = 100  # drawn faces that both models see


def unasked(pictures: U8, **more: object) -> Attempt:
    """An attempt that asked nothing while it made its pictures."""
    n = len(pictures)
    return Attempt(
        pictures,
        np.zeros(0, np.int64),
        np.zeros((0, *pictures.shape), np.uint8),
        np.zeros((0, n)),
        0,
        **more,  # type: ignore[arg-type]
    )


def closed_form(setting: Setting, vectors: F32, seeds: I64) -> Attempt:
    """The closed form inside the bundled ID3PM of this box. Raises InsufficientData where there is none."""
    import torch

    from fraudit.diffusion.model.checkpoint import load_inverter_network
    from fraudit.diffusion.model.conditioning import scaled_identity
    from fraudit.diffusion.sampling.samplers import to_pictures

    folder = bundled(setting.box.loaded, ("id3pm",))
    if folder is None:
        raise InsufficientData(f"no ID3PM inverter is bundled for {setting.box.spec.name}")
    network, card = load_inverter_network(folder)
    if not hasattr(network, "prior"):
        raise InsufficientData("the bundled ID3PM refines no closed form")
    told = scaled_identity(vectors, vectors.shape[1], bool(card["unit_scaled"]))
    side = network.config.image_size
    with torch.inference_mode():
        planes = network.prior(network.standardised(torch.from_numpy(told)))  # type: ignore[operator]
        pictures = to_pictures(planes.reshape(len(told), 3, side, side))
    return unasked(pictures, kin=kin_of(card), note=f"the regression alone, {side} px")


def drawn_vectors(setting: Setting, boxes: tuple[EmbedderRuntime, ...]) -> list[F32]:
    """Raw vectors f32[M,D] of the same drawn faces by each box, those that all of them see.

    Raises:
        InsufficientData: fewer than 100 faces that all see.
    """
    generator = eigenface_generator()
    rng = np.random.default_rng([setting.seed, 25])
    latents = rng.standard_normal((setting.pool, generator.size)).astype(np.float32)
    answers = []
    for box in boxes:
        part = []
        for start in range(0, len(latents), 128):
            part.append(reembed(box, generator.pictures(latents[start : start + 128])))
            setting.told(f"drawn faces by {box.spec.name}", start, len(latents))
        answers.append((np.concatenate([p.vectors for p in part]), np.concatenate([p.ok for p in part])))
    good = np.logical_and.reduce([ok for _, ok in answers])
    if good.sum() < FEWEST:
        raise InsufficientData(
            f"expected at least {FEWEST} drawn faces that every model sees, found {int(good.sum())} of {len(good)}",
            "raise --pool",
        )
    return [vectors[good] for vectors, _ in answers]


def source_of(folder: Path, setting: Setting) -> EmbedderRuntime:
    """The model that the inverter in `folder` was trained for.

    Raises:
        InsufficientData: it is the box under attack, or it cannot be opened here.
    """
    card = read_card(folder)
    if card["embedder_fingerprint"] == setting.box.fingerprint:
        raise InsufficientData(
            "the bundled inverter was trained for this very model: there is nothing to translate"
        )
    try:
        source = EmbedderRuntime(load_embedder(str(card["embedder"])), setting.store)
    except FrauditError as error:
        raise InsufficientData(
            f"the bundled inverter's own model {card['embedder']} cannot be opened: {error.message}"
        ) from error
    if source.fingerprint != card["embedder_fingerprint"]:
        raise InsufficientData(f"{card['embedder']} here is not what the bundled inverter was trained for")
    return source


def transcoding(setting: Setting, vectors: F32, seeds: I64) -> Attempt:
    """The bundled ID3PM of another box, shown translated vectors; see the module's text."""
    begun = time.monotonic()
    folder = bundled_folder("id3pm")
    source = source_of(folder, setting)
    own, theirs = drawn_vectors(setting, (setting.box, source))
    choosing = choosing_people(np.arange(len(own)))
    fitted = fit_ridge(unit_rows(own), unit_rows(theirs), choosing, ridges=MANY_RIDGES)
    shared = time.monotonic() - begun
    inverter = load_id3pm(folder)
    translated = unit_rows(fitted(unit_rows(vectors))).astype(np.float32)
    pictures = invert_in_pieces(inverter, translated, seeds)
    note = (
        f"translated by {len(own):,} drawn faces (cosine {fitted.cosine:.2f} on faces held out), "
        f"{inverter.size_px} px; fraudit adapt with photographs does better"
    )
    kin = kin_of(read_card(folder))
    return unasked(pictures, shared=setting.pool, seconds_shared=shared, kin=kin, note=note)


CLOSED_FORM = InverterPlugin(
    name="closed-form",
    load=None,
    summary="the ridge regression inside the bundled ID3PM, without the network",
    attack=closed_form,
    method=MethodCard(
        source="Mohanty et al. 2007, as the start of the bundled ID3PM",
        attacker="vectors",
        samples="one-to-one",
        training="a regression, a minute on a CPU",
        data="faces with their vectors; the bundled one had 33,688",
        questions="none",
        scale="64 px",
        get="fraudit train --embedder NAME --dataset celeba,utkface --out DIR",
    ),
)
TRANSCODING = InverterPlugin(
    name="transcoding",
    load=None,
    summary="another box's bundled ID3PM, its vectors translated by drawn faces",
    attack=transcoding,
    method=MethodCard(
        source="McNeely-White et al. 2022, as `fraudit adapt` does it",
        attacker="vectors",
        samples="one-to-many",
        training="a regression between two models' vectors, seconds",
        data="none of the attacker's: faces drawn from the bundled face model",
        questions="those of the drawn faces, once for all",
        scale="64 px, a thousand drawn faces for thousands of photographs",
        get="fraudit adapt --embedder NAME --dataset celeba --out DIR, then --inverter DIR/inverter",
    ),
)
