"""What the inversion audit measures where more is present: memory of training faces, LPIPS, FID, pose.

Each is either computed or stated missing with the reason; nothing is downloaded.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.inversion.rates import OTHER_LEVEL, Cloud, cloud
from fraudit.analyses.inversion.words import counted_metric, key, who
from fraudit.errors import InsufficientData
from fraudit.stats.inversion import mean_of
from fraudit.types import F32, F64, U8, Finding, Metric, Severity

if TYPE_CHECKING:
    from fraudit.analyses.inversion import Params
    from fraudit.analyses.inversion.measure import Sources, Verdict

INCEPTION = "pt_inception-2015-12-05-6726825d.pth"  # the file torch-fidelity publishes
ALEXNET = "alexnet-owt-7be5be79.pth"  # the file torchvision publishes
MEMORY_MEDIUM = 0.05  # rule `inversion.memory`, in cosine
FULL_FID = 2048  # faces below which the covariance of Inception's 2,048 features is singular


def cloud_metrics(params: Params, sources: Sources, verdicts: Sequence[Verdict]) -> list[Metric]:
    """Frechet distance, precision and recall in each judge's feature space, named as such."""
    found = []
    for v in verdicts:
        base, name = f"inversion.{key(v.name, v.own)}", who(v.name, v.own)
        space = f"in the feature space of {name}"
        try:
            c = cloud(params, sources, v)
        except InsufficientData as error:
            for part in ("frechet", "precision", "recall"):
                found.append(Metric(f"{base}.{part}", None, missing=error.message, label=f"{part} {space}"))
            continue
        found += _cloud(c, base, space)
    return found


def _cloud(c: Cloud, base: str, space: str) -> list[Metric]:
    size = f"{c.n} vectors of {c.dim} dimensions a side"
    few = " (fewer vectors than dimensions: compare only at equal n)" if c.n <= c.dim else ""
    found = []
    for tail, what, value, interval, cover in (
        ("", "reconstructions to sources", c.made, c.made_interval, c.coverage),
        (
            "_real",
            "sources at the inverter's resolution to sources",
            c.real,
            c.real_interval,
            c.coverage_real,
        ),
    ):
        found.append(
            Metric(f"{base}.frechet{tail}", value, n=c.n, interval=interval, n_unit="vectors",
                   interval_missing=c.reason,
                   label=f"Frechet distance of {what}, unit vectors, {space}, {size}{few}")
        )  # fmt: skip
        for part, share, span, why in (
            ("precision", cover.precision, cover.precision_interval, cover.precision_reason),
            ("recall", cover.recall, cover.recall_interval, cover.recall_reason),
        ):
            found.append(
                Metric(f"{base}.{part}{tail}", share, n=c.n, interval=span, interval_missing=why, n_unit="vectors",
                       label=f"{part.capitalize()} of {what}, {cover.k} neighbours, {space}")
            )  # fmt: skip
    return found


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


def outside_metrics(sources: Sources, shown: U8, samples: int, people: np.ndarray) -> list[Metric]:
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
            Metric("inversion.fid", value, n=len(sources.rows), better="lower", label=text + bias,
                   interval_missing=why)
        ]  # fmt: skip
    text = "Mean pairwise LPIPS among samples of one vector"
    reason = absent("torchvision", ALEXNET)
    if reason:
        found.append(Metric("inversion.lpips_diversity", None, missing=reason, label=text))
    else:
        found.append(
            counted_metric(
                "inversion.lpips_diversity", mean_of(lpips_spread(shown, samples), people), "", text,
                n_unit="vectors",
            )
        )  # fmt: skip
    return found + pose_metrics(shown, samples, people)


def pairwise_distance(values: F64, samples: int) -> F64:
    """f64[N]: mean pairwise Euclidean distance among the `samples` rows of each of N sources, f64[N*K,C]."""
    i, j = np.triu_indices(samples, 1)
    groups = np.asarray(values, np.float64).reshape(-1, samples, values.shape[1])
    return np.asarray(np.linalg.norm(groups[:, i] - groups[:, j], axis=2).mean(axis=1))


def pose_metrics(shown: U8, samples: int, people: np.ndarray) -> list[Metric]:
    """Mean pairwise distance of pose and expression among samples of one vector (ID3PM, Table 3)."""
    from fraudit.faces.pose3d import angles, expression, missing, open_pose3d
    from fraudit.inverters.geometry import landmarks_of

    names = (
        ("inversion.pose_diversity", "deg", "pose (yaw, pitch, roll)", angles),
        ("inversion.expression_diversity", "", "expression (ten coefficients)", expression),
    )
    end = "among samples of one vector, 3DDFA_V2"
    reason = missing()
    if reason:
        return [
            Metric(n, None, unit=u, missing=reason, label=f"Mean pairwise {t} {end}") for n, u, t, _ in names
        ]
    points = np.repeat(landmarks_of(shown.shape[1])[None], len(shown), axis=0)
    parameters = open_pose3d().parameters(shown, points)
    found = []
    for name, unit, text, read in names:
        spread = mean_of(pairwise_distance(read(parameters), samples), people)
        label = f"Mean pairwise {text} distance {end}"
        found.append(counted_metric(name, spread, "", label, unit=unit, n_unit="vectors"))
    return found


def _nearest(points: F32, pool: F32) -> F64:
    """f64[N]: highest cosine of each unit row to the unit rows of `pool`."""
    return np.concatenate(
        [(points[i : i + 256] @ pool.T).max(axis=1) for i in range(0, len(points), 256)]
    ).astype(np.float64)


def memory_excess(
    made: F32, real: F32, training: F32, strangers: F32, rng: np.random.Generator
) -> tuple[F64, int]:
    """(f64[N], faces in either pool): how much nearer reconstructions lie to training faces than chance.

    (T_made - P_made) - (T_real - P_real), where T is the highest cosine to a training face and P that to as
    many faces of people who were not trained on: that a set is nearer to another one, and that
    reconstructions are nearer to everybody, cancels out.
    """
    size = min(len(training), len(strangers))
    t = training[rng.choice(len(training), size, replace=False)]
    p = strangers[rng.choice(len(strangers), size, replace=False)]
    return (_nearest(made, t) - _nearest(made, p)) - (_nearest(real, t) - _nearest(real, p)), size


def memory(
    context: Any, params: Params, sources: Sources, verdict: Verdict
) -> tuple[Finding | None, list[Metric]]:
    """Whether reconstructions are faces the inverter was trained on, judged by one model."""
    name, label = "inversion.memory", "Nearness of reconstructions to training faces beyond chance, in cosine"

    def missing(reason: str) -> tuple[None, list[Metric]]:
        return None, [Metric(name, None, missing=reason, better="lower", label=label)]

    if not params.training:
        return missing("the training sets were not named: --param inversion.training=celeba,utkface")
    from fraudit.faces.detect import Locator
    from fraudit.faces.sources import open_faces

    boxes = (context.embedder, *context.judges)
    box = next(b for b in boxes if b.spec.name == verdict.name)
    pools = []
    for dataset in params.training:
        faces = open_faces(dataset)
        if faces.digest == context.faces.digest:
            return missing(f"'{faces.name}' is the audited set itself: its people were trained on")
        rng = context.rng(f"inversion/memory/{faces.name}")
        count = min(len(faces), params.training_faces)
        rows = np.sort(rng.choice(len(faces), count, replace=False))
        context.progress(f"searching {count:,} training faces of {faces.name}")
        locate = None if faces.landmarks is not None else Locator()
        known = box.embed_faces(faces, indices=rows, locate=locate)
        pools.append(known.unit()[known.ok])
    training = np.concatenate(pools)
    everyone = context.embeddings(box)
    others = everyone.ok & ~np.isin(context.faces.subjects, sources.people)
    use = verdict.ok_made & verdict.ok_real
    if min(len(training), int(others.sum())) < 10 or not use.any():
        return missing("fewer than ten training faces or ten faces of other people")
    excess, size = memory_excess(
        verdict.unit_made[use], verdict.unit_real[use], training, everyone.unit()[others],
        context.rng("inversion/memory"),
    )  # fmt: skip
    found = mean_of(excess, sources.people[use])
    metric = Metric(
        name, found.value, n=found.n, interval=found.interval, interval_missing=found.reason, better="lower",
        n_unit="reconstructions",
        label=f"{label}, by {who(verdict.name, verdict.own)}; pools of {size:,} faces",
    )  # fmt: skip
    sure = mean_of(excess, sources.people[use], OTHER_LEVEL).interval
    if sure is None or sure.low <= 0:
        return None, [metric]
    text = (
        f"Reconstructions lie {found.value:.3f} in cosine nearer to training faces than chance (at least "
        f"{sure.low:.3f}, at a level for all findings of this section; {found.n:,} reconstructions, {size:,} training "
        "faces): the inverter remembers some."
    )
    severity: Severity = "medium" if sure.low >= MEMORY_MEDIUM else "low"
    return Finding(severity, text, (name,), "inversion.memory"), [metric]
