"""`fraudit embed`: ID vectors of a folder or a known set into one .npz file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from fraudit.cli.engines import Address, Engine, Place, Workers, engine_of


def embed(
    embedder: Annotated[str, typer.Option(help="Registry name, card.toml, or python:module:callable.")],
    images: Annotated[
        str, typer.Option("--images", "--dataset", help="Folder of pictures, zip, or known set.")
    ],
    out: Annotated[Path, typer.Option(help="The .npz file to write.")],
    weights: Annotated[Path | None, typer.Option(help="The model's weights file.")] = None,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The pictures are faces in the model's own template and size.")
    ] = False,
    flip: Annotated[str, typer.Option(help="none, sum (mirror added, then L2) or concat.")] = "none",
    detector: Annotated[str | None, typer.Option(help="yunet, dlib, mtcnn or scrfd.")] = None,
    several_faces: Annotated[
        str, typer.Option(help="most_central, largest or highest_score.")
    ] = "most_central",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Remember and reuse nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    engine: Engine = "local",
    address: Address = "",
    store: Place = "",
    workers: Workers = None,
) -> int:
    """Embed pictures: arrays `ids`, `vectors` f32[N,D], `ok` bool[N] (and `reasons`, `subjects`).

    A second run embeds nothing, a killed one goes on where it was.

    Example: fraudit embed --embedder dlib --images sample --out vectors.npz
    """
    from fraudit.audit.plan import AuditPlan
    from fraudit.embedding.loading import load_embedder
    from fraudit.embedding.runtime import EmbedderRuntime, check_flip, what_to_check
    from fraudit.errors import DataError, UsageError
    from fraudit.faces.detect import Locator
    from fraudit.faces.sources import open_faces
    from fraudit.files.store import Store
    from fraudit.files.vectors import write_vectors
    from fraudit.progress.console import Line

    check_flip(flip)
    if out.suffix != ".npz":
        raise UsageError(f"--out {out}: expected a file name that ends in .npz")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; expected a file name that ends in .npz")
    line = Line(quiet)
    faces = open_faces(images, need_people=False)
    for reason, count in faces.left_out.items():
        line.say(f"left out: {count:,} {reason}")
    if len(faces) == 0:
        raise DataError(f"no picture in {images}")
    plan = AuditPlan(
        embedder,
        images,
        str(weights) if weights else None,
        detector=detector or None,
        several_faces=several_faces,
    )
    asked = engine_of(plan, engine, address, store, workers, need_people=False)
    memory, loaded = Store(), load_embedder(embedder, weights=weights)
    elsewhere = asked() if asked else None
    if elsewhere is None:
        runtime = EmbedderRuntime(loaded, None if no_cache else memory)
    else:
        elsewhere.begin(faces)
        runtime = elsewhere.runtime(embedder, plan.weights, loaded, memory)
    for note in runtime.loaded.notes:
        line.say(f"note: {note}")
    locate = None if aligned or faces.landmarks is not None else Locator(detector or "", several_faces)
    with line:
        answer = runtime.embed_faces(
            faces,
            flip=flip,
            aligned=aligned,
            locate=locate,
            progress=lambda done, total: line.progress(f"embedding with {runtime.spec.name}", done, total),
            workers=workers,
        )
    runtime.close()
    if elsewhere is not None:
        elsewhere.close()
    failed = [(faces.ids[i], reason) for i, reason in enumerate(answer.reasons) if reason]
    if len(failed) == len(faces):
        reason, count = Counter(reason for _, reason in failed).most_common(1)[0]
        raise DataError(
            f"none of the {len(faces)} faces gave a vector; {count} times: {reason} (first: {failed[0][0]})",
            what_to_check(reason, "is --aligned right? fraudit embedders shows the size each model wants"),
        )
    write_vectors(out, faces, answer.vectors, answer.ok, answer.reasons)
    bill = f"{runtime.queries:,} queries, {len(failed):,} failures"
    line.say(f"{out}: {len(faces):,} faces, {answer.vectors.shape[1]}-d, {bill}")
    for name, reason in failed[:5]:
        line.say(f"  no vector: {name}: {reason}")
    if len(failed) > 5:
        line.say(f"  and {len(failed) - 5:,} more; the array `reasons` has them all")
    return 0


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("embed")(embed)
