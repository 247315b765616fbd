"""ID3PM: the diffusion inverter of Kansy et al. (2023), for whichever black box it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.embedding.devices import channels_last, device_name
from fraudit.errors import UsageError, suggest
from fraudit.inverters.rivals.published import ID3PM
from fraudit.types import DEFAULT_GUIDANCE, DEFAULT_STEPS, F32, I64, U8, Inverter, InverterPlugin

if TYPE_CHECKING:
    from fraudit.diffusion.model.unet import UNet

LIGHT_WORK = (
    5_000_000  # positions x channels^2 x blocks of the first level: mini-64 and small-64 have 4.2 million
)

NO_ATTRIBUTES, TRAIN_ONE = (
    "this inverter takes no attributes",
    "train one with fraudit train --attributes set3",
)


class Id3pm:
    """A trained network that turns ID vectors into faces.

    Attributes:
        name: `id3pm`.
        share: of their default sample sizes that analyses take, for a picture takes from tenths of a second to
            seconds on a CPU; by the network's shape, never by the clock.
        embedder_fingerprint: of the black box it was trained for.
        size_px: side S of its pictures; the five points lie where `geometry.landmarks_of(S)` says.
        card: what is known of its training.
        asked_guidance: as `guidance`, for calls that ask for attributes.
        guidance, temperature, steps: of sampling, where a call does not say them: what its recipe found best.

    Args:
        network: in evaluation mode.
        card: see docs/training.md.
        device: torch device; '' takes $FRAUDIT_DEVICE, else a GPU where there is one.
    """

    name = "id3pm"

    def __init__(self, network: UNet, card: Mapping[str, Any], device: str = "") -> None:

        import torch

        from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
        from fraudit.diffusion.sampling.samplers import CHUNK

        self.card = dict(card)
        self.embedder_fingerprint: str = card["embedder_fingerprint"]
        self.size_px: int = network.config.image_size
        self.device = torch.device(device_name(device))
        shape = network.config
        work = (shape.image_size // shape.patch) ** 2 * shape.num_channels**2 * shape.num_res_blocks
        light = work <= LIGHT_WORK
        self.share = 0.25 if light else 0.1
        self.guidance = float(card.get("guidance", DEFAULT_GUIDANCE))
        self.asked_guidance = float(card.get("asked_guidance", self.guidance))
        self.temperature = float(card.get("temperature", 1.0))
        self.steps = int(card.get("sampling_steps", DEFAULT_STEPS))
        self.chunk = 32 if self.device.type == "cuda" else 2 * CHUNK if light else CHUNK
        self._network = channels_last(network, self.device).requires_grad_(False)
        self._process = GaussianDiffusion(card["schedule"], learn_sigma=network.config.learn_sigma)

    @property
    def attribute_set(self) -> str:
        """`set1`, `set2`, `set3`, or '' where it takes no attributes."""
        return str(self.card.get("attributes") or "")

    def attribute_vectors(self, condition: str, values: Sequence[float]) -> F32:
        """f32[len(values),A] that `invert` takes as `attributes`; see `attributes.condition_vectors`.

        Raises:
            UsageError: an inverter that takes none, an unknown attribute, or a value out of its range.
        """
        from fraudit.diffusion.data.attributes import condition_vectors

        self._require_attributes()
        told = condition_vectors(condition, values, self.attribute_set, self.labelled)
        self._require_labelled(told, condition)
        return told

    @property
    def labelled(self) -> tuple[str, ...]:
        """Entries of its attribute set that faces it learned from were labelled with: the others change nothing."""
        from fraudit.diffusion.data.attributes import attribute_names

        names = attribute_names(self.attribute_set) if self.attribute_set else ()
        counts = self.card.get("attributes_labelled")
        return (
            names
            if not counts or not any(counts.values())
            else tuple(name for name in names if counts.get(name))
        )

    def random_attributes(self, seeds: I64) -> F32:
        """f32[N,A] drawn by seed from what the faces it learned from show: `PASSING` entries, the others unknown.

        Poses are normal with their mean and standard deviation, cut off at two of these; what is there or not is drawn
        by how often it is. One by one: which go together is not known here.

        Raises:
            UsageError: an inverter without attributes, or one that does not know how they are distributed.
        """
        from fraudit.diffusion.data.attributes import PASSING, POSE, UNKNOWN, attribute_names

        self._require_attributes()
        form = getattr(self._network, "told", None)
        if form is None:
            raise UsageError(
                "this inverter does not know how attributes are distributed", "give them by name instead"
            )
        names, known = attribute_names(self.attribute_set), set(self.labelled)
        centre, spread = form.centre.cpu().numpy(), form.spread.cpu().numpy()
        out = np.full((len(seeds), len(names)), UNKNOWN, np.float32)
        for row, seed in enumerate(np.asarray(seeds)):
            rng = np.random.default_rng([int(seed), len(names)])
            for place, name in enumerate(names):
                draw, chance = rng.standard_normal(), rng.uniform()
                if name not in known or name not in PASSING:
                    continue
                if name in POSE:
                    out[row, place] = centre[place] + spread[place] * np.clip(draw, -2, 2)
                else:
                    out[row, place] = float(chance < centre[place])
        return np.clip(out, UNKNOWN, 1)

    def entries(self, told: Mapping[str, float]) -> F32:
        """f32[A] of this inverter's attributes from entries by name; -1 where not given.

        Raises:
            UsageError: an inverter without attributes, an unknown entry, or a value out of range.
        """
        from fraudit.diffusion.data.attributes import vector_of

        self._require_attributes()
        return vector_of(told, self.attribute_set)

    def _require_attributes(self) -> None:
        if not self.attribute_set:
            raise UsageError(NO_ATTRIBUTES, TRAIN_ONE)

    def _require_labelled(self, told: F32, what: str) -> None:
        """Raise UsageError where entries are asked for that no face was labelled with."""
        from fraudit.diffusion.data.attributes import UNKNOWN, attribute_names

        asked = (np.atleast_2d(told) != UNKNOWN).any(0)
        odd = [name for name, on in zip(attribute_names(self.attribute_set), asked, strict=True) if on]
        odd = [name for name in odd if name not in self.labelled]
        if odd:
            raise UsageError(
                f"{what}: no face that this inverter learned from was labelled with {', '.join(odd)}",
                f"{suggest(odd[0], self.labelled)}it knows {', '.join(self.labelled)}",
            )

    def invert(
        self,
        id_vectors: F32,
        seeds: I64,
        *,
        guidance: float | None = None,
        steps: int | None = None,
        sampler: str = "dpm++",
        attributes: F32 | Mapping[str, float] | None = None,
        temperature: float | None = None,
    ) -> U8:
        """f32[N,D] raw ID vectors and i64[N] seeds -> u8[N,S,S,3] RGB faces.

        Args:
            guidance: scale s of equation 8; 1 is the plain conditional network; None takes the inverter's own.
            steps: how often the network is asked (1..1000); None takes the inverter's own.
            sampler: `dpm++` (fast), `ddim`, or `ancestral` (the paper's, 250 steps).
            attributes: f32[N,A] or f32[A] in [0, 1] with -1 for unknown, or entries by name for all samples;
                None leaves them open.
            temperature: above 0, at most 1; lower keeps to what is likely (`samplers.tempered`). None takes the
                inverter's own.

        Raises:
            UsageError: wrong dimension, seeds that do not match, unknown sampler, guidance < 0, steps out of
                range, temperature not in (0, 1], or attributes for an inverter that takes none.
            DataError: a zero vector, or one that is not finite.
        """
        import torch

        from fraudit.diffusion.model.conditioning import scaled_identity
        from fraudit.diffusion.sampling.options import check_sampling
        from fraudit.diffusion.sampling.samplers import guided, sample_pictures

        scale = self.temperature if temperature is None else temperature
        asked = attributes is not None and (
            isinstance(attributes, Mapping) or (np.asarray(attributes) >= 0).any()
        )
        own = self.asked_guidance if asked else self.guidance
        strength = own if guidance is None else guidance
        count = self.steps if steps is None else steps
        check_sampling(sampler, count, self._process.train_steps, strength, scale)
        dim = self._network.config.identity_dim
        if dim is None:
            raise UsageError(
                "this network was trained without identities", "use `sample` for faces at random"
            )
        vectors = scaled_identity(id_vectors, dim, bool(self.card["unit_scaled"]))
        numbers = self._seeds(seeds, len(vectors))
        labels = self._attributes(attributes, len(vectors))

        def network_of(rows: I64) -> Any:
            identity = torch.from_numpy(vectors[rows]).to(self.device)
            told = None if labels is None else torch.from_numpy(labels[rows]).to(self.device)
            return guided(self._network, identity, told, strength)

        return sample_pictures(
            network_of,
            self._process,
            numbers,
            self.size_px,
            sampler=sampler,
            steps=count,
            chunk=self.chunk,
            device=self.device,
            temperature=scale,
            patch=self._network.config.patch,
        )

    def sample(self, seeds: I64, *, steps: int = DEFAULT_STEPS, sampler: str = "dpm++") -> U8:
        """u8[N,S,S,3]: faces at random, from the network's unconditional branch."""
        from fraudit.diffusion.sampling.options import check_sampling
        from fraudit.diffusion.sampling.samplers import guided, sample_pictures

        check_sampling(sampler, steps, self._process.train_steps)
        numbers = self._seeds(seeds, len(np.atleast_1d(seeds)))
        return sample_pictures(
            lambda rows: guided(self._network, None, None, 1.0),
            self._process,
            numbers,
            self.size_px,
            sampler=sampler,
            steps=steps,
            chunk=self.chunk,
            device=self.device,
            patch=self._network.config.patch,
        )

    @staticmethod
    def _seeds(seeds: I64, count: int) -> I64:
        numbers = np.asarray(seeds)
        if numbers.shape != (count,) or numbers.dtype.kind not in "iu":
            raise UsageError(f"expected {count} whole seeds, found {numbers.dtype}{list(numbers.shape)}")
        return numbers.astype(np.int64)

    def _attributes(self, attributes: F32 | Mapping[str, float] | None, count: int) -> F32 | None:
        width = self._network.config.attribute_dim
        if attributes is None:
            return None if width is None else np.full((count, width), -1, np.float32)
        if width is None:
            raise UsageError(NO_ATTRIBUTES, TRAIN_ONE)
        values = (
            self.entries(attributes)
            if isinstance(attributes, Mapping)
            else np.asarray(attributes, np.float32)
        )
        if values.shape not in ((width,), (count, width)):
            raise UsageError(f"expected attributes of shape [{count}, {width}], found {list(values.shape)}")
        if not (((values >= 0) & (values <= 1)) | (values == -1)).all():
            raise UsageError("attribute values must be in [0, 1], or -1 for unknown")
        self._require_labelled(values, "attributes")
        return np.ascontiguousarray(np.broadcast_to(values, (count, width)), dtype=np.float32)


def load(folder: Path | str, device: str = "") -> Inverter:
    """The inverter that `fraudit train` or `fraudit export-inverter` wrote into `folder`.

    Raises:
        ArtifactError: missing, truncated or changed files, or a card of another kind.
        WeightsError: tensors that do not fit the network.
    """
    from fraudit.diffusion.model.checkpoint import load_inverter_network

    network, card = load_inverter_network(Path(folder))
    return Id3pm(network, card, device)


INVERTER = InverterPlugin(
    name="id3pm",
    load=load,
    summary="conditional diffusion model (ID3PM); needs training, a GPU helps",
    method=ID3PM,
)
