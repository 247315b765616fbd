"""`fraudit train-linear`: the closed-form inverter of a black box."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudit.cli.invert import Embedder, Seed, Weights


def train_linear(
    embedder: Embedder,
    dataset: Annotated[str, typer.Option(help="Training faces: names or paths, comma-separated. Never LFW.")],
    out: Annotated[Path, typer.Option(help="Folder for the trained inverter.")],
    weights: Weights = None,
    components: Annotated[int, typer.Option(help="Eigenfaces that the residual is drawn in.")] = 200,
    size: Annotated[int, typer.Option(help="Side of the pictures in pixels.")] = 64,
    features: Annotated[str, typer.Option(help="linear, or rbf (Mignon and Jurie 2013).")] = "linear",
    detector: Annotated[str | None, typer.Option(help="yunet, dlib, mtcnn or scrfd.")] = None,
    seed: Seed = 0,
) -> None:
    """Train the closed-form inverter: a ridge regression from ID vectors to eigenfaces.

    Example: fraudit train-linear --embedder dlib --dataset celeba,utkface --out inverters/linear-dlib
    """
    from fraudit.cli.analyze import split
    from fraudit.embedding.loading import load_embedder
    from fraudit.embedding.runtime import EmbedderRuntime
    from fraudit.errors import UsageError, suggest
    from fraudit.files.store import Store
    from fraudit.inverters.linear import FEATURES, save, train
    from fraudit.inverters.sources import training_pool
    from fraudit.progress.console import Line

    kind = next((known for known in FEATURES if known == features), None)
    if kind is None:
        raise UsageError(
            f"unknown features '{features}'", f"{suggest(features, FEATURES)}known: {', '.join(FEATURES)}"
        )
    with Line() as line:
        runtime = EmbedderRuntime(load_embedder(embedder, weights=weights), Store())
        pool = training_pool(runtime, split([dataset]), size, detector, line.progress)
        line.say(f"{len(pool.images):,} faces; fitting the regression and {components} eigenfaces")
        trained = train(
            pool.images,
            pool.vectors,
            pool.subjects,
            pool.about,
            components=components,
            features=kind,
            seed=seed,
            show=line.progress,
        )
        save(trained, out)
    held = trained.card["held_out"]
    typer.echo(f"{out}: R2 of the pixels on {held['people']} held-out people {held['r2']}")


def register(app: typer.Typer) -> None:
    """Add the command of this topic."""
    app.command("train-linear")(train_linear)
