"""Variance of FNMR and FMR by cimat (Fogliato et al., arXiv 2306.01198): an .npz of pairs, rounds -> JSON."""

import json
import sys
import time

import numpy as np
from cimat import UncertaintyEstimator

with np.load(sys.argv[1]) as stored:
    left, right, scores, threshold = (stored[name] for name in ("left", "right", "scores", "threshold"))
table = {int(person): {} for person in np.unique(np.concatenate([left, right]))}
for a, b, score in zip(left.tolist(), right.tolist(), scores.tolist(), strict=True):
    table[a].setdefault(b, []).append(score)
    if a != b:
        table[b].setdefault(a, []).append(score)
estimator = UncertaintyEstimator(scores=table)
best = float("inf")
for _ in range(int(sys.argv[2])):
    started = time.perf_counter()
    variances = estimator.compute_variance(threshold=float(threshold))
    best = min(best, time.perf_counter() - started)
print(json.dumps({"seconds": best, "fnmr": float(variances[0]), "fmr": float(variances[1])}))
