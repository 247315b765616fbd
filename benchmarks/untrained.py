"""The official architectures with seeded random weights, as files that their embedders load.

    python benchmarks/untrained.py FOLDER [SEED]

writes adaface.ckpt, arcface.pt, facenet.pt, from.pth.tar and dlib_random.py (a `python:` target), and prints what
`fraudit doctor --embedder` takes for each; the last needs FOLDER in PYTHONPATH. The smallest official depth is used;
weights are torch's own first draw.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from fraudit.embedders import adaface, from_
from fraudit.embedders.networks.inception import InceptionResnetV1
from fraudit.embedders.networks.iresnet import DEPTHS, IResNet
from fraudit.embedders.networks.occlusion import OccNet

DLIB = """import numpy as np
import torch
from fraudit.embedders.dlib import SPEC
from fraudit.embedders.dlib_network import DlibNetwork

torch.manual_seed({seed})
NETWORK = DlibNetwork().eval()


def embed(faces):
    with torch.inference_mode():
        return NETWORK(torch.from_numpy(SPEC.preprocess.to_nchw(faces))).numpy()


embed.size, embed.template, embed.dim = (150, 150), "dlib-150", 128
"""
SMALLEST = DEPTHS[18]


def drawn(make: Callable[[], nn.Module], seed: int) -> dict[str, torch.Tensor]:
    """The first state of a network under this seed."""
    torch.manual_seed(seed)
    return dict(make().state_dict())


def write(folder: Path, seed: int = 0) -> dict[str, tuple[str, Path | None]]:
    """Architecture -> (embedder, weights file or None); the files lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    ada = adaface.official_key(SMALLEST)
    states: dict[str, tuple[str, dict[str, torch.Tensor]]] = {
        "adaface": (
            "adaface.ckpt",
            {
                f"model.{ada(key)}": value
                for key, value in drawn(
                    lambda: IResNet(SMALLEST, project_same=False, affine=False), seed
                ).items()
            },
        ),
        "arcface": ("arcface.pt", drawn(lambda: IResNet(SMALLEST), seed)),
        "facenet": ("facenet.pt", drawn(InceptionResnetV1, seed)),
        "from": (
            "from.pth.tar",
            {from_.official_key(key): value for key, value in drawn(OccNet, seed).items()},
        ),
    }
    found: dict[str, tuple[str, Path | None]] = {}
    for name, (file, state) in states.items():
        torch.save({"state_dict": state}, folder / file)
        found[name] = (name, folder / file)
    (folder / "dlib_random.py").write_text(DLIB.format(seed=seed))
    found["dlib"] = ("python:dlib_random:embed", None)
    return found


def main() -> None:
    for name, (embedder, weights) in write(Path(sys.argv[1]), int((sys.argv[2:] or ["0"])[0])).items():
        print(f"{name}: --embedder {embedder}" + (f" --weights {weights}" if weights else ""))


if __name__ == "__main__":
    main()
