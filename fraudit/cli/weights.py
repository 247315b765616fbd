"""`fraudit weights list|fetch|import|verify`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fraudit.cli.helping import App

_ACCEPT = typer.Option("--accept-licence", help="Accept the terms without being asked (for scripts).")


def listing(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """List the known weights: source, size, hash, licence, here or not.

    Example: fraudit weights list
    """
    from fraudit.weights.fetch import describe_weights

    rows = describe_weights()
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        size = f", {row['size']:,} bytes" if row["size"] else ""
        typer.echo(f"{row['name']} ({row['embedder']}): {row['status']}{size}")
        typer.echo(f"    licence: {row['licence']}")
        typer.echo(f"    sha256:  {row['sha256'] or 'not published'}")
        typer.echo(f"    source:  {row['source']}")
        typer.echo(f"    file:    {row['path']}" if row["path"] else f"    {row['get']}")


def _agree(name: str, accept: bool) -> None:
    """Show the licence, and ask for it once where a person is there to answer."""
    from fraudit.weights.catalogue import known
    from fraudit.weights.fetch import accept_licence, accepted

    entry = known(name)
    if accepted(entry):
        return
    typer.echo(f"{entry.name}: {entry.licence}\nsource: {entry.source}", err=True)
    if accept or (sys.stdin.isatty() and typer.confirm("Do you accept these terms?", err=True)):
        accept_licence(entry)


def fetch(
    name: Annotated[str, typer.Argument(help="From `fraudit weights list`, or an embedder's name.")],
    accept: Annotated[bool, _ACCEPT] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
) -> None:
    """Download weights; a stopped download goes on where it was.

    Example: fraudit weights fetch facenet-vggface2 --accept-licence
    """
    from fraudit.progress.terminal import draw
    from fraudit.weights.catalogue import known
    from fraudit.weights.fetch import fetch as fetch_weights
    from fraudit.weights.fetch import is_offline

    entry = known(name)
    if entry.url and not is_offline(offline):
        _agree(name, accept)
    live = sys.stderr.isatty()

    def progress(done: int, total: int) -> None:
        if live:
            whole = f" of {total / 1e6:,.1f}" if total else ""
            draw("\r", f"{entry.name}: {done / 1e6:,.1f}{whole} MB")

    path = fetch_weights(entry, offline=offline, progress=progress)
    if live:
        print(file=sys.stderr)
    typer.echo(str(path))


def import_(
    name: Annotated[str, typer.Argument(help="From `fraudit weights list`, or an embedder's name.")],
    file: Annotated[Path, typer.Argument(help="The file you got from the publisher.")],
    accept: Annotated[bool, _ACCEPT] = False,
) -> None:
    """Copy a file you have into the weights folder, check it and record its hash.

    Example: fraudit weights import adaface-ir50-ms1mv2 ~/Downloads/adaface_ir50_ms1mv2.ckpt
    """
    from fraudit.weights.catalogue import expected_sha256, known
    from fraudit.weights.fetch import import_file

    entry = known(name)
    _agree(name, accept)
    path = import_file(entry, file.expanduser())
    note = (
        "hash as published"
        if entry.sha256
        else f"no published hash; recorded {expected_sha256(entry)[:12]}..."
    )
    typer.echo(f"{path} ({note})")


def verify(
    name: Annotated[str | None, typer.Argument(help="Only these; all that are here if left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Hash the weights on this machine again; exit code 6 where one is wrong.

    Example: fraudit weights verify
    """
    from fraudit.errors import WeightsError
    from fraudit.weights.catalogue import known, missing_hint
    from fraudit.weights.fetch import describe_weights

    chosen = [known(name).name] if name else None
    rows = [row for row in describe_weights(verify=True, names=chosen) if chosen or row["path"]]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            typer.echo(f"{row['status']}: {row['name']} {row['path'] or ''}".rstrip())
        if not rows:
            typer.echo("no known weights on this machine")
    wrong = [row["name"] for row in rows if row["status"] == "wrong"]
    if wrong:
        raise WeightsError(f"wrong hash: {', '.join(wrong)}", "remove the file and get it again")
    if chosen and rows[0]["status"] == "missing":
        raise WeightsError(f"{chosen[0]} is not on this machine", missing_hint(chosen[0]))


def register(app: typer.Typer) -> None:
    """Add `fraudit weights`."""
    group = App(
        no_args_is_help=True,
        help="Known weights: list, fetch, import, verify.\n\nExample: fraudit weights list",
    )
    group.command("list")(listing)
    group.command("fetch")(fetch)
    group.command("import")(import_)
    group.command("verify")(verify)
    app.add_typer(group, name="weights")
