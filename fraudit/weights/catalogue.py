"""Known weights: where each file comes from, its hash, its licence; find, fetch, import and verify them.

Files are looked for in the weights folder ($FRAUDIT_WEIGHTS_HOME, else the user's data folder) and then,
read-only, in $FRAUDIT_WEIGHTS. A file whose hash is known and differs is refused, never used silently.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraudit.errors import ArtifactError, UsageError, WeightsError, suggest
from fraudit.files.doors import check_regular, read_json
from fraudit.files.store import file_sha256, write_text_atomic

_ADAFACE = "code MIT; weights: no statement by the authors, trained on research data"
_ARCFACE = "code MIT; weights non-commercial research only"
_DRIVE = "https://drive.google.com/file/d/{}/view"


@dataclass(frozen=True, slots=True)
class KnownWeights:
    """One published file.

    Attributes:
        name: what `fraudit weights` calls it.
        embedder: the plugin that reads it.
        file: its name in the weights folder.
        source: the publisher's page.
        licence: one line, shown and asked for once.
        url: direct download, '' where a person has to get it from `source` (then: `import`).
        sha256, size: of the file, '' and 0 where nobody published them.
        member: the file's place in the downloaded zip, '' where `url` gives the file itself.
        download_sha256: of what `url` gives, where that is a zip.
        also: other places where the publisher's own software keeps it.
    """

    name: str
    embedder: str
    file: str
    source: str
    licence: str
    url: str = ""
    sha256: str = ""
    size: int = 0
    member: str = ""
    download_sha256: str = ""
    also: tuple[str, ...] = ()


def _adaface(arch: str, data: str, drive: str) -> KnownWeights:
    name = f"adaface-{arch}-{data}"
    return KnownWeights(name, "adaface", f"adaface_{arch}_{data}.ckpt", _DRIVE.format(drive), _ADAFACE)


# In order of preference within one embedder.
KNOWN: dict[str, KnownWeights] = {
    entry.name: entry
    for entry in (
        _adaface("ir50", "ms1mv2", "1eUaSHG4pGlIZK7hBkqjyp2fc2epKoBvI"),
        _adaface("ir50", "webface4m", "1BmDRrhPsHSbXcWZoYFPJg2KJn1sd3QpN"),
        _adaface("ir50", "casia", "1g1qdg7_HSzkue7_VrW64fnWuHl0YL2C2"),
        _adaface("ir101", "webface12m", "1dswnavflETcnAuplZj1IOKKP0eM8ITgT"),
        _adaface("ir101", "webface4m", "18jQkqB0avFqWa0Pas52g54xNshUOQJpQ"),
        _adaface("ir101", "ms1mv3", "1hRI8YhlfTx2YMzyDwsqLTOxbyFVOqpSI"),
        _adaface("ir101", "ms1mv2", "1m757p4-tUU5xlSHLaO04sqnhvqankimN"),
        _adaface("ir18", "webface4m", "1J17_QW1Oq00EhSWObISnhWEYr2NNrg2y"),
        _adaface("ir18", "vgg2", "1k7onoJusC0xjqfjB-hNNaxz9u6eEzFdv"),
        _adaface("ir18", "casia", "1BURBDplf2bXpmwOL1WVzqtaVmQl9NpPe"),
        KnownWeights(
            "arcface-r100-ms1mv3",
            "arcface",
            "ms1mv3_arcface_r100_fp16.pth",
            "https://github.com/deepinsight/insightface/tree/master/recognition/arcface_torch (model zoo; "
            "ms1mv3_arcface_r100_fp16/backbone.pth)",
            _ARCFACE,
        ),
        KnownWeights(
            "arcface-torchtest",
            "arcface",
            "torchtest.pt",
            "the repository of 'Gaussian sampling' (black-box face recovery), its ArcFace checkpoint",
            _ARCFACE,
            sha256="085960e2f85a5805b467a3dabb788de176a1ddd745434924bb8bff2bd8626f1f",
            size=261_021_498,
        ),
        KnownWeights(
            "facenet-vggface2",
            "facenet",
            "20180402-114759-vggface2.pt",
            "https://github.com/timesler/facenet-pytorch (release v2.2.9)",
            "code MIT; weights MIT by their publisher, trained on VGGFace2 (research data)",
            url="https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/20180402-114759-vggface2.pt",
            sha256="281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        ),
        KnownWeights(
            "facenet-tensorflow",
            "facenet",
            "20180402-114759.pb",
            _DRIVE.format("1EXPBSXwTaqrSC0OhUdXNmKSh9qJUQ55-") + " (20180402-114759.pb in the zip)",
            "code MIT; weights trained on VGGFace2 (research data)",
        ),
        KnownWeights(
            "from-p5",
            "from",
            "model_p5_w1_9938_9470_6503.pth.tar",
            "https://github.com/haibo-qiu/FROM (pretrained models in its README)",
            "no licence stated by the authors",
        ),
        KnownWeights(
            "insightface-buffalo_l",
            "insightface",
            "w600k_r50.onnx",
            "https://github.com/deepinsight/insightface/releases/tag/model-zoo (buffalo_l.zip)",
            _ARCFACE,
            url="https://github.com/deepinsight/insightface/releases/download/model-zoo/buffalo_l.zip",
            sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
            member="w600k_r50.onnx",
            download_sha256="80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
            also=("~/.insightface/models/buffalo_l/w600k_r50.onnx",),
        ),
    )
}


def weights_home() -> Path:
    """Folder that `fetch` and `import` write to."""
    named = os.environ.get("FRAUDIT_WEIGHTS_HOME")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("fraudit")) / "weights"


def known(name: str) -> KnownWeights:
    """The entry called `name`; an embedder's name gives its preferred one.

    Raises:
        UsageError: unknown name.
    """
    if name in KNOWN:
        return KNOWN[name]
    for entry in KNOWN.values():
        if name in (entry.embedder, entry.file):
            return entry
    near = suggest(name, KNOWN)
    raise UsageError(f"unknown weights '{name}'", f"{near}known: {', '.join(KNOWN)}")


def _candidates(name: str) -> Iterator[KnownWeights]:
    """The entry called `name`, or all of an embedder in order of preference."""
    if name in KNOWN:
        yield KNOWN[name]
        return
    yield from (entry for entry in KNOWN.values() if name in (entry.embedder, entry.file))


def places(entry: KnownWeights) -> list[Path]:
    """Paths where the file may lie, in the order they are tried."""
    folders = [weights_home()]
    if os.environ.get("FRAUDIT_WEIGHTS"):
        folders.append(Path(os.environ["FRAUDIT_WEIGHTS"]).expanduser())
    return [folder / entry.file for folder in folders] + [Path(p).expanduser() for p in entry.also]


def locate_entry(name: str) -> tuple[KnownWeights, Path] | None:
    """The known weights `name` (or the first an embedder can use) with their file, or None."""
    for entry in _candidates(name):
        for path in places(entry):
            if path.is_file():
                return entry, path
    return None


def locate(name: str) -> Path | None:
    """The file that `locate_entry` finds, or None. Nothing is hashed."""
    found = locate_entry(name)
    return found[1] if found else None


def missing_hint(name: str) -> str:
    """The exact commands that bring the weights `name` (or an embedder's preferred ones) to this machine."""
    return how_to_get(known(name))


def how_to_get(entry: KnownWeights) -> str:
    """The exact commands that bring the file of `entry` to this machine."""
    if entry.url:
        return f"run: fraudit weights fetch {entry.name}"
    return f"get it from {entry.source}, then run: fraudit weights import {entry.name} FILE"


def sha256_of(path: Path) -> str:
    """sha256 hex of a file, read in pieces. Raises WeightsError where it cannot be read."""
    check_regular(path, "", "", WeightsError)
    try:
        return file_sha256(path)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error


def _records_path() -> Path:
    return weights_home() / "records.json"


def read_records() -> dict[str, Any]:
    """What this machine remembers: {"accepted": {licence key: date}, "files": {file: {sha256, size}}}.

    Raises:
        ArtifactError: the file is not what `fraudit weights` wrote.
    """
    path = _records_path()
    if not path.is_file():
        return {"accepted": {}, "files": {}}
    found = read_json(path, hint="delete it; licences are asked again", kind=ArtifactError)
    if not isinstance(found, dict) or not all(isinstance(found.get(k), dict) for k in ("accepted", "files")):
        raise ArtifactError(f"{path}: not a record of weights", "delete it; licences are asked again")
    return found


def write_records(records: dict[str, Any]) -> None:
    """Replace the records, atomically."""
    write_text_atomic(_records_path(), json.dumps(records, indent=2, sort_keys=True) + "\n")


def expected_sha256(entry: KnownWeights) -> str:
    """The published hash; else the one recorded when the file came into the weights folder; else ''."""
    return entry.sha256 or str(read_records()["files"].get(entry.file, {}).get("sha256", ""))


def check(entry: KnownWeights, path: Path) -> str:
    """sha256 of `path`. Raises WeightsError where another one is expected."""
    found, expected = sha256_of(path), expected_sha256(entry)
    if expected and found != expected:
        raise WeightsError(
            f"{path}: sha256 {found[:12]}..., expected {expected[:12]}...: not the file of {entry.name}",
            f"remove it, then {how_to_get(entry).removeprefix('run: ')}",
        )
    return found
