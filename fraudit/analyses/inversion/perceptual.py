"""Scores of other networks on pictures: FID, LPIPS, pose and expression.

Each is either computed or stated missing with the reason; nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.analyses.inversion.measure import Sources
from fraudit.analyses.shared.counted import counted_metric
from fraudit.inverters.geometry import landmarks_of
from fraudit.stats.inversion import mean_of, pairwise_distance
from fraudit.types import F64, U8, Metric

INCEPTION = "pt_inception-2015-12-05-6726825d.pth"  # the file torch-fidelity publishes
ALEXNET = "alexnet-owt-7be5be79.pth"  # the file torchvision publishes
FULL_FID = 2048  # faces below which the covariance of Inception's 2,048 features is singular


def _weights(name: str) -> Path | None:
    folders = [os.environ.get("FRAUDIT_WEIGHTS"), os.environ.get("TORCH_HOME")]
    tried = [Path(f) / part for f in folders if f for part in ("", "hub/checkpoints")]
    tried.append(Path.home() / ".cache" / "torch" / "hub" / "checkpoints")
    return next((folder / name for folder in tried if (folder / name).is_file()), None)


def absent(package: str, name: str) -> str:
    """Why a metric of torchmetrics cannot be computed here, or ''."""
    gone = [p for p in ("torchmetrics", package) if importlib.util.find_spec(p) is None]
    if gone:
        return f"{' and '.join(gone)} not installed: pip install 'fraudit[fid]'"
    return (
        "" if _weights(name) else f"the weights {name} are neither in $FRAUDIT_WEIGHTS nor in torch's cache"
    )


def fid(real: U8, made: U8, extractor: Any = 2048) -> float:
    """FID through torchmetrics of u8[N,S,S,3] against u8[M,S,S,3].

    Args:
        extractor: torchmetrics' `feature`: 2048 for Inception, or a module that gives features.
    """
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    path = _weights(INCEPTION) if isinstance(extractor, int) else None
    metric = FrechetInceptionDistance(
        feature=extractor, feature_extractor_weights_path=str(path) if path else None
    )
    for pictures, is_real in ((real, True), (made, False)):
        for start in range(0, len(pictures), 32):
            batch = torch.from_numpy(np.ascontiguousarray(pictures[start : start + 32].transpose(0, 3, 1, 2)))
            metric.update(batch, real=is_real)
    return float(metric.compute())


def lpips_spread(pictures: U8, samples: int) -> F64:
    """f64[N]: mean pairwise LPIPS (AlexNet) among `samples` pictures of each of N vectors."""
    import torch
    from torchmetrics.functional.image.lpips import learned_perceptual_image_patch_similarity as lpips

    i, j = np.triu_indices(samples, 1)
    out = np.zeros(len(pictures) // samples)
    for n in range(len(out)):
        group = np.ascontiguousarray(pictures[n * samples : (n + 1) * samples].transpose(0, 3, 1, 2))
        x = torch.from_numpy(group).float() / 127.5 - 1
        with torch.inference_mode():
            out[n] = float(lpips(x[i], x[j], net_type="alex"))
    return out


def perceptual_metrics(sources: Sources, shown: U8, samples: int, people: np.ndarray) -> list[Metric]:
    """FID and LPIPS where torchmetrics and its weights are present; pose and expression by 3DDFA."""
    text = "FID (Inception) of reconstructions to sources"
    reason = absent("torch_fidelity", INCEPTION)
    if not reason and len(sources.rows) < 2:
        reason = "fewer than two reconstructions"
    if reason:
        found = [Metric("inversion.fid", None, missing=reason, better="lower", label=text)]
    else:
        bias = " (strongly biased: fewer pictures than features)" if len(sources.rows) < FULL_FID else ""
        value = fid(sources.real, sources.pictures)
        why = "FID is biased by an amount that depends on n: compare it at equal n"
        found = [
            Metric(
                "inversion.fid",
                value,
                n=len(sources.rows),
                better="lower",
                label=text + bias,
                interval_missing=why,
            )
        ]
    text = "Mean pairwise LPIPS among samples of one vector"
    reason = absent("torchvision", ALEXNET)
    if reason:
        found.append(Metric("inversion.lpips_diversity", None, missing=reason, label=text))
    else:
        found.append(
            counted_metric(
                "inversion.lpips_diversity",
                mean_of(lpips_spread(shown, samples), people),
                "",
                text,
                n_unit="vectors",
            )
        )
    return found + pose_metrics(shown, samples, people)


def pose_spreads(pictures: U8, samples: int) -> tuple[F64, F64]:
    """f64[N] each: mean pairwise distance of pose (degrees) and of expression among the samples of N sources.

    Raises:
        WeightsError: 3DDFA_V2 is not here.
    """
    from fraudit.faces.pose3d import angles, expression, open_pose3d

    points = np.repeat(landmarks_of(pictures.shape[1])[None], len(pictures), axis=0)
    parameters = open_pose3d().parameters(pictures, points)
    return pairwise_distance(angles(parameters), samples), pairwise_distance(expression(parameters), samples)


def pose_metrics(shown: U8, samples: int, people: np.ndarray) -> list[Metric]:
    """Mean pairwise distance of pose and expression among samples of one vector (ID3PM, Table 3)."""
    from fraudit.faces.pose3d import missing

    names = (
        ("inversion.pose_diversity", "deg", "pose (yaw, pitch, roll)"),
        ("inversion.expression_diversity", "", "expression (ten coefficients)"),
    )
    end = "among samples of one vector, 3DDFA_V2"
    reason = missing()
    if reason:
        return [
            Metric(n, None, unit=u, missing=reason, label=f"Mean pairwise {t} {end}") for n, u, t in names
        ]
    found = []
    for (name, unit, text), values in zip(names, pose_spreads(shown, samples), strict=True):
        spread = mean_of(values, people)
        label = f"Mean pairwise {text} distance {end}"
        found.append(counted_metric(name, spread, "", label, unit=unit, n_unit="vectors"))
    return found
