"""`fraudit`: every command is a thin shell; nothing heavy is imported before a command runs."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import importlib.util
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

import fraudit
from fraudit.cli.helping import App, near_option
from fraudit.errors import ArtifactError, FrauditError
from fraudit.progress.terminal import guard
from fraudit.threads import settle

# module of fraudit.cli -> the commands that it registers, so that the one that is asked for is imported alone
TOPICS: dict[str, tuple[str, ...]] = {
    "analyze": ("analyze", "analyses"),
    "doctor": ("doctor",),
    "card": ("card",),
    "embedders": ("embedders",),
    "weights": ("weights",),
    "datasets": ("datasets",),
    "corruptions": ("corruptions",),
    "embed": ("embed",),
    "scores": ("scores",),
    "pca": ("pca",),
    "bias": ("bias",),
    "compare": ("compare",),
    "gate": ("gate", "baseline"),
    "protection": ("protection",),
    "twins": ("twins",),
    "threshold": ("threshold",),
    "train": ("train", "export-inverter"),
    "train_upscaler": ("train-upscaler",),
    "train_rival": ("train-rival",),
    "adapt": ("adapt",),
    "invert": ("invert", "interpolate", "traverse"),
    "train_linear": ("train-linear",),
    "rivals": ("rivals",),
    "upgrade": ("upgrade",),
    "linkability": ("linkability",),
    "runs": ("runs", "show"),
    "figures": ("figures",),
    "report": ("report", "render"),
}

# Newer typer carries click inside, older ones depend on it: the base of its errors has one name in both.
CLICK_ERROR: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fraudit {fraudit.__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks (anywhere in the command).")
    ] = False,
) -> None:
    """Options of every command."""


def app_of(topics: Iterable[str]) -> App:
    """The command line with the commands of `topics`."""
    made = App(
        name="fraudit",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help=(
            "Audit a face recognition model as a black box: verification, robustness, compression, bias, "
            "leakage, inversion.\n\nExample: fraudit analyze --embedder dlib --dataset sample"
        ),
    )
    made.callback()(options)
    for topic in topics:
        importlib.import_module(f"fraudit.cli.{topic}").register(made)
    return made


def __getattr__(name: str) -> Any:
    """`app`, the command line with every command, made when it is first asked for."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault("app", app_of(TOPICS))


def _app_for(command: str) -> App:
    """The command line with that command alone, since typer reads every signature of those it has; all of them where
    the word names none."""
    topics = [topic for topic, names in TOPICS.items() if command in names]
    return app_of(topics).only(command) if topics else app_of(TOPICS)


# command -> (what of its work outlasts an interruption, how to go on); the vectors and scores of a black box are kept
# as they come, and a Python function without a version is the exception that the README names.
_ASKED = "what the black box answered is kept (unless it is a Python function without a version)"
KEPT = {
    **dict.fromkeys(
        (
            "analyze",
            "doctor",
            "card",
            "embed",
            "threshold",
            "bias",
            "protection",
            "pca",
            "invert",
            "interpolate",
            "traverse",
            "adapt",
            "train-linear",
            "upgrade",
            "linkability",
            "twins",
        ),
        (_ASKED, "the same command goes on from there"),
    ),
    **dict.fromkeys(
        ("train", "train-upscaler"),
        (
            "the training is kept as of its last checkpoint",
            "the same command with --resume goes on from there",
        ),
    ),
    "weights": ("what was downloaded is kept", "the same command goes on from there"),
}
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


def fail(message: str, hint: str, code: int, draft: str = "") -> int:
    """Print one line of error and one of hint to standard error, and what there is to copy; the exit code."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    if hint:
        print(f"hint: {' '.join(hint.split())}", file=sys.stderr)
    if draft:
        print(f"\n{draft}", file=sys.stderr)
    return code


def interrupted(command: str, number: int) -> int:
    """Say in one line what is kept after signal `number` and how to go on; the exit code."""
    kept, further = KEPT.get(command, ("nothing was left half-written", "run the command again"))
    word = "interrupted" if number == signal.SIGINT else "terminated"
    print(
        f"\n{word}: {kept}; {further}" if sys.stderr.isatty() else f"{word}: {kept}; {further}",
        file=sys.stderr,
    )
    return 128 + number


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGTERM ends a command as Ctrl-C does; the list holds the signal that came."""
    came: list[int] = []

    def stop(number: int, frame: Any) -> None:
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    too_large = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing says EFBIG
    try:
        yield came
    finally:
        for number, handler in {**before, signal.SIGXFSZ: too_large}.items():
            signal.signal(number, handler)


def _of_the_machine(error: BaseException) -> tuple[str, str] | None:
    """(message, hint) where the disk or a permission is to blame and not the code, else None."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _DISK_FULL + _NOT_WRITABLE:
            what = f" {seen.filename}" if seen.filename else ""
            if seen.errno in _DISK_FULL:
                return (
                    f"no space left to write{what}: {seen.strerror}",
                    "free some space; the same command goes on",
                )
            said = f"not allowed to write or read{what}: {seen.strerror}"
            return said, "check its permissions, or choose another place"
        seen = seen.__cause__ or seen.__context__
    if isinstance(error, OSError) and error.strerror:
        return (
            f"{error.strerror}{f': {error.filename}' if error.filename else ''}",
            "check the path and the disk",
        )
    if type(error).__module__ == "sqlite3":
        return f"a cache cannot be used: {error}", "free some space, or set FRAUDIT_CACHE to another folder"
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}".rstrip(
            ": "
        ), "close other programs, or take fewer or smaller pictures"
    return None


def run(arguments: list[str]) -> int:
    """Run the command line; the exit code (docs/adr/0002-exit-codes.md)."""
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"] or ["--help"]
    from fraudit.audit.typed import typed

    with guard(), typed(arguments), _signals() as came:
        try:
            settle()
            code = _app_for(arguments[0])(arguments, prog_name="fraudit", standalone_mode=False)
            if came:  # typer turns an interrupt into an exit without a word
                return interrupted(arguments[0], came[0])
            return code if isinstance(code, int) else 0
        except FrauditError as error:
            if debug:
                traceback.print_exc()
            return fail(error.message, error.hint, error.exit_code, error.draft)
        except CLICK_ERROR as error:
            context = getattr(error, "ctx", None)
            where = context.command_path if context else "fraudit"
            unknown = near_option(error, arguments)
            if unknown is not None:
                word, near = unknown
                meant = f"did you mean '{near}'? " if near else ""
                return fail(f"No such option: {word}", f"{meant}{where} --help", 2)
            return fail(error.format_message(), f"{where} --help", 2)
        except (KeyboardInterrupt, typer.Abort):
            return interrupted(arguments[0], came[0] if came else signal.SIGINT)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except Exception as error:  # the outermost door: what is left here is a bug of ours
            if came:  # what an interrupt made of libraries that were in the middle of something
                return interrupted(arguments[0], came[0])
            if debug:
                traceback.print_exc()
            found = _of_the_machine(error)
            if found:
                return fail(*found, ArtifactError.exit_code)
            text = " ".join(f"{type(error).__name__}: {error}".split())[:1000]
            return fail(f"a bug: {text}", "please report it with the output of --debug", 70)


def main() -> None:
    """Entry point of the `fraudit` command."""
    gc.freeze()  # modules live to the end: looking through them again and again is 10 ms of a start, and of its end
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
