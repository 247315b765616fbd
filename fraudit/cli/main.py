"""`fraudit`: every command is a thin shell; nothing heavy is imported before a command runs."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from typing import Annotated, Any

import typer

import fraudit
from fraudit.errors import FrauditError

TOPICS = (
    "analyze",
    "embedders",
    "weights",
    "datasets",
    "embed",
    "scores",
    "pca",
    "bias",
    "compare",
    "gate",
    "train",
    "train_upscaler",
    "adapt",
    "invert",
    "runs",
)

app = typer.Typer(
    name="fraudit",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=(
        "Audit a face recognition model as a black box: verification, robustness, compression, bias, "
        "leakage, inversion.\n\nStart with: fraudit analyze --embedder dlib --dataset sample"
    ),
)

# Newer typer carries click inside, older ones depend on it: the base of its errors has one name in both.
CLICK_ERROR: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fraudit {fraudit.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks (anywhere in the command).")
    ] = False,
) -> None:
    """Options of every command."""


for topic in TOPICS:
    importlib.import_module(f"fraudit.cli.{topic}").register(app)


def fail(message: str, hint: str, code: int) -> int:
    """Print one line of error and one of hint to standard error; the exit code."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    if hint:
        print(f"hint: {' '.join(hint.split())}", file=sys.stderr)
    return code


def run(arguments: list[str]) -> int:
    """Run the command line; the exit code (docs/adr/0002-exit-codes.md)."""
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"] or ["--help"]
    try:
        code = app(arguments, prog_name="fraudit", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except FrauditError as error:
        if debug:
            traceback.print_exc()
        return fail(error.message, error.hint, error.exit_code)
    except CLICK_ERROR as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "fraudit"
        return fail(error.format_message(), f"{where} --help", 2)
    except (KeyboardInterrupt, typer.Abort):
        return fail("interrupted", "what was embedded is kept: the same command goes on from there", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the outermost door: whatever arrives here is a bug of ours
        if debug:
            traceback.print_exc()
        return fail(
            f"a bug: {type(error).__name__}: {error}", "please report it with the output of --debug", 70
        )


def main() -> None:
    """Entry point of the `fraudit` command."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
