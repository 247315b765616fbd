"""What papers published, to stand beside what is measured here: on other models, never the same experiment."""

from __future__ import annotations

from fraudit.types import MethodCard

REAL = 0.9983  # real pictures in the place of reconstructions: LFW, ID3PM, Table 2

ID3PM = MethodCard(
    source="Kansy et al. 2023",
    attacker="vectors",
    samples="one-to-many",
    training="a diffusion network: hours on a CPU for the bundled size",
    data="faces with their vectors; the bundled one had 33,688",
    questions="none; its training asked for the vectors of its pictures",
    scale="64 px and two CPU cores for 256 px and days on a GPU",
    published=(
        ("InsightFace vectors (ID3PM, Table 2)", 0.9920),
        ("FaceNet vectors (ID3PM, Table 2)", 0.9765),
    ),
    get="fraudit train --embedder NAME --dataset celeba,utkface --out DIR",
)
