"""The bundled `sample` set as an inverter would draw it: would its people be told apart better?

    python benchmarks/sample_inverted.py --weights WEIGHTS [--embedder dlib] [--temperatures 1,0.5,0.3]

The ID vector of each person's first picture is inverted with as many seeds as the person has pictures. Prints, beside
the set as it is, what docs/sample.md records: faces that YuNet finds, and MobileFaceNet's genuine and impostor
cosines over all pairs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from check_sample import aligned, embed, read_sample, verification
from numpy.typing import NDArray
from sample_model import CANVAS, F64, detect, face_detector

from fraudit.api import open_inverter
from fraudit.diffusion.training.upscaler_evaluate import made_large
from fraudit.faces.sources import open_faces, take
from fraudit.inverters.geometry import landmarks_of

MODEL = "MobileFaceNet.onnx"


def main() -> None:
    """Parse the options, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="folder of YuNet and MobileFaceNet")
    parser.add_argument("--embedder", default="dlib")
    parser.add_argument("--inverter", default="auto")
    parser.add_argument("--temperatures", default="1,0.5,0.3")
    parser.add_argument("--sample", type=Path, default=Path("fraudit/data/sample/sample.zip"))
    options = parser.parse_args()
    pictures, subject, declared = read_sample(options.sample)
    detector = face_detector(options.weights, (CANVAS, CANVAS), score=0.6)

    def told(name: str, shown: list[NDArray[np.uint8]], points: F64) -> None:
        found = sum(detect(detector, np.ascontiguousarray(p[..., ::-1])) is not None for p in shown)
        told_apart = verification(embed(options.weights, MODEL, aligned(shown, points)), subject)
        print(f"{name}: YuNet finds {found} of {len(shown)}; {told_apart}", flush=True)

    told("the set as it is", pictures, declared)
    inverter, runtime = open_inverter(options.embedder, options.inverter)
    faces = open_faces(str(options.sample))
    first = np.array([np.flatnonzero(subject == person)[0] for person in range(subject.max() + 1)])
    vectors = runtime.embed_faces(take(faces, first)).vectors[subject]
    seeds = np.array([int((subject[:i] == person).sum()) for i, person in enumerate(subject)])
    points = np.repeat(landmarks_of(CANVAS)[None].astype(np.float64), len(subject), 0)
    for temperature in (float(text) for text in options.temperatures.split(",")):
        made = inverter.invert(vectors, seeds, temperature=temperature)
        name = f"{inverter.name} of {options.embedder}, temperature {temperature:g}"
        told(name, list(made_large(made, CANVAS)), points)


if __name__ == "__main__":
    main()
