"""`fraudit adapt`: a trained inverter of one black box, made to serve another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fraudit.types import LoadedEmbedder


def _bundled(source: LoadedEmbedder) -> Path:
    from fraudit.errors import UsageError
    from fraudit.inverters.loading import bundled

    folder = bundled(source, ("id3pm",))
    if folder is None:
        raise UsageError(
            f"no id3pm inverter is bundled for {source.spec.name}",
            "give the folder of a trained one with --inverter, or --source dlib",
        )
    return folder


def _words(entry: dict[str, Any]) -> str:
    if "own" not in entry:
        return str(entry["missing"])
    own, other = entry["own"], entry["other"]
    return (
        f"{own['mean']:.3f} ({own['low']:.3f} to {own['high']:.3f}, n = {own['n']:,}), "
        f"to another person {other['mean']:.3f}"
    )


def adapt(
    embedder: Annotated[
        str, typer.Option(help="The new black box: name, card.toml, or python:module:callable.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of faces, samples and the adapted inverter.")],
    dataset: Annotated[
        str,
        typer.Option(help="Faces that both boxes are shown, comma-separated; '' uses --shards as they are."),
    ] = "",
    source: Annotated[str, typer.Option(help="The black box whose inverter is adapted.")] = "dlib",
    inverter: Annotated[
        str, typer.Option(help="Its inverter: auto (the bundled one), or a folder.")
    ] = "auto",
    weights: Annotated[Path | None, typer.Option(help="The new black box's weights file.")] = None,
    source_weights: Annotated[Path | None, typer.Option(help="The source's weights file.")] = None,
    judge: Annotated[str, typer.Option(help="An independent embedder that judges the result.")] = "",
    judge_weights: Annotated[Path | None, typer.Option(help="The judge's weights file.")] = None,
    draw: Annotated[
        int,
        typer.Option(
            help="Also, or instead, show both boxes so many faces that the inverter draws at random."
        ),
    ] = 0,
    max_faces: Annotated[int, typer.Option(help="At most so many faces of each set; 0: all.")] = 4000,
    shards: Annotated[
        Path | None, typer.Option(help="Folder of the faces, as train makes it [OUT/shards].")
    ] = None,
    probe: Annotated[int, typer.Option(help="Held-out people inverted to judge the result.")] = 64,
    dtype: Annotated[str, typer.Option(help="Weights as fp16, int8 or fp32.")] = "fp16",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an inverter in OUT.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> int:
    """Make a trained ID3PM inverter serve another black box, by translating its vectors: minutes, no training.

    Example: fraudit adapt --embedder card.toml --dataset celeba --out adapted
    """
    from fraudit.cli.train import runtime_of
    from fraudit.diffusion.data.generated_faces import generated_faces
    from fraudit.diffusion.data.shards import load_shards, ready_shards
    from fraudit.diffusion.model.checkpoint import DTYPES, check_embedder, read_inverter_card
    from fraudit.diffusion.training.adapting import adapt as adapted
    from fraudit.diffusion.training.adapting import check_adaptable
    from fraudit.errors import UsageError, suggest
    from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
    from fraudit.inverters.loading import load_inverter
    from fraudit.inverters.sources import training_sets
    from fraudit.progress.console import Line

    if dtype not in DTYPES:
        raise UsageError(
            f"unknown weight type '{dtype}'", f"{suggest(dtype, DTYPES)}known: {', '.join(DTYPES)}"
        )
    if max_faces < 0 or probe < 2:
        raise UsageError(
            f"expected --max-faces of at least 0 and --probe of at least 2, found {max_faces} and {probe}"
        )
    names = [name.strip() for name in dataset.split(",") if name.strip()]
    if not names and shards is None and not draw:
        raise UsageError(
            "no faces to translate by",
            "give --dataset, such as --dataset celeba, or --draw 2000 without pictures",
        )
    if inverter != "auto" and not Path(inverter).is_dir():
        raise UsageError(f"--inverter {inverter}: no such folder", "auto, or a trained inverter's folder")
    sets = training_sets(names)
    if (out / "inverter").exists() and not overwrite:
        raise UsageError(f"{out} holds an inverter already", "choose another --out, or pass --overwrite")
    runtime, first = runtime_of(embedder, weights), runtime_of(source, source_weights)
    if runtime.fingerprint == first.fingerprint:
        raise UsageError(
            f"{runtime.spec.name} is the black box that the inverter was trained for", "use it as it is"
        )
    folder = _bundled(first.loaded) if inverter == "auto" else Path(inverter)
    card = read_inverter_card(folder)
    check_embedder(card, first.spec.name, first.fingerprint, f"the inverter {folder}")
    check_adaptable(card, f"the inverter {folder}")
    referee = runtime_of(judge, judge_weights) if judge else None
    size = int(card["size_px"])
    points = landmarks_of(size)
    with Line(quiet) as line:
        if draw:
            drawing = load_inverter(folder, first.loaded)
            sets.append(generated_faces(drawing, card, points, draw, line.progress))
        ready_shards(
            shards or out / "shards",
            sets,
            runtime,
            points,
            size,
            TEMPLATE_NAME,
            max_faces,
            line.progress,
        )
        data = load_shards(shards or out / "shards")
        made = adapted(
            folder,
            first,
            data,
            runtime,
            points,
            out,
            dtype=dtype,
            people=probe,
            judge=referee,
            say=line.progress,
        )
    told, seen = made["translation"], made["evaluation"]
    print(f"inverter: {out / 'inverter'}")
    print(
        f"translated from {told['faces']:,} pairs of vectors; cosine on people held out {_words(told['agreement'])}"
    )
    if any(entry.get("synthetic") for entry in data.index["datasets"]):
        print("note: people held out are synthetic here too; on photographs it will do less well")
    print(f"pictures of people held out, by {runtime.spec.name} itself: {_words(seen['embedder'])}")
    if "judge" in seen:
        print(f"pictures of people held out, by {seen['judge_name']}: {_words(seen['judge'])}")
    if referee is not None and referee.fingerprint == first.fingerprint:
        print(f"note: {first.spec.name} is no independent judge: its inverter is what was adapted")
    print(f"{runtime.spec.name} was asked for {runtime.queries:,} vectors")
    return 0


def register(app: typer.Typer) -> None:
    """Add the command of this topic."""
    app.command("adapt")(adapt)
