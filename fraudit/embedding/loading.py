"""From what a person types (name, card.toml, python:module:callable) to a black box that answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fraudit.embedding.bundled import NEEDS_TARGET
from fraudit.embedding.cards import parse_card, require_card
from fraudit.errors import PluginError, UsageError, WeightsError, suggest
from fraudit.plugins import EMBEDDERS
from fraudit.types import EmbedderPlugin, LoadedEmbedder


def load_embedder(name_or_card: str, weights: Path | str | None = None, **options: Any) -> LoadedEmbedder:
    """The black box that `name_or_card` names, ready to answer.

    Args:
        name_or_card: a registered name, a path that ends in .toml, or `python:module:callable`.
        weights: the model's weights file; None takes the known place (`fraudit weights list`).
        options: plugin-specific, such as `device`.
    Raises:
        PluginError: unknown name, or an optional package is missing.
        WeightsError: weights are missing or wrong; the hint is the command that gets them.
        ArtifactError: no such card. UsageError, DataError: a wrong card, weights for a box that takes none.
    """
    plugin, path, more = find_embedder(name_or_card, weights)
    return plugin.load(path, **more, **options)


def check_embedder(name_or_card: str, weights: Path | str | None = None) -> None:
    """Raise what `load_embedder` would, as far as it can be told without loading or asking the model.

    A Python target's module is imported; a service's card is read, and its secrets are looked for.
    """
    plugin, _, more = find_embedder(name_or_card, weights)
    if plugin.check is not None:
        plugin.check(**more)


def find_embedder(
    name_or_card: str, weights: Path | str | None = None
) -> tuple[EmbedderPlugin, Path | None, dict[str, Any]]:
    """(plugin, weights file, its options): all that can be checked of a name before the model is loaded.

    Raises:
        PluginError, WeightsError, ArtifactError, UsageError, DataError: as `load_embedder`.
    """
    if name_or_card.startswith("python:"):
        _no_weights(name_or_card, weights)
        return EMBEDDERS.get("python"), None, {"target": name_or_card.removeprefix("python:")}
    if name_or_card.lower().endswith(".toml"):
        toml = Path(name_or_card).expanduser()
        require_card(toml)
        _no_weights(toml.name, weights)
        card = parse_card(toml)
        if card.kind not in EMBEDDERS.names():
            near = suggest(card.kind, EMBEDDERS.names())
            raise UsageError(f"{toml.name}: unknown kind '{card.kind}'", f"{near}use onnx or http")
        return EMBEDDERS.get(card.kind), None, {"card": toml}
    if name_or_card not in EMBEDDERS.names():
        _is_a_model_file(name_or_card)
    plugin = EMBEDDERS.get(name_or_card)
    if plugin.name in NEEDS_TARGET:
        raise UsageError(f"embedder '{plugin.name}' needs to know what to audit", NEEDS_TARGET[plugin.name])
    path = Path(weights).expanduser() if weights is not None else _known_weights(plugin)
    if path is not None and not path.is_file():
        raise WeightsError(f"embedder '{plugin.name}': no weights file {path}", "check --weights")
    if path is None:
        reason = plugin.available() if plugin.available else ""
        if reason:
            extra = plugin.extra or plugin.name
            raise PluginError(f"embedder '{plugin.name}': {reason}", f"pip install 'fraudit[{extra}]'")
    return plugin, path, {}


_MODEL_FILES = (
    ".onnx", ".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".hdf5", ".keras", ".pb", ".tflite", ".engine", ".trt",
    ".plan", ".mlmodel", ".mlpackage", ".caffemodel", ".params", ".pdparams", ".bin", ".dat",
)  # fmt: skip


def _is_a_model_file(name: str) -> None:
    """Raises UsageError where a model's own file is named, with the way to audit it."""
    path = Path(name).expanduser()
    suffix = path.suffix.lower()
    if suffix not in _MODEL_FILES:
        return
    drafts = [p.draft for _, p in EMBEDDERS.items() if suffix in p.suffixes and p.draft is not None]
    if not drafts:
        raise UsageError(
            f"{path.name}: a {suffix} file alone cannot be run",
            "export it as ONNX and describe that with a card, or name a function of yours that runs it: "
            "python:module:callable; weights of a known embedder go with --embedder NAME --weights FILE",
        )
    drawn = drafts[0](path)
    missing = ", ".join(drawn.open)
    raise UsageError(
        f"{path.name}: an ONNX model needs a card, which says how its faces are made",
        f"fraudit card {name[:200]} --out {path.stem[:60]}.toml writes this and checks it; or save it "
        f"beside the model, complete {missing}, and use --embedder {path.stem[:60]}.toml; docs/cards.md",
        drawn.text,
    )


def draft_of(name: str) -> Any:
    """A card drafted from a model's file: `text` and `open`, the keys to look at.

    Raises:
        UsageError: not a file that a card can be drafted from. WeightsError: no such file, or a damaged one.
    """
    path = Path(name).expanduser()
    drafts = [
        p.draft for _, p in EMBEDDERS.items() if path.suffix.lower() in p.suffixes and p.draft is not None
    ]
    if not drafts or path.is_dir():
        found = (
            "a folder" if path.is_dir() else f"'{path.suffix}'" if path.suffix else "a file without an ending"
        )
        raise UsageError(
            f"{name}: expected an ONNX file, found {found}", "name the model's .onnx file; export it first"
        )
    return drafts[0](path)


def _no_weights(name: str, weights: Path | str | None) -> None:
    if weights is not None:
        raise UsageError(f"--weights does not go with {name}", "name the model file in the card")


def _known_weights(plugin: EmbedderPlugin) -> Path | None:
    """The file of the plugin's known weights, or None where it needs none.

    Raises:
        WeightsError: nothing is there (the hint says which command gets it), or the hash is wrong.
    """
    if plugin.spec.weights is None:
        return None
    from fraudit.weights.catalogue import check, locate_entry, missing_hint

    found = locate_entry(plugin.spec.weights)
    if found is None:
        raise WeightsError(
            f"embedder '{plugin.name}': its weights are not on this machine",
            missing_hint(plugin.spec.weights),
        )
    entry, path = found
    check(entry, path)
    return path
