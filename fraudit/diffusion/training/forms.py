"""The closed forms of a training, fitted to the people who are trained on and kept in its folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fraudit.diffusion.data.attributes import attribute_names
from fraudit.diffusion.data.batches import attributes_digest, attributes_of
from fraudit.diffusion.data.shards import Shards
from fraudit.diffusion.model.closed_form import (
    ClosedForm,
    ToldForm,
    fit_closed_form,
    fit_told_form,
    load_closed_form,
    load_told_form,
    save_closed_form,
)
from fraudit.diffusion.model.conditioning import scaled_identity
from fraudit.diffusion.training.presets import Preset
from fraudit.types import F32

CLOSED_FORM, TOLD_FORM = "prior.safetensors", "told.safetensors"


def _identities(data: Shards, preset: Preset) -> tuple[F32, F32]:
    """f32[N,D] each: ID vectors of pictures and mirrors as the network takes them."""
    dim = data.vectors.shape[1]
    return (
        scaled_identity(data.vectors, dim, preset.unit_scaled),
        scaled_identity(data.vectors_mirror, dim, preset.unit_scaled),
    )


def fitted_closed_form(folder: Path, data: Shards, preset: Preset, people: str, write: bool) -> ClosedForm:
    """The picture that an ID vector gives linearly.

    Args:
        people: digest of who is trained on. write: whether this process keeps it.
    """
    path = folder / CLOSED_FORM
    kept = load_closed_form(path, people)
    if kept is not None:
        return kept
    fitted = fit_closed_form(
        data.pictures, data.visible, *_identities(data, preset), np.flatnonzero(~data.held_out)
    )
    if write:
        save_closed_form(path, fitted, people)
    return fitted


def fitted_told_form(
    folder: Path,
    data: Shards,
    preset: Preset,
    attributes: str,
    people: str,
    closed_form: ClosedForm,
    write: bool,
) -> ToldForm:
    """What attributes of the set `attributes` add to `closed_form`; the others: see `fitted_closed_form`."""
    path, about = folder / TOLD_FORM, f"{people} {attributes} {attributes_digest(data)}"
    kept = load_told_form(path, about)
    if kept is not None:
        return kept
    fitted = fit_told_form(
        closed_form,
        data.pictures,
        data.visible,
        *_identities(data, preset),
        *attributes_of(data, attributes),
        np.flatnonzero(~data.held_out),
        attribute_names(attributes).index("pose.yaw"),
    )
    if write:
        save_closed_form(path, fitted, about)
    return fitted
