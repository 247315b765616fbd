"""Finding and opening trained inverters: a folder with `card.json` whose `kind` names the plugin.

An inverter answers only for the embedder it was trained on: its card carries that embedder's fingerprint.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from fraudit.errors import ArtifactError, UsageError
from fraudit.files.doors import entering, read_json
from fraudit.plugins import INVERTERS
from fraudit.types import Inverter, LoadedEmbedder

_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("kind", "embedder", "embedder_fingerprint", "weights_sha256", "dtype"), (str,)),
    **dict.fromkeys(("dim", "size_px", "format", "stage"), (int,)),
    **dict.fromkeys(("guidance", "temperature", "width", "explained_pixels"), (float, int)),
    "files": (list,),
}
_WORDS = {str: "text", int: "a whole number", float: "a number", list: "a list"}
PREFERENCE = ("id3pm", "linear")  # which kind `auto` takes where several are bundled for an embedder


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a trained inverter. Raises ArtifactError where it is missing or broken."""
    path, again = folder / "card.json", "train or export the inverter again"
    if not path.exists():
        raise ArtifactError(
            f"{folder} holds no trained inverter: card.json is missing",
            "fraudit adapt, fraudit train and fraudit train-linear write such a folder",
        )
    card = read_json(path, hint=again, kind=ArtifactError)
    if isinstance(card, dict) and card.get("kind") == "upscaler":
        raise ArtifactError(
            f"{folder} holds an upscaler, which makes pictures larger; expected an inverter",
            "give it to --upscale",
        )
    missing = {"kind", "embedder", "embedder_fingerprint"} - set(card if isinstance(card, dict) else ())
    if missing:
        raise ArtifactError(f"{path} lacks {', '.join(sorted(missing))}", again)
    for key, kinds in _TYPES.items():
        if key in card and (type(card[key]) not in kinds or (int in kinds and not abs(card[key]) < 1e9)):
            raise ArtifactError(f"{path}: '{key}' is {card[key]!r:.60}; expected {_WORDS[kinds[0]]}", again)
    return dict(card)


def load_inverter(folder: Path, embedder: LoadedEmbedder) -> Inverter:
    """The trained inverter in `folder`, for `embedder` alone.

    Raises:
        ArtifactError: no inverter there, or it was trained for another embedder.
    """
    card = read_card(folder)
    if card["embedder_fingerprint"] != embedder.fingerprint:
        raise ArtifactError(
            f"the inverter {folder} was trained for {card['embedder']} ({card['embedder_fingerprint'][:12]}), "
            f"not for {embedder.spec.name} ({embedder.fingerprint[:12]})",
            "an inverter answers only for the embedder, weights and preprocessing it was trained on",
        )
    with entering(
        f"the inverter {folder} cannot be opened",
        "train or export the inverter again",
        ArtifactError,
        RuntimeError,
    ):
        load = INVERTERS.get(card["kind"]).load
        if load is None:
            raise ArtifactError(
                f"{folder} is of kind {card['kind']}, which is never trained", "fraudit rivals uses it"
            )
        return load(folder)


def bundled_root() -> Path:
    """The folder of the bundled inverters, one folder each."""
    return Path(str(files("fraudit") / "data" / "inverters"))


def bundled(embedder: LoadedEmbedder, kinds: tuple[str, ...] = PREFERENCE) -> Path | None:
    """Folder of the inverter shipped for `embedder`, of the first of `kinds` that there is, or None."""
    root = bundled_root()
    found: dict[str, Path] = {}
    for path in sorted(root.glob("*/card.json")):
        card = read_card(path.parent)
        if card["embedder_fingerprint"] == embedder.fingerprint:
            found[card["kind"]] = path.parent
    for kind in kinds:
        if kind in found:
            return found[kind]
    return None


def check_inverter(choice: str) -> None:
    """Raise what `find_inverter` would of its choice, as far as it can be told without an embedder.

    Raises:
        UsageError: the folder does not exist. ArtifactError: it holds no inverter.
    """
    folder = Path(choice)
    if choice in ("none", "auto", *PREFERENCE):
        return
    if folder.is_dir():
        read_card(folder)
    elif choice not in INVERTERS.names():
        raise UsageError(
            f"--inverter {choice}: no such folder",
            "auto, a bundled kind (id3pm, linear), none, or a trained inverter's folder",
        )
    elif INVERTERS.get(choice).load is None:
        raise UsageError(
            f"--inverter {choice}: it has no folder and is made to be compared",
            f"fraudit rivals --methods {choice}",
        )


def find_inverter(choice: str, embedder: LoadedEmbedder) -> tuple[Inverter | None, str]:
    """(inverter, '') for `auto`, a bundled kind (`id3pm`, `linear`, `nbnet`) or a folder, or (None, why there is none).

    Raises:
        UsageError: the folder does not exist.
        ArtifactError: it holds no inverter of this embedder.
    """
    check_inverter(choice)
    if choice == "none":
        return None, "no inverter was asked for (--inverter none)"
    if choice == "auto" or choice in PREFERENCE:
        folder = bundled(embedder, PREFERENCE if choice == "auto" else (choice,))
        if folder is None:
            kind = "" if choice == "auto" else f"{choice} "
            way = (
                "train one with fraudit train-linear" if choice == "linear" else "make one with fraudit adapt"
            )
            return None, f"no trained {kind}inverter for {embedder.spec.name}: {way}"
        return load_inverter(folder, embedder), ""
    folder = Path(choice)
    if not folder.is_dir():
        kept = bundled(embedder, (choice,))
        if kept is None:
            plugin = INVERTERS.get(choice)
            raise UsageError(
                f"--inverter {choice}: none is bundled",
                plugin.method.get if plugin.method else "give its folder",
            )
        folder = kept
    return load_inverter(folder, embedder), ""
