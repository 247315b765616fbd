"""Start of the command line beside a bare typer program, and rendering of a finished run, in CPU seconds.

CPU seconds of one process (user and system) hardly depend on what else the machine does. Modules are compiled before,
as an installation leaves them, ours and the bare program's alike.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
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


def cpu(code: str, *arguments: str, cache: str = "", compiled: str = "") -> float:
    """CPU seconds of one python process.

    cache: folder of its cache, where not the usual one. compiled: folder of compiled modules, written where missing.
    """
    env = os.environ | ({"FRAUDIT_CACHE": cache} if cache else {})
    if compiled:
        env |= {"PYTHONPYCACHEPREFIX": compiled, "PYTHONDONTWRITEBYTECODE": ""}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL, env=env)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def start(name: str, *arguments: str) -> object:
    """A row: `fraudit ARGUMENTS` beside a bare program, its --help beside --help and a command beside a command."""
    plain = ("--help",) if "--help" in arguments else ("one", "--name", "x")

    def row(bench: Bench) -> Row:
        ours = theirs = float("inf")
        told = tuple(str(finished_run()) if word == "RUN" else word for word in arguments)
        with tempfile.TemporaryDirectory() as folder:
            cpu(FRAUDIT, *told, compiled=folder), cpu(BARE, *plain, compiled=folder)
            for _ in range(bench.repeat):
                ours = min(ours, cpu(FRAUDIT, *told, compiled=folder))
                theirs = min(theirs, cpu(BARE, *plain, compiled=folder))
        title = f"start: fraudit {' '.join(arguments)}, CPU"
        peer = f"a bare typer program's {'--help' if plain == ('--help',) else 'command'}"
        return Row(title, peer, ours, theirs, ours / theirs, 1.5, within=True)

    row.__name__ = name
    return row


def finished_run() -> Path:
    """$FRAUDIT_BENCH_RUN, else runs/demo. Raises PeerMissing where it is not there."""
    run = Path(os.environ.get("FRAUDIT_BENCH_RUN", "runs/demo"))
    if not (run / "run.json").is_file():
        raise PeerMissing(f"no finished run at {run} (make demo makes it)")
    return run


def rendering(bench: Bench) -> Row:
    """Rendering a finished run of the bundled set ($FRAUDIT_BENCH_RUN, else runs/demo), beside two seconds."""
    run = finished_run()
    code = "import sys; from fraudit.report.render import render; render(sys.argv[1])"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        place.mkdir()
        (place / "run.json").write_bytes((run / "run.json").read_bytes())
        (place / "artifacts").symlink_to((run / "artifacts").resolve())
        first = cpu(code, str(place), cache=f"{folder}/cache")
        ours = min(cpu(code, str(place), cache=f"{folder}/cache") for _ in range(3))
    return Row(
        "rendering a finished run, imports included, CPU",
        "what is asked",
        ours,
        2,
        ours / 2,
        1,
        within=True,
        note=f"{first:.2g} s where its charts were never drawn before; an audit draws them when it ends",
    )


ROWS = (
    start("help", "--help"),
    start("embedders", "embedders"),
    start("datasets", "datasets"),
    start("show", "show", "RUN"),
    rendering,
)
