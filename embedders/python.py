"""A Python function as a black box: `python:module:callable`, u8[N,H,W,3] RGB -> f32[N,D].

The module is imported from the working directory or the installed packages, and importing it EXECUTES it:
name only code you trust. The callable may carry attributes: `size` (height, width), `template` (a name or
five points), `input`, `name`, `version`, `licence`, `source`, `batch_size`, `dim`; the default is 112x112 and
arcface-112. A picture in which it finds no face has None for a vector. A row of NaN says the same of a whole picture
(`input = "picture"`), where the function looks for the face; of an aligned face it is a broken vector.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.embedders.onnx_probe import batch_notes, made_up
from fraudit.embedding.bundled import BUNDLED
from fraudit.embedding.cards import WHOLE_NAME, middle_of, template
from fraudit.errors import DataError, FrauditError, PluginError, UsageError, suggest
from fraudit.types import ARCFACE_112, F32, U8, EmbedderPlugin, EmbedderSpec, LoadedEmbedder, Preprocess


def own_code_failed(what: str, error: BaseException, module: str) -> PluginError:
    """The error for a person's own code that raised `error`: what it says, and its last line that ran."""
    frames = traceback.extract_tb(error.__traceback__)
    file = getattr(sys.modules.get(module), "__file__", None)
    theirs = [frame for frame in frames if file and frame.filename == file] or [
        frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    said = f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}, line {error.lineno}: {(error.text or '').strip()[:120]}"
    elif theirs:
        where = f"{theirs[-1].filename}, line {theirs[-1].lineno}: {(theirs[-1].line or '').strip()[:120]}"
    else:
        return PluginError(said, "this is your own code; --debug shows the traceback")
    return PluginError(said, f"in your own code, {where} (--debug shows the traceback)")


def resolve_target(target: str) -> Any:
    """The callable that `module:callable` names (dots go into attributes). Raises UsageError, PluginError."""
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute or not all(p.isidentifier() for p in module_name.split(".")):
        raise UsageError(
            f"expected python:module:callable, found 'python:{target}'", "e.g. python:my_model:embed"
        )
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise PluginError(
                f"no module '{error.name}'", f"run from its folder, or set PYTHONPATH ({here})"
            ) from error
        raise PluginError(f"module '{module_name}' needs '{error.name}', which is not installed") from error
    except (Exception, SystemExit) as error:  # whatever a person's own module raises
        raise own_code_failed(f"module '{module_name}' cannot be imported", error, module_name) from error
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = suggest(part, [name for name in dir(found) if not name.startswith("_")])
            raise PluginError(f"module '{module_name}' has no '{attribute}'", near.strip())
        found = getattr(found, part)
    if not callable(found):
        raise PluginError(f"python:{target} is a {type(found).__name__}; expected a callable")
    return found


def fingerprint_of(function: Any, target: str) -> str:
    """Hash of the module's source and the stated version: an edited function never reuses old vectors."""
    module = sys.modules.get(getattr(function, "__module__", None) or target.partition(":")[0])
    named = sys.modules.get(target.partition(":")[0])
    digest = hashlib.sha256(f"{target}\0{getattr(function, 'version', '')}".encode())
    for source in (module, named):
        path = (
            inspect.getsourcefile(source)
            if source is not None and getattr(source, "__file__", None)
            else None
        )
        if path and Path(path).is_file():
            digest.update(Path(path).read_bytes())
    return digest.hexdigest()


def function_answer(function: Any, images: U8, target: str) -> Any:
    """What the function answers; what it raises becomes one line. Raises PluginError."""
    try:
        return function(images)
    except FrauditError:
        raise
    except (Exception, SystemExit) as error:  # whatever a person's own module raises
        module = getattr(function, "__module__", "")
        raise own_code_failed(f"python:{target} fails on {len(images)} faces", error, module) from error


def checked(found: Any, count: int, target: str, dim: int | None) -> F32:
    """f32[count,D] of an answer, a row of NaN for None. Raises DataError."""
    if found is None and dim:
        found = [None] * count
    found = _rows(found, dim)
    if hasattr(found, "detach"):  # a torch tensor
        found = found.detach().cpu().numpy()
    try:
        vectors = np.asarray(found, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"python:{target} answers a {type(found).__name__}; expected f32[N,D]") from error
    if (
        vectors.ndim != 2
        or len(vectors) != count
        or vectors.shape[1] < 2
        or dim not in (None, vectors.shape[1])
    ):
        raise DataError(
            f"python:{target} answers the shape {vectors.shape} for {count} faces; expected ({count}, {dim or 'D'})",
            "it takes u8[N,H,W,3] RGB and gives one vector a face, None where there is none",
        )
    return vectors


def _answer(function: Any, images: U8, target: str, dim: int) -> F32:
    return checked(function_answer(function, images, target), len(images), target, dim)


def _aligned_answer(function: Any, images: U8, target: str, dim: int) -> F32:
    """f32[N,dim] for aligned faces: NaN where it says None, infinity where it answers a row of NaN itself."""
    found = function_answer(function, images, target)
    vectors = checked(found, len(images), target, dim)
    rows = [None] * len(images) if found is None else found if isinstance(found, list | tuple) else []
    silent = np.array([row is None for row in rows], bool) if len(rows) else np.zeros(len(images), bool)
    broken = np.asarray(np.isnan(vectors).all(axis=1) & ~silent)
    return np.where(broken[:, None], np.float32(np.inf), vectors) if broken.any() else vectors


def _rows(found: Any, dim: int | None) -> Any:
    """An answer with rows of NaN where it says None, which means that there is no face."""
    if not isinstance(found, list | tuple) or not any(row is None for row in found):
        return found
    length = dim or next((len(row) for row in found if row is not None), None)
    return found if length is None else [np.full(length, np.nan) if row is None else row for row in found]


def _probe(function: Any, target: str, size: tuple[int, ...]) -> tuple[int, tuple[str, ...]]:
    """(numbers in a vector, notes): two made-up pictures are shown together, and the first of them alone.

    Raises:
        DataError: it answers no vectors, or none for either picture and carries no attribute `dim`.
    """
    probe = made_up((size[0], size[1]))
    stated = getattr(function, "dim", None)
    if stated is not None and (type(stated) is not int or not 2 <= stated <= 65536):
        raise UsageError(f"python:{target}: dim must be an integer from 2 to 65536, found {stated!r:.60}")
    found = function_answer(function, probe, target)
    silent = isinstance(found, list | tuple) and bool(found) and all(row is None for row in found)
    if stated is None and silent:
        flat = np.full((1, *probe.shape[1:]), 128, np.uint8)  # some functions answer a flat picture alone
        single = function_answer(function, flat, target)
        if isinstance(single, np.ndarray) or (
            isinstance(single, list | tuple) and single and single[0] is not None
        ):
            return checked(single, 1, target, None).shape[1], ()
        raise DataError(
            f"python:{target} finds no face in a made-up picture, so that the length of its vectors is not known",
            "state it: a callable with an attribute `dim`",
        )
    together = checked(found, len(probe), target, stated)
    alone = _answer(function, probe[:1], target, together.shape[1])
    return together.shape[1], batch_notes(f"python:{target}", alone, together)


def load(weights: Path | str | None = None, target: str = "") -> LoadedEmbedder:
    """The function `module:callable`, probed once for its dimension.

    Raises:
        UsageError: not of the form module:callable, or a wrong `size` or `template` attribute.
        PluginError: no such module or callable. DataError: it does not answer f32[N,D].
    """
    function = resolve_target(target)
    size = tuple(getattr(function, "size", (112, 112)))
    if len(size) != 2 or not all(isinstance(side, int) and 8 <= side <= 4096 for side in size):
        raise UsageError(f"python:{target}: size is (height, width) in pixels, found {size}")
    shown = getattr(function, "input", "aligned")
    if shown not in ("aligned", "picture"):
        raise UsageError(f"python:{target}: input must be aligned or picture, found {shown!r:.60}")
    whole = shown == "picture"
    stated = getattr(function, "template", "arcface-112" if size == (112, 112) else None)
    if whole:
        stated = middle_of((size[0], size[1]))
    if stated is None:
        raise UsageError(
            f"python:{target}: no template for {size[0]}x{size[1]}",
            "set its attribute template to five [x, y] points",
        )
    points, template_name = template(
        stated.tolist() if isinstance(stated, np.ndarray) else stated, (size[0], size[1]), f"python:{target}"
    )
    dim, notes = _probe(function, target, size)
    spec = EmbedderSpec(
        name=str(getattr(function, "name", "") or target),
        dim=dim,
        preprocess=Preprocess(
            size=(size[0], size[1]),
            template=points,
            template_name=WHOLE_NAME if whole else template_name,
            whole=whole,
        ),
        licence=str(getattr(function, "licence", "not stated")),
        source=str(getattr(function, "source", f"python:{target}")),
        summary=f"the function {target}",
    )

    def forward(images: U8) -> F32:
        return (_answer if whole else _aligned_answer)(function, images, target, dim)

    return LoadedEmbedder(
        spec=spec,
        forward=forward,
        weights_sha256=fingerprint_of(function, target),
        batch_size=int(getattr(function, "batch_size", 32)),
        # The source does not show the weights it loads: only a stated version lets vectors be remembered.
        cacheable=bool(getattr(function, "version", "")),
        finds_faces=True,
        notes=notes,
    )


def check(target: str) -> None:
    """Import the function, and ask it nothing. Raises UsageError, PluginError."""
    resolve_target(target)


EMBEDDER = EmbedderPlugin(
    name="python",
    spec=BUNDLED["python"].spec(ARCFACE_112),
    load=load,
    check=check,
)
