"""Trained inverters and upscalers on disk: safetensors and a JSON card, no pickle, every file's hash checked on load.

A folder holds `card.json` and one or more `model-*.safetensors`. Weights are stored as fp32, fp16, or int8
with one float32 scale per output channel (weight-only: arithmetic stays in floating point).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.guided_checkpoint import load_strictly
from fraudit.diffusion.model.unet import UNet, UNetConfig
from fraudit.errors import ArtifactError, FrauditError, UsageError, suggest
from fraudit.files.doors import check_ours, read_json
from fraudit.files.store import file_sha256, write_atomic, write_text_atomic

FORMAT = 1
KIND = "id3pm"
UPSCALER = "upscaler"
DTYPES = ("fp32", "fp16", "int8")
SCALE = "::scale"
MAX_FILE_BYTES = 15_500_000
_CARD_KEYS = {
    KIND: (
        "format", "kind", "embedder", "embedder_fingerprint", "dim", "unet", "schedule", "unit_scaled", "files",
        "dtype",
    ),
    UPSCALER: ("format", "kind", "unet", "schedule", "small_px", "files", "dtype"),
}  # fmt: skip
_MADE_BY = {KIND: "fraudit train", UPSCALER: "fraudit train-upscaler"}
_KINDS = (KIND, UPSCALER, "linear")
_UNFINISHED = "unfinished"
NAMES = {KIND: "inverter", UPSCALER: "upscaler"}


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 values and f32[out] scales of a weight whose first axis is the output channel; w ~ value * scale."""
    flat = weight.float().flatten(1)
    scale = flat.abs().amax(1).clamp(min=1e-12) / 127
    values = (flat / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
    return values.view(weight.shape), scale


def _packed(state: Mapping[str, Tensor], dtype: str) -> dict[str, Tensor]:
    if dtype not in DTYPES:
        raise UsageError(
            f"unknown weight type '{dtype}'", f"{suggest(dtype, DTYPES)}known: {', '.join(DTYPES)}"
        )
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        tensor = value.detach().cpu().float().contiguous()
        if dtype == "fp32" or (dtype == "int8" and tensor.dim() < 2):
            out[key] = tensor
        elif dtype == "fp16":
            out[key] = tensor.half()
        else:
            out[key], out[key + SCALE] = quantised(tensor)
    return out


def _unpacked(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for key, value in stored.items():
        if key.endswith(SCALE):
            continue
        if value.dtype == torch.int8:
            scale = stored.get(key + SCALE)
            if scale is None:
                raise ArtifactError(f"tensor {key} is int8 without its scales", "export the inverter again")
            out[key] = value.float() * scale.view(-1, *([1] * (value.dim() - 1)))
        else:
            out[key] = value.float()
    return out


def _files_of(tensors: Mapping[str, Tensor], max_bytes: int) -> list[dict[str, Tensor]]:
    files: list[dict[str, Tensor]] = [{}]
    size = 0
    for key, tensor in tensors.items():
        # 200 bytes a tensor are more than its entry in the header takes.
        cost = tensor.numel() * tensor.element_size() + 200
        if files[-1] and size + cost > max_bytes:
            files.append({})
            size = 0
        files[-1][key] = tensor
        size += cost
    return files


def save_inverter(
    folder: Path,
    state: Mapping[str, Tensor],
    card: Mapping[str, Any],
    dtype: str = "fp32",
    max_bytes: int = MAX_FILE_BYTES,
    kind: str = KIND,
) -> dict[str, Any]:
    """Write weights and card into `folder`; the card goes last, so a half-written folder is never accepted.

    Args:
        state: parameters by name (the averaged ones).
        card: everything but `format`, `kind`, `dtype` and `files`, which are added.
        max_bytes: upper limit of each file.
        kind: `id3pm`, or `upscaler` for a super-resolution network.

    Returns:
        The card as written.
    """
    from safetensors.torch import save_file

    before = check_ours(folder / "card.json", lambda c: c.get("kind") in _KINDS, "inverter of fraudit")
    there = set(folder.glob("model-*.safetensors"))
    if before is None and there:
        raise UsageError(f"{folder} holds another program's {min(there).name}", "choose another folder")
    listed = None if before is None or before.get(_UNFINISHED) else before.get("files")
    old = (
        {folder / str(e.get("name")) for e in listed if isinstance(e, dict)}
        if isinstance(listed, list)
        else there
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_card(folder, {"format": FORMAT, "kind": kind, _UNFINISHED: True})
    parts = _files_of(_packed(state, dtype), max_bytes)
    entries: list[dict[str, Any]] = []
    for number, part in enumerate(parts, 1):
        path = folder / f"model-{number:05d}-of-{len(parts):05d}.safetensors"
        write_atomic(path, partial(save_file, part))
        entries.append({"name": path.name, "sha256": file_sha256(path), "bytes": path.stat().st_size})
    for stale in (old & there) - {folder / entry["name"] for entry in entries}:
        stale.unlink()
    full = {**card, "format": FORMAT, "kind": kind, "dtype": dtype, "files": entries}
    write_card(folder, full)
    return full


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write the whole card of an inverter whose weights are in place, atomically."""
    write_text_atomic(folder / "card.json", json.dumps(dict(card), indent=2, sort_keys=True) + "\n")


def read_inverter_card(folder: Path, kind: str = KIND) -> dict[str, Any]:
    """The card of an ID3PM or upscaler folder.

    Raises:
        ArtifactError: missing, broken, of another kind or a newer format.
    """
    path, again = Path(folder) / "card.json", f"make the {NAMES[kind]} again ({_MADE_BY[kind]})"
    if not path.exists():
        raise ArtifactError(
            f"{folder} holds no trained {NAMES[kind]}: card.json is missing", f"see {_MADE_BY[kind]}"
        )
    card = read_json(path, hint=again, kind=ArtifactError)
    if not isinstance(card, dict):
        raise ArtifactError(f"{path} is not a card", again)
    if card.get("kind", KIND) != kind:
        raise ArtifactError(
            f"{folder} holds something of kind '{card.get('kind', KIND)}'; expected '{kind}'",
            f"give a folder that {_MADE_BY[kind]} wrote",
        )
    if card.get(_UNFINISHED):
        raise ArtifactError(f"{folder} is half-written: whatever wrote it was stopped", again)
    missing = [key for key in _CARD_KEYS[kind] if key not in card]
    if missing:
        raise ArtifactError(f"{path} lacks {', '.join(missing)}", again)
    if card["format"] != FORMAT:
        raise ArtifactError(
            f"{path} has format {card['format']}; this version reads {FORMAT}",
            "update fraudit, or export again",
        )
    return card


def kind_of(folder: Path) -> str:
    """`upscaler` where the card in `folder` says so, else `id3pm`, whose reader says what is wrong."""
    try:
        card = json.loads((Path(folder) / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return KIND
    return UPSCALER if isinstance(card, dict) and card.get("kind") == UPSCALER else KIND


def load_state(folder: Path, card: Mapping[str, Any]) -> dict[str, Tensor]:
    """Parameters by name, in float32, with size and hash of every file checked first (ArtifactError)."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    stored: dict[str, Tensor] = {}
    for entry in card["files"]:
        path = Path(folder) / entry["name"]
        if Path(entry["name"]).name != entry["name"]:
            raise ArtifactError(f"the card names a file outside its folder: {entry['name']}")
        if not path.is_file():
            raise ArtifactError(f"{path} is missing", "copy the whole folder")
        size = path.stat().st_size
        if size != entry["bytes"]:
            raise ArtifactError(
                f"{path} has {size} bytes; expected {entry['bytes']}", "the file is truncated: copy it again"
            )
        found = file_sha256(path)
        if found != entry["sha256"]:
            raise ArtifactError(
                f"{path} has sha256 {found[:12]}; expected {entry['sha256'][:12]}",
                "the file was changed or damaged: copy it again",
            )
        try:
            stored |= load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise ArtifactError(f"{path} is not a safetensors file: {error}", "export it again") from error
    return _unpacked(stored)


def load_inverter_network(folder: Path, kind: str = KIND) -> tuple[UNet, dict[str, Any]]:
    """The network in evaluation mode, in float32 on the CPU, and its card."""
    card = read_inverter_card(folder, kind)
    try:
        network = build_unet(UNetConfig.from_dict(card["unet"]))
    except (FrauditError, TypeError, ValueError) as error:
        raise ArtifactError(f"{folder}/card.json describes no network: {error}", "export it again") from error
    load_strictly(network, load_state(folder, card))
    return network.eval(), card


def check_embedder(card: Mapping[str, Any], name: str, fingerprint: str, what: str = "the inverter") -> None:
    """Raise ArtifactError where `card` is of another embedder, weights or preprocessing."""
    if card["embedder_fingerprint"] != fingerprint:
        raise ArtifactError(
            f"{what} was made for {card['embedder']} ({card['embedder_fingerprint'][:12]}), "
            f"not for {name} ({fingerprint[:12]})",
            "it answers only for the embedder, weights and preprocessing it was trained on",
        )


def export_inverter(
    source: Path,
    target: Path,
    dtype: str = "fp16",
    max_bytes: int = MAX_FILE_BYTES,
    *,
    guidance: float | None = None,
    temperature: float | None = None,
) -> dict[str, Any]:
    """Copy a trained inverter or upscaler as fp16 or int8 in files of at most `max_bytes`; returns the new card.

    Args:
        guidance, temperature: of sampling by default from now on, such as the best ones on people held out.
    Raises:
        UsageError: onto itself, guidance < 0 or of an upscaler, or temperature not in (0, 1].
    """
    from fraudit.diffusion.sampling.options import check_sampling

    if Path(source).resolve() == Path(target).resolve():
        raise UsageError("an inverter cannot be exported onto itself", "choose another --out")
    kind = kind_of(source)
    card = read_inverter_card(source, kind)
    if kind == UPSCALER and guidance is not None:
        raise UsageError("an upscaler is not told who is shown: it has no guidance", "leave --guidance out")
    stated = {"guidance": guidance, "temperature": temperature}
    card |= {name: value for name, value in stated.items() if value is not None}
    check_sampling("dpm++", 1, guidance=card.get("guidance", 1.0), temperature=card.get("temperature", 1.0))
    state = load_state(source, card)
    return save_inverter(Path(target), state, card, dtype, max_bytes, kind)
