"""`fraudit invert`, `interpolate` and `traverse`: from ID vectors back to faces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fraudit.cli.sheet import Mark
    from fraudit.embedding.runtime import EmbedderRuntime
    from fraudit.types import F32, Inverter

Embedder = Annotated[
    str, typer.Option("--embedder", help="Registry name, card.toml, or python:module:callable.")
]
WhichInverter = Annotated[str, typer.Option("--inverter", help="auto, linear, id3pm (bundled), or a folder.")]
Weights = Annotated[Path | None, typer.Option("--weights", help="The model's weights file.")]
Images = Annotated[list[Path] | None, typer.Option("--image", help="Picture of one face; may be repeated.")]
Vectors = Annotated[
    Path | None, typer.Option("--vector", help="vectors.npz of `fraudit embed`, instead of --image.")
]
Rows = Annotated[str, typer.Option("--rows", help="Which vectors of --vector, e.g. 0,5,9.")]
Guidance = Annotated[
    float | None,
    typer.Option(
        "--guidance",
        help=">= 0; 1 is unguided, by default what the inverter states. 1.5 brings the bundled one slightly nearer to "
        "the person at twice the time; more than 2 loses likeness.",
    ),
]
Steps = Annotated[
    int | None, typer.Option("--steps", help="Sampler steps; by default what the inverter states.")
]
Sampler = Annotated[str | None, typer.Option("--sampler", help="dpm++, ddim or ancestral (id3pm only).")]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        help="Above 0, at most 1; lower keeps to what is likely (id3pm only). The default is the inverter's.",
    ),
]
WhichVariety = Annotated[
    str,
    typer.Option(
        "--variety",
        help="From most like the vector to most varied: alike, default, varied, most (id3pm only).",
    ),
]
Attributes = Annotated[
    str,
    typer.Option(
        "--attributes",
        help="Of an inverter that takes them: NAME=VALUE,..., such as yaw_deg=20,Smiling=1; or random.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, help="First seed; a seed's noise never depends on its batch.")
]
Out = Annotated[
    Path, typer.Option("--out", help="Folder for the contact sheet, the pictures and the figures.")
]
Upscale = Annotated[
    str,
    typer.Option(
        "--upscale",
        help="Enlarge the pictures: auto (bundled, to 128 px), a folder of train-upscaler, or a checkpoint.",
    ),
]
Threshold = Annotated[
    str,
    typer.Option(
        "--threshold",
        help="Cosine of a match: a number, a face set that it is chosen on, none, or auto (the bundled sample; a "
        "remote service is not asked).",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write into a folder that holds files already.")]
NOTICE = "note: a reconstruction of a real person is personal data of that person"


def _open(
    embedder: str, weights: Path | None, inverter: str, out: Path, overwrite: bool
) -> tuple[EmbedderRuntime, Inverter]:
    from fraudit.api import open_inverter
    from fraudit.errors import UsageError

    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; expected a folder", "choose another --out")
    if not overwrite and out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out} holds files already", "choose another --out, or pass --overwrite")
    if inverter == "none":
        raise UsageError("--inverter none: this command needs one", "auto, or a trained inverter's folder")
    found, box = open_inverter(embedder, inverter, weights=weights)
    return box, found


def _sources(
    runtime: EmbedderRuntime, images: list[Path] | None, vectors: Path | None, rows: str
) -> tuple[list[str], F32, list[Any]]:
    """(names, f32[N,D], face crops or [])."""
    from fraudit.errors import UsageError
    from fraudit.inverters.sources import from_npz, from_pictures

    if vectors:
        parts = [part.strip() for part in rows.split(",") if part.strip()]
        wrong = [part for part in parts if not part.isdecimal()]
        if wrong:
            raise UsageError(f"--rows: expected whole numbers from 0, found '{wrong[0]}'", "--rows 0,5,9")
        wanted = [int(part) for part in parts]
        names, found = from_npz(vectors, runtime.spec.dim, wanted)
        return names, found, []
    return from_pictures(runtime, images or [])


def _one_of(images: list[Path] | None, vectors: Path | None) -> None:
    from fraudit.errors import DataError, UsageError

    if bool(images) == bool(vectors):
        raise UsageError(
            "expected pictures (--image) or vectors (--vector), one of the two",
            "--image face.jpg, or --vector vectors.npz as `fraudit embed` writes it",
        )
    for path in images or ([] if vectors is None else [vectors]):
        if not path.exists():
            raise DataError(f"{path} does not exist", "give the path of a file that is there")


def _options(
    guidance: float | None, steps: int | None, sampler: str | None, temperature: float | None
) -> dict[str, Any]:
    from fraudit.diffusion.sampling.options import check_sampling

    given = {"guidance": guidance, "steps": steps, "sampler": sampler, "temperature": temperature}
    # Before anything is loaded; the inverter's own check knows more.
    check_sampling(
        sampler or "dpm++",
        1 if steps is None else steps,
        guidance=1.0 if guidance is None else guidance,
        temperature=1.0 if temperature is None else temperature,
    )
    return {name: value for name, value in given.items() if value is not None}


def _finish(
    upscale: str, inverter: Inverter, steps: int | None, sampler: str | None
) -> Callable[..., Any] | None:
    """What is done to pictures before they are judged and shown: enlarging them, or nothing."""
    from functools import partial

    from fraudit.inverters.upscaling import find_upscaler

    if not upscale:
        return None
    second = find_upscaler(upscale, inverter.size_px)
    if second.refines:
        return second.enlarge
    given: dict[str, Any] = {} if steps is None else {"steps": steps}
    return partial(second.enlarge, **given, sampler=sampler or "dpm++")


@contextmanager
def _told(total: int) -> Iterator[Callable[[int], None]]:
    """Tells how many of `total` pictures are made, where that takes long."""
    from fraudit.progress import Progress
    from fraudit.progress.console import Line

    with Line(terse=True) as line:
        part = Progress("pictures", total, line.progress)
        part(0, total)
        yield part.add


def _enlarged(side: int, inverter: Inverter) -> str:
    """What a sheet's title says of pictures that are larger than the inverter makes them."""
    return f", enlarged to {side} px" if side > inverter.size_px else ""


def invert(
    embedder: Embedder,
    out: Out,
    inverter: WhichInverter = "auto",
    weights: Weights = None,
    image: Images = None,
    vector: Vectors = None,
    rows: Rows = "",
    samples: Annotated[int, typer.Option(help="Pictures of each vector.")] = 4,
    guidance: Guidance = None,
    steps: Steps = None,
    sampler: Sampler = None,
    temperature: Temperature = None,
    variety: WhichVariety = "",
    attributes: Attributes = "",
    seed: Seed = 0,
    refine: Annotated[
        int, typer.Option(help="Rounds in which each picture is shown to the model and its vector corrected.")
    ] = 0,
    upscale: Upscale = "",
    threshold: Threshold = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Turn ID vectors back into faces, with the similarity measured by showing them to the model again.

    Example: fraudit invert --embedder dlib --image face.jpg --samples 4 --out inverted
    """
    from fraudit.cli.sheet import mark, six
    from fraudit.inverters.inverting import contact_sheet, guidance_of, invert_vectors, seeds_of, write_sheet
    from fraudit.inverters.variety import check_variety, options_asked

    _one_of(image, vector)
    check_variety(variety, temperature, attributes)
    options = _options(guidance, steps, sampler, temperature)
    runtime, found = _open(embedder, weights, inverter, out, overwrite)
    larger = _finish(upscale, found, steps, sampler)
    options_asked(found, variety, attributes, seeds_of(1, 1, seed))  # refused before anybody is asked
    names, vectors, crops = _sources(runtime, image, vector, rows)
    options |= options_asked(found, variety, attributes, seeds_of(len(vectors), samples, seed))
    limit = mark(threshold, runtime)
    with _told(len(vectors) * samples * (1 + refine)) as told:
        result = invert_vectors(
            found,
            runtime,
            vectors,
            samples=samples,
            seed=seed,
            refine=refine,
            finish=larger,
            told=told,
            **options,
        )
    sheet_rows, captions, table, pictures = [], [], [], {}
    for n, name in enumerate(names):
        row = [crops[n]] if crops else []
        text = ["source"] if crops else []
        for i in range(n * samples, (n + 1) * samples):
            similarity = float(result.similarity[i])
            row.append(result.pictures[i])
            text.append(f"seed {result.seeds[i]}: {limit.shown(similarity)}")
            file = f"{n:03d}-seed{result.seeds[i]}.png"
            pictures[file] = result.pictures[i]
            row_of = {"source": name, "seed": int(result.seeds[i]), "file": file, "cosine": six(similarity)}
            table.append({**row_of, "match": limit.match(similarity)})
        sheet_rows.append(row)
        captions.append(text)
    strength = guidance_of(found) if guidance is None else guidance
    title = (
        f"{found.name} inverter of {runtime.spec.name}, guidance {strength:g}"
        f"{_enlarged(result.pictures.shape[1], found)}: cosine to the source vector; {limit.words}"
    )
    sheet = contact_sheet(sheet_rows, captions, [Path(n).name[:24] for n in names], title=title)
    write_sheet(out, sheet, table, pictures)
    if refine:
        print(refined_words(refine, result.improved, len(result.pictures)), file=sys.stderr)
    _done(out, runtime, limit)


def refined_words(rounds: int, improved: int, pictures: int) -> str:
    """What `--refine` brought."""
    if not improved:
        return (
            f"note: --refine {rounds} changed nothing: "
            "no corrected picture is nearer to its vector than the first one"
        )
    return f"--refine {rounds} brought {improved} of {pictures} pictures nearer to their vectors"


def interpolate(
    embedder: Embedder,
    out: Out,
    inverter: WhichInverter = "auto",
    weights: Weights = None,
    image: Images = None,
    vector: Vectors = None,
    rows: Rows = "",
    frames: Annotated[int, typer.Option(help="Pictures from the first to the second.")] = 7,
    guidance: Guidance = None,
    steps: Steps = None,
    sampler: Sampler = None,
    temperature: Temperature = None,
    seed: Seed = 0,
    upscale: Upscale = "",
    threshold: Threshold = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Walk from one ID vector to another, by slerp and by lerp, and look at every step.

    Example: fraudit interpolate --embedder dlib --image a.jpg --image b.jpg --frames 7 --out path
    """
    from fraudit.cli.sheet import mark, six
    from fraudit.errors import UsageError
    from fraudit.inverters import inverting

    _one_of(image, vector)
    options = _options(guidance, steps, sampler, temperature)
    runtime, found = _open(embedder, weights, inverter, out, overwrite)
    larger = _finish(upscale, found, steps, sampler)
    names, vectors, _ = _sources(runtime, image, vector, rows)
    limit = mark(threshold, runtime)
    if len(vectors) != 2:
        raise UsageError(f"expected two faces to walk between, found {len(vectors)}", "--image A --image B")
    sheet_rows, captions, table, pictures = [], [], [], {}
    for kind in ("slerp", "lerp"):
        path = inverting.interpolate(vectors[0], vectors[1], frames, kind)
        with _told(len(path)) as told:
            result = inverting.invert_vectors(
                found, runtime, path, seed=seed, finish=larger, told=told, **options
            )
        again = inverting.reembed(runtime, result.pictures)
        ends, text = [inverting.cosine(again.vectors, vectors[i][None]) for i in (0, 1)], []
        for f in range(frames):
            file = f"{kind}-{f:02d}.png"
            pictures[file] = result.pictures[f]
            both = [float(e[f]) if again.ok[f] else float("nan") for e in ends]
            row = {"path": kind, "frame": f, "file": file}
            for end, value in zip(("first", "second"), both, strict=True):
                row |= {f"cosine_to_{end}": six(value), f"matches_{end}": limit.match(value)}
            table.append(row)
            text.append("\n".join(limit.shown(value) for value in both))
        sheet_rows.append(list(result.pictures))
        captions.append(text)
    title = (
        f"From {Path(names[0]).name[:30]} to {Path(names[1]).name[:30]}"
        f"{_enlarged(result.pictures.shape[1], found)}: cosine to first, to second; {limit.words}"
    )
    sheet = inverting.contact_sheet(sheet_rows, captions, ["slerp", "lerp"], title=title)
    inverting.write_sheet(out, sheet, table, pictures)
    _done(out, runtime, limit)


def traverse(
    embedder: Embedder,
    out: Out,
    inverter: WhichInverter = "auto",
    weights: Weights = None,
    image: Images = None,
    vector: Vectors = None,
    rows: Rows = "",
    dataset: Annotated[str, typer.Option(help="Faces that axes and group means are found on.")] = "sample",
    axis: Annotated[int | None, typer.Option(help="Principal axis, 1-based.")] = None,
    attribute: Annotated[
        str | None,
        typer.Option(help="Direction of this attribute: group means, or 90th minus 10th percentile."),
    ] = None,
    condition: Annotated[
        str | None, typer.Option(help="Attribute value of a conditioned inverter: NAME=V1,V2,V3.")
    ] = None,
    amounts: Annotated[str, typer.Option(help="In units of the vector's norm.")] = "-0.8,-0.4,0,0.4,0.8",
    guidance: Guidance = None,
    steps: Steps = None,
    sampler: Sampler = None,
    temperature: Temperature = None,
    seed: Seed = 0,
    upscale: Upscale = "",
    threshold: Threshold = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Move a face along one direction of the ID space, or set one attribute of a conditioned inverter.

    Example: fraudit traverse --embedder dlib --image face.jpg --attribute male --out direction
    """
    from fraudit.cli.sheet import mark, six
    from fraudit.errors import UsageError
    from fraudit.inverters import inverting
    from fraudit.inverters.sources import conditions, direction

    if sum(x is not None for x in (axis, attribute, condition)) != 1:
        raise UsageError(
            "expected one of --axis, --attribute and --condition",
            "--axis 1, --attribute male, or --condition yaw_deg=-30,0,30 for an inverter trained with attributes",
        )
    _one_of(image, vector)
    options = _options(guidance, steps, sampler, temperature)
    runtime, found = _open(embedder, weights, inverter, out, overwrite)
    larger = _finish(upscale, found, steps, sampler)
    names, vectors, _ = _sources(runtime, image, vector, rows)
    limit = mark(threshold, runtime)
    sheet_rows, captions, table, pictures = [], [], [], {}
    if condition is not None:
        values, encoded = conditions(found, condition)
        what = condition.split("=")[0]
        options["attributes"] = encoded
    else:
        values = _floats(amounts)
        line, how = direction(runtime, dataset, axis, attribute)
        what = f"principal axis {axis}" if axis else f"{attribute} ({how})"
    for n, name in enumerate(names):
        path = (
            vectors[n][None].repeat(len(values), 0)
            if condition is not None
            else inverting.travel(vectors[n], line, values)
        )
        with _told(len(path)) as told:
            result = inverting.invert_vectors(
                found, runtime, path, seed=seed, finish=larger, told=told, **options
            )
        again = inverting.reembed(runtime, result.pictures)
        own = inverting.cosine(again.vectors, vectors[n][None])
        text = []
        for i, value in enumerate(values):
            file = f"{n:03d}-{i:02d}.png"
            pictures[file] = result.pictures[i]
            cosine = float(own[i]) if again.ok[i] else float("nan")
            text.append(f"{value:{'+' if condition is None else ''}g}: {limit.shown(cosine)}")
            row = {"source": name, "value": value, "file": file, "cosine_to_source": six(cosine)}
            table.append({**row, "match": limit.match(cosine)})
        sheet_rows.append(list(result.pictures))
        captions.append(text)
    size = _enlarged(result.pictures.shape[1], found)
    title = f"{what}{size}: cosine to the source vector; {limit.words}"
    sheet = inverting.contact_sheet(sheet_rows, captions, [Path(n).name[:24] for n in names], title=title)
    inverting.write_sheet(out, sheet, table, pictures)
    _done(out, runtime, limit)


def _floats(text: str) -> list[float]:
    from fraudit.errors import UsageError

    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UsageError(
            f"--amounts {text}: expected numbers separated by commas", "--amounts=-0.5,0,0.5"
        ) from error


def _done(out: Path, runtime: EmbedderRuntime, limit: Mark) -> None:
    print(NOTICE, file=sys.stderr)
    print(f"note: {limit.words}", file=sys.stderr)
    typer.echo(f"{out / 'sheet.png'} ({runtime.spec.name} was asked for {runtime.queries} vectors)")


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("invert")(invert)
    app.command("interpolate")(interpolate)
    app.command("traverse")(traverse)
