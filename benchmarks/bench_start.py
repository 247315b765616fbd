"""Start of the command line beside a bare typer program, in CPU seconds, and rendering of a finished run, in seconds.

CPU seconds of one process (user and system) hardly depend on what else the machine does. Modules are compiled before,
as an installation leaves them, ours and the bare program's alike.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.bench_frame import Bench, PeerMissing, Row

BARE = """
import typer
app = typer.Typer()
@app.command()
def one(name: str = "x"):
    "Say it."
    typer.echo(name)
@app.command()
def two(name: str = "x"):
    "Say it."
    typer.echo(name)
app()
"""
FRAUDIT = "from fraudit.cli.main import main; main()"


def spent(code: str, *arguments: str, cache: str = "", compiled: str = "") -> tuple[float, float]:
    """(seconds, CPU seconds) of one python process.

    cache: folder of its cache, where not the usual one. compiled: folder of compiled modules, written where missing.
    """
    env = os.environ | ({"FRAUDIT_CACHE": cache} if cache else {})
    if compiled:
        env |= {"PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL, env=env)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cpu(code: str, *arguments: str, cache: str = "", compiled: str = "") -> float:
    """CPU seconds of one python process, see `spent`."""
    return spent(code, *arguments, cache=cache, compiled=compiled)[1]


def start(name: str, *arguments: str) -> object:
    """A row: `fraudit ARGUMENTS` beside a bare program, its --help beside --help and a command beside a command."""
    plain = ("--help",) if "--help" in arguments else ("one", "--name", "x")

    def row(bench: Bench) -> Row:
        ours = theirs = float("inf")
        told = tuple(str(finished_run()) if word == "RUN" else word for word in arguments)
        with tempfile.TemporaryDirectory() as folder:
            cpu(FRAUDIT, *told, compiled=folder), cpu(BARE, *plain, compiled=folder)
            first = cpu(FRAUDIT, *told, cache=f"{folder}/cache", compiled=folder)
            for _ in range(bench.repeat):
                ours = min(ours, cpu(FRAUDIT, *told, cache=f"{folder}/cache", compiled=folder))
                theirs = min(theirs, cpu(BARE, *plain, compiled=folder))
        title = f"start: fraudit {' '.join(arguments)}, CPU"
        peer = f"a bare typer program's {'--help' if plain == ('--help',) else 'command'}"
        note = (
            f"{first:.2g} s where no count of a person's own sets is remembered" if name == "datasets" else ""
        )
        return Row(title, peer, ours, theirs, ours / theirs, 1.5, within=True, note=note)

    row.__name__ = name
    return row


def finished_run() -> Path:
    """$FRAUDIT_BENCH_RUN, else runs/demo. Raises PeerMissing where it is not there."""
    run = Path(os.environ.get("FRAUDIT_BENCH_RUN", "runs/demo"))
    if not (run / "run.json").is_file():
        raise PeerMissing(f"no finished run at {run} (make demo makes it)")
    return run


def _rendered(run: Path, folder: str, caches: Iterable[str]) -> tuple[float, float]:
    """(seconds, CPU seconds) of rendering a copy of `run`, imports included, the best of once with each cache."""
    code = "import sys; from fraudit.report.render import render; render(sys.argv[1])"
    place = Path(folder) / "run"
    if not place.is_dir():
        place.mkdir()
        (place / "run.json").write_bytes((run / "run.json").read_bytes())
        (place / "artifacts").symlink_to((run / "artifacts").resolve())
    took = [
        spent(code, str(place), cache=f"{folder}/{cache}", compiled=f"{folder}/compiled") for cache in caches
    ]
    return min(seconds for seconds, _ in took), min(cpus for _, cpus in took)


def rendering_first(bench: Bench) -> Row:
    """Rendering a finished run whose charts were never drawn ($FRAUDIT_BENCH_RUN, else runs/demo), beside 2 s."""
    run = finished_run()
    with tempfile.TemporaryDirectory() as folder:
        _rendered(run, folder, ["compiling"])
        seconds, cpus = _rendered(run, folder, [f"cache-{turn}" for turn in range(3)])
    return _within_two("rendering a finished run for the first time, imports included", seconds, cpus)


def rendering_again(bench: Bench) -> Row:
    """The same, where its drawings are remembered."""
    run = finished_run()
    with tempfile.TemporaryDirectory() as folder:
        _rendered(run, folder, ["cache"])
        seconds, cpus = _rendered(run, folder, ["cache"] * 3)
    return _within_two("rendering it again, imports included", seconds, cpus)


def _within_two(title: str, seconds: float, cpus: float) -> Row:
    note = f"{cpus:.2g} s of CPU"
    return Row(title, "what is asked", seconds, 2, seconds / 2, 1, within=True, note=note)


ROWS = (
    start("help", "--help"),
    start("embedders", "embedders"),
    start("datasets", "datasets"),
    start("show", "show", "RUN"),
    rendering_first,
    rendering_again,
)
