"""Any ONNX model, described by a TOML card (docs/cards.md); also the engine of other ONNX embedders.

A model whose batch is fixed is fed in pieces of that size, several at a time on as many threads as allowed
($FRAUDIT_THREADS). Its graph is never rewritten: exports with a fixed batch usually flatten with a constant
shape, which a larger batch would silently fold into one vector.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.cards import parse_card
from fraudit.doors import check_regular
from fraudit.errors import PluginError, UsageError, WeightsError, suggest
from fraudit.types import ARCFACE_112, F32, U8, EmbedderPlugin, EmbedderSpec, LoadedEmbedder, Preprocess

KEYS = ("model", "input", "output", "layout", "batch_size")


def thread_count() -> int:
    """$FRAUDIT_THREADS, else the cores this process may use.

    Raises:
        UsageError: the variable is not a positive integer.
    """
    stated = os.environ.get("FRAUDIT_THREADS", "")
    if stated:
        if not stated.isdigit() or int(stated) < 1:
            raise UsageError(f"FRAUDIT_THREADS must be a positive integer, found '{stated}'")
        return int(stated)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _session_errors() -> tuple[type[BaseException], ...]:
    """What onnxruntime raises: its classes share no base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile")
    names += ("NotImplemented", "RuntimeException", "EPFail", "ModelLoaded", "EngineError")
    kinds = [getattr(state, name) for name in names if hasattr(state, name)]
    return (*kinds, RuntimeError, ValueError)


def _session(model: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    wanted = ["CPUExecutionProvider"]
    if os.environ.get("FRAUDIT_DEVICE", "cuda").startswith("cuda"):
        wanted.insert(0, "CUDAExecutionProvider")
    providers = [p for p in wanted if p in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=providers)
    except _session_errors() as error:
        first = str(error).strip().splitlines()[0][:200]
        raise WeightsError(f"{model.name}: onnxruntime cannot load it: {first}") from error


def _chosen(slots: list[Any], name: str, what: str, model: Path) -> Any:
    known = [slot.name for slot in slots]
    if name:
        if name not in known:
            raise UsageError(
                f"{model.name}: no {what} '{name}'", f"{suggest(name, known)}it has {', '.join(known)}"
            )
        return slots[known.index(name)]
    if len(slots) != 1:
        raise UsageError(
            f"{model.name}: {len(slots)} {what}s; expected one", f"name it in the card: {what} = '{known[0]}'"
        )
    return slots[0]


def load_model(
    model: Path,
    spec: EmbedderSpec,
    *,
    input_name: str = "",
    output_name: str = "",
    layout: str = "NCHW",
    batch_size: int = 0,
    threads: int = 0,
) -> LoadedEmbedder:
    """An ONNX model under `spec`, probed once so that a wrong size or dimension shows before any run.

    Args:
        model: the .onnx file, its external data beside it.
        spec: what the model is; `spec.preprocess` makes its input, `spec.dim` is checked against its answer.
        input_name, output_name: which ones, where it has several.
        layout: NCHW or NHWC.
        batch_size: faces a call, for a model whose batch is free; 0 takes 32.
        threads: 0 takes $FRAUDIT_THREADS or all cores.
    Raises:
        WeightsError: not an ONNX model, files missing, or it does not answer as the spec says.
        UsageError: the model's input is of another size, or a name is unknown.
    """
    from embedders.onnx_files import model_sha256

    hint = "paths in a card are relative to the card"
    if not os.path.exists(model):  # also where the name is longer than any file's
        raise WeightsError(f"{spec.name[:60]}: no model file {str(model)[:300]}", hint)
    check_regular(model, hint, f"{spec.name[:60]}: the model file", WeightsError)
    digest = model_sha256(model)
    threads = threads or thread_count()
    session = _session(model, threads)
    weights = {slot.name for slot in session.get_overridable_initializers()}
    inputs = [slot for slot in session.get_inputs() if slot.name not in weights]
    source = _chosen(inputs, input_name, "input", model)
    target = _chosen(session.get_outputs(), output_name, "output", model)
    height, width = spec.preprocess.size
    wanted = (3, height, width) if layout == "NCHW" else (height, width, 3)
    if len(source.shape) != 4 or any(
        isinstance(side, int) and side > 0 and side != want
        for side, want in zip(source.shape[1:], wanted, strict=True)
    ):
        raise UsageError(
            f"{model.name}: its input '{source.name}' is {source.shape}, the card gives {list(wanted)}",
            "check size = [height, width] and layout in the card",
        )
    if source.type not in ("tensor(float)", "tensor(float16)"):
        raise UsageError(f"{model.name}: its input is {source.type}; expected float or float16")
    half = source.type == "tensor(float16)"
    fixed = source.shape[0] if isinstance(source.shape[0], int) and source.shape[0] > 0 else 0
    on_gpu = "CUDAExecutionProvider" in session.get_providers()
    pool: ThreadPoolExecutor | None = None
    if fixed and threads > 1 and not on_gpu:
        # Many small runs side by side beat one small run on many threads; a session may be shared.
        session = _session(model, 1)
        pool = ThreadPoolExecutor(threads, thread_name_prefix="onnx")
    errors = _session_errors()

    def run(batch: np.ndarray) -> F32:
        try:
            (answer,) = session.run([target.name], {source.name: batch})
        except errors as error:
            first = str(error).strip().splitlines()[0][:200]
            raise WeightsError(f"{model.name}: fails on {len(batch)} faces: {first}") from error
        if (
            not isinstance(answer, np.ndarray)
            or answer.size != len(batch) * spec.dim
            or len(answer) != len(batch)
        ):
            shape = getattr(answer, "shape", type(answer).__name__)
            raise WeightsError(
                f"{spec.name}: answers {shape} for {len(batch)} faces; expected ({len(batch)}, {spec.dim})",
                "check dim and output in the card",
            )
        return answer.reshape(len(batch), spec.dim).astype(np.float32, copy=False)

    def forward(images: U8) -> F32:
        batch = spec.preprocess.to_nchw(images)
        if layout == "NHWC":
            batch = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        if half:
            batch = batch.astype(np.float16)
        if not fixed:
            return run(batch)
        count = len(batch)
        if count % fixed:
            batch = np.concatenate([batch, np.repeat(batch[-1:], fixed - count % fixed, axis=0)])
        pieces = [batch[at : at + fixed] for at in range(0, len(batch), fixed)]
        answers = list(pool.map(run, pieces)) if pool else [run(piece) for piece in pieces]
        return np.concatenate(answers)[:count]

    probe = np.full((1, height, width, 3), 128, dtype=np.uint8)
    if not np.isfinite(forward(probe)).all():
        raise WeightsError(f"{spec.name}: answers NaN or infinity for a grey picture", "check mean and std")
    best = max(fixed * threads, 32 // fixed * fixed) if fixed else batch_size or (128 if on_gpu else 32)
    return LoadedEmbedder(
        spec=spec,
        forward=forward,
        weights_sha256=digest,
        # Another output or layout of the same file is another black box for every cache.
        variant=":".join(filter(None, [input_name, output_name, layout if layout != "NCHW" else ""])),
        batch_size=best,
        close=pool.shutdown if pool else None,
    )


def load(
    weights: Path | str | None = None, card: Path | str | None = None, threads: int = 0
) -> LoadedEmbedder:
    """The model of a TOML card.

    Args:
        weights: not used; the card names the model.
        card: path of the card.
        threads: 0 takes $FRAUDIT_THREADS or all cores.
    Raises:
        PluginError: no card was given. UsageError, DataError, WeightsError: see `parse_card`, `load_model`.
    """
    if card is None:
        raise PluginError("embedder 'onnx' needs a card", "--embedder card.toml, see docs/cards.md")
    parsed = parse_card(Path(card))
    parsed.refuse_unknown(KEYS)
    layout = parsed.take("layout", str, "NCHW")
    if layout not in ("NCHW", "NHWC"):
        raise UsageError(f"{parsed.path.name}: layout must be NCHW or NHWC, found {layout!r}")
    batch_size = parsed.take("batch_size", int, 0)
    if not 0 <= batch_size <= 4096:
        raise UsageError(f"{parsed.path.name}: batch_size must be from 1 to 4096, found {batch_size}")
    return load_model(
        parsed.path.parent / Path(parsed.take("model", str)).expanduser(),
        parsed.spec,
        input_name=parsed.take("input", str, ""),
        output_name=parsed.take("output", str, ""),
        layout=layout,
        batch_size=batch_size,
        threads=threads,
    )


EMBEDDER = EmbedderPlugin(
    name="onnx",
    spec=EmbedderSpec(
        name="onnx",
        dim=512,
        preprocess=Preprocess(size=(112, 112), template=ARCFACE_112),
        licence="as the card states",
        source="your model file",
        summary="any ONNX model, described by a TOML card",
    ),
    load=load,
)
