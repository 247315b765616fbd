"""`--engine`, `--address`, `--store`, `--workers`: where the questions are asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from fraudit.errors import UsageError, suggest

if TYPE_CHECKING:
    from fraudit.audit.plan import AuditPlan
    from fraudit.cluster.engine import RayEngine

ENGINES = ("local", "ray")

Engine = Annotated[str, typer.Option(help="Where to ask: local, or ray (docs/scale.md).")]
Address = Annotated[
    str, typer.Option(help="With ray: of the cluster; auto finds the one here. [default: its own]")
]
Place = Annotated[str, typer.Option(help="With ray: folder or URL (s3://...) that keeps shards of vectors.")]
Workers = Annotated[
    int | None, typer.Option(help="Threads that read pictures; with ray: workers. [default: all cores]")
]


def engine_of(
    plan: AuditPlan, engine: str, address: str, store: str, workers: int | None, *, need_people: bool = True
) -> Callable[[], RayEngine] | None:
    """What opens the workers, or None where everything is asked here.

    Raises:
        UsageError: an unknown engine, or an option of ray without it.
    """
    if engine not in ENGINES:
        raise UsageError(
            f"unknown engine '{engine}'", f"{suggest(engine, ENGINES)}known: {', '.join(ENGINES)}"
        )
    if workers is not None and workers < 1:
        raise UsageError(f"--workers: expected at least 1, found {workers}")
    if engine == "local":
        for name, value in (("--address", address), ("--store", store)):
            if value:
                raise UsageError(f"{name} goes with --engine ray", "one machine remembers vectors by itself")
        return None

    def opened() -> RayEngine:
        from fraudit.cluster.engine import RayEngine

        return RayEngine.of(plan, workers=workers or 0, address=address, store=store, need_people=need_people)

    return opened
