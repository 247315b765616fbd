"""Any ONNX model, described by a TOML card (docs/cards.md); also the engine of other ONNX embedders.

A model whose batch is fixed is fed in pieces of that size, several at a time on as many threads as allowed
($FRAUDIT_THREADS). Its graph is never rewritten: exports with a fixed batch usually flatten with a constant
shape, which a larger batch would silently fold into one vector. On a CPU one whose batch is free is fed face by face
likewise, unless the card states `batch_size`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.embedders.onnx_probe import batch_notes, made_up
from fraudit.embedders.onnx_slots import (
    Drawn,
    choose_input,
    choose_output,
    constants,
    draw_card,
    layouts_of,
    refuse_other_sorts,
    vector_outputs,
)
from fraudit.embedding.bundled import BUNDLED
from fraudit.embedding.cards import parse_card
from fraudit.errors import PluginError, UsageError, WeightsError
from fraudit.files.doors import check_regular
from fraudit.threads import thread_count
from fraudit.types import (
    ARCFACE_112,
    F32,
    U8,
    EmbedderPlugin,
    EmbedderSpec,
    LoadedEmbedder,
    Network,
)

KEYS = ("model", "input", "inputs", "output", "layout", "batch_size")


def _session_errors() -> tuple[type[BaseException], ...]:
    """What onnxruntime raises: its classes share no base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names: tuple[str, ...] = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoModel",
        "NoSuchFile",
    )
    names += ("NotImplemented", "RuntimeException", "EPFail", "ModelLoaded", "EngineError")
    kinds = [getattr(state, name) for name in names if hasattr(state, name)]
    return (*kinds, RuntimeError, ValueError)


def _quiet() -> Any:
    """Options of a run that print nothing: what went wrong is in the error."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    return options


def _session(model: Path, threads: int, blob: bytes | None = None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait sleep: see fraudit.threads.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = ["CPUExecutionProvider"]
    if os.environ.get("FRAUDIT_DEVICE", "cuda").startswith("cuda"):
        wanted.insert(0, "CUDAExecutionProvider")
    providers = [p for p in wanted if p in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(blob or str(model), options, providers=providers)
    except _session_errors() as error:
        first = str(error).strip().splitlines()[0][:200]
        raise WeightsError(f"{model.name}: onnxruntime cannot load it: {first}") from error


def _found(model: Path, hint: str, name: str) -> None:
    if not os.path.exists(model):  # also where the name is longer than any file's
        of = "" if name == model.name else f"{name[:60]}: "
        raise WeightsError(f"{of}no model file {str(model)[:300]}", hint)
    check_regular(model, hint, f"{name[:60]}: the model file", WeightsError)


def _slots(session: Any) -> tuple[list[Any], list[Any]]:
    """(inputs that must be given, outputs)."""
    weights = {slot.name for slot in session.get_overridable_initializers()}
    return [slot for slot in session.get_inputs() if slot.name not in weights], session.get_outputs()


def card_for(model: Path) -> Drawn:
    """What a card of this file would say. Raises WeightsError, UsageError: no model, or one of another sort."""
    _found(model, "check the path", model.name)
    from fraudit.embedders.onnx_files import external_files

    external_files(model)  # nothing outside its folder is read
    inputs, outputs = _slots(_session(model, 1))
    refuse_other_sorts(inputs, outputs, model)
    return draw_card(model, inputs, outputs)


def load_model(
    model: Path,
    spec: EmbedderSpec,
    *,
    input_name: str = "",
    output_name: str = "",
    layout: str = "NCHW",
    inputs_set: Mapping[str, Any] | None = None,
    batch_size: int = 0,
    threads: int = 0,
) -> LoadedEmbedder:
    """An ONNX model under `spec`, probed once so that a wrong size or dimension shows before any run.

    Args:
        model: the .onnx file, its external data beside it.
        spec: what the model is; `spec.preprocess` makes its input, `spec.dim` is checked against its answer.
        input_name, output_name: which ones, where it has several.
        layout: NCHW or NHWC.
        inputs_set: values of the other inputs, where it has some.
        batch_size: faces a call, for a model whose batch is free; 0 takes one on each thread of a CPU, 128 on a GPU.
        threads: 0 takes $FRAUDIT_THREADS or all cores.
    Raises:
        WeightsError: not an ONNX model, files missing, or it does not answer as the spec says.
        UsageError: the model's input is of another size, or a name is unknown.
    """
    from fraudit.embedders.onnx_files import model_sha256, with_free_batch

    _found(model, "paths in a card are relative to the card", spec.name)
    digest = model_sha256(model)
    threads = threads or thread_count()
    blob: bytes | None = None
    session = _session(model, threads)
    inputs, outputs = _slots(session)
    if any(slot.shape and slot.shape[0] == 0 for slot in inputs) and (blob := with_free_batch(model)):
        session = _session(model, threads, blob)
        inputs, outputs = _slots(session)
    refuse_other_sorts(inputs, outputs, model)
    stated = inputs_set or {}
    source = choose_input(inputs, input_name, stated, model)
    target = choose_output(outputs, output_name, spec.dim, model)
    others = constants(inputs, stated, model.name)
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
    errors, quiet = _session_errors(), _quiet()

    def run(batch: np.ndarray, output: str = target.name) -> F32:
        try:
            (answer,) = session.run([output], {source.name: batch, **others}, quiet)
        except errors as error:
            first = str(error).strip().splitlines()[0][:200]
            raise WeightsError(f"{model.name}: fails on {len(batch)} faces: {first}") from error
        dim = spec.dim if output == target.name else (getattr(answer, "size", 0) // len(batch))
        if (
            not isinstance(answer, np.ndarray)
            or answer.ndim == 0
            or answer.size != len(batch) * dim
            or len(answer) != len(batch)
        ):
            shape = getattr(answer, "shape", type(answer).__name__)
            raise WeightsError(
                f"{spec.name}: answers {shape} for {len(batch)} faces; expected ({len(batch)}, {dim})",
                "check dim and output in the card",
            )
        return answer.reshape(len(batch), dim).astype(np.float32, copy=False)

    def forward(images: U8) -> F32:
        return ask(spec.preprocess.to_nchw(images), target.name, layout)

    def alone_forward(images: U8) -> F32:
        return ask(spec.preprocess.to_nchw(images), target.name, layout, here=True)

    def ask(batch: F32, output: str, order: str, here: bool = False) -> F32:
        if order == "NHWC":
            batch = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        if half:
            batch = batch.astype(np.float16)
        if not fixed:
            return run(batch, output)
        count = len(batch)
        if count % fixed:
            batch = np.concatenate([batch, np.repeat(batch[-1:], fixed - count % fixed, axis=0)])
        pieces = [batch[at : at + fixed] for at in range(0, len(batch), fixed)]
        one = partial(run, output=output)
        answers = list(pool.map(one, pieces)) if pool and not here else list(map(one, pieces))
        return np.concatenate(answers)[:count]

    two = made_up((height, width))
    alone = forward(two[:1])
    notes: tuple[str, ...] = ()
    if fixed != 1 and batch_size != 1:
        try:
            notes = batch_notes(model.name, alone, forward(two))
        except WeightsError as error:
            if fixed:
                raise
            fixed = 1
            forward(two)  # whatever is wrong now is wrong
            notes = (
                f"{model.name}: it says that any number of faces may be shown at once, and takes one alone "
                f"({error.message.removeprefix(model.name + ': ')[:160]}); it is asked one face at a time",
            )
    if not (fixed or batch_size or notes or on_gpu):
        fixed = 1  # as fast on a CPU, and a vector then hangs on no other face: int8 models scale by the whole batch
    if fixed and threads > 1 and not on_gpu:
        # Many small runs side by side beat one small run on many threads; a session may be shared.
        session = _session(model, 1, blob)
        pool = ThreadPoolExecutor(threads, thread_name_prefix="onnx")
    if not np.isfinite(alone).all() or not np.isfinite(forward(np.full_like(two[:1], 128))).all():
        raise WeightsError(
            f"{spec.name}: answers NaN or infinity for a made-up picture", "check mean and std"
        )
    best = max(fixed * threads, 32 // fixed * fixed) if fixed else batch_size or (128 if on_gpu else 32)
    return LoadedEmbedder(
        spec=spec,
        forward=forward,
        weights_sha256=digest,
        # Another output or layout of the same file is another black box for every cache.
        variant=":".join(
            filter(
                None,
                [
                    input_name,
                    output_name,
                    layout if layout != "NCHW" else "",
                    json.dumps(dict(stated), sort_keys=True, default=str) if stated else "",
                ],
            )
        ),
        batch_size=best,
        close=pool.shutdown if pool else None,
        # A larger batch would be filled up with copies wherever a block of faces ends.
        alone=alone_forward if pool and fixed == 1 else None,
        notes=notes,
        network=Network(
            ask,
            vector_outputs(outputs, target),
            layouts_of(source, (height, width), layout),
            free_size=layout == "NCHW" and not any(isinstance(s, int) and s > 0 for s in source.shape[2:]),
        ),
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
    loaded = load_model(
        parsed.path.parent / Path(parsed.take("model", str)).expanduser(),
        parsed.spec,
        input_name=parsed.take("input", str, ""),
        output_name=parsed.take("output", str, ""),
        layout=layout,
        inputs_set=parsed.take("inputs", dict, {}),
        batch_size=batch_size,
        threads=threads,
    )
    return replace(loaded, notes=(*parsed.notes, *loaded.notes), card_notes=parsed.notes)


def check(card: Path | str) -> None:
    """Read the card and look for the model's file. Raises UsageError, DataError, WeightsError."""
    parsed = parse_card(Path(card))
    model = parsed.path.parent / Path(parsed.take("model", str)).expanduser()
    _found(model, "paths in a card are relative to the card", parsed.spec.name)


EMBEDDER = EmbedderPlugin(
    name="onnx",
    spec=BUNDLED["onnx"].spec(ARCFACE_112),
    load=load,
    suffixes=(".onnx",),
    draft=card_for,
    check=check,
)
