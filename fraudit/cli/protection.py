"""`fraudit protection`: template protection schemes on a model's vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def protection(
    embedder: Annotated[
        str | None, typer.Option(help="Registry name, card.toml, or python:module:callable.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Known name or path.")] = "sample",
    vectors: Annotated[
        Path | None, typer.Option(help="Stored vectors (.npz) in place of --embedder.")
    ] = None,
    scheme: Annotated[
        str, typer.Option(help="Comma-separated, as biohashing,polyprotect:overlap=2. [default: all]")
    ] = "",
    key: Annotated[int, typer.Option(help="Key where all share one, 0 to 2^63 - 1.")] = 1,
    fmr: Annotated[float, typer.Option(help="Operating point at which matches count.")] = 1e-2,
    faces: Annotated[int, typer.Option(help="Recovered vectors made into pictures, 0 for none.")] = 32,
    weights: Annotated[Path | None, typer.Option(help="The model's weights file.")] = None,
    judge: Annotated[
        list[str] | None, typer.Option(help="Independent embedder that judges the pictures.")
    ] = None,
    inverter: Annotated[str | None, typer.Option(help="auto, linear, id3pm, none, or a folder.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="Whole people, up to so many pictures; two people at least.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random. [default: 0]")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder. [default: runs/COMMAND-NAME-SET-TIME]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
) -> int:
    """Example: fraudit protection --embedder dlib --dataset sample --scheme biohashing,iom

    Accuracy kept, unlinkability and irreversibility of template protection schemes: what someone with the key, and
    someone without, recovers of the vector, and of the face.
    """
    from fraudit.analyses.protection.params import Params
    from fraudit.cli.analyze import analyze
    from fraudit.cli.options import check_options
    from fraudit.errors import UsageError
    from fraudit.protections.choosing import choose_scheme

    if (embedder is None) == (vectors is None):
        raise UsageError(
            "expected --embedder or --vectors, and one of them", "fraudit protection --embedder dlib"
        )
    check_options("protection", Params, {"key": key, "fmr": fmr, "faces": faces})
    named = [name.strip() for name in scheme.split(",") if name.strip()]
    for name in named:
        choose_scheme(name)  # before anything is embedded
    param = [f"protection.key={key}", f"protection.fmr={fmr}"]
    param += [f"protection.schemes={','.join(named)}"] if named else []
    param += [f"protection.faces={faces}"] if vectors is None else []
    return analyze(
        embedder=embedder,
        dataset=dataset,
        vectors=vectors,
        weights=weights,
        judge=judge,
        inverter=inverter,
        limit=limit,
        seed=seed,
        only=["protection"],
        param=param,
        out=out,
        overwrite=overwrite,
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("protection")(protection)
