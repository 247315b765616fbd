"""Restricted reading: what torch.save wrote comes back, what a file carries besides is never executed."""

from __future__ import annotations

import argparse
import io
import os
import pathlib
import pickle
import random
import struct
import subprocess
import sys
import types
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from fraudit.errors import WeightsError
from fraudit.weights.checkpoints import read_state

CONTAINERS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


class Runs:
    """An object whose unpickling calls `function`."""

    def __init__(self, function: object, *args: object) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.call


def save(obj: object, path: Path, zipped: bool) -> Path:
    torch.save(obj, path, _use_new_zipfile_serialization=zipped)
    return path


def sample_state() -> OrderedDict[str, torch.Tensor]:
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return OrderedDict(
        {
            "whole": base,
            "view": base[1:3, ::2],
            "transposed": torch.randn(3, 5).T,
            "half": torch.randn(7).half(),
            "brain": torch.randn(3).bfloat16(),
            "double": torch.randn(2, 2, dtype=torch.float64),
            "long": torch.tensor(3),
            "bytes": torch.arange(5, dtype=torch.uint8),
            "flags": torch.tensor([True, False]),
            "empty": torch.empty(0, 4),
            "parameter": torch.nn.Parameter(torch.randn(2, 3)),
        }
    )


@CONTAINERS
@pytest.mark.parametrize("nested", [True, False])
def test_every_tensor_comes_back_as_torch_wrote_it(tmp_path: Path, zipped: bool, nested: bool) -> None:
    state = sample_state()
    wrapped = {"epoch": 3, "optimizer": {"m": torch.randn(9)}, "state_dict": state} if nested else state
    read = read_state(save(wrapped, tmp_path / "a.pt", zipped))
    assert list(read) == list(state)
    for key, expected in state.items():
        assert read[key].dtype == expected.dtype, key
        assert torch.equal(read[key], expected.detach()), key


@CONTAINERS
def test_the_state_dict_of_a_module_comes_back(tmp_path: Path, zipped: bool) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    read = read_state(save(module.state_dict(), tmp_path / "a.pt", zipped))
    assert {k: v.shape for k, v in read.items()} == {k: v.shape for k, v in module.state_dict().items()}


@CONTAINERS
@pytest.mark.parametrize(
    ("function", "args", "name"),
    [
        (os.system, ("touch {}",), "posix.system' (os.system)"),
        (eval, ("open({!r}, 'w')",), "builtins.eval"),
        (exec, ("open({!r}, 'w')",), "builtins.exec"),
        (subprocess.Popen, (["touch", "{}"],), "subprocess.Popen"),
        (getattr, (os, "system"), "builtins.getattr"),
        (pathlib.Path.touch, (Path("{}"),), "builtins.getattr"),
        (torch.load, ("{}",), "torch.serialization.load"),
        (torch.nn.Linear, (2, 2), "torch.nn.modules.linear.Linear"),
    ],
    ids=["system", "eval", "exec", "Popen", "getattr", "method", "torch.load", "module"],
)
@pytest.mark.parametrize("place", ["state_dict", "beside"])
def test_a_foreign_global_is_refused_by_name_and_not_executed(
    tmp_path: Path, zipped: bool, function: object, args: tuple[object, ...], name: str, place: str
) -> None:
    marker = tmp_path / "executed"
    filled = tuple(arg.format(str(marker)) if isinstance(arg, str) else arg for arg in args)
    if function is getattr:
        filled = ("a", "upper")
    evil = Runs(function, *filled)
    state: dict[str, object] = {"weight": torch.ones(2)}
    root: dict[str, object] = {"state_dict": state, "callbacks": {}}
    (state if place == "state_dict" else root)["extra"] = evil
    path = save(root, tmp_path / "evil.pt", zipped)
    with pytest.raises(WeightsError) as caught:
        read_state(path)
    assert name in caught.value.message
    assert not marker.exists()


def test_the_trap_of_these_tests_springs_when_a_file_is_loaded_without_care(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    path = save({"x": Runs(os.system, f"touch {marker}")}, tmp_path / "evil.pt", True)
    torch.load(path, weights_only=False)
    assert marker.exists()


@CONTAINERS
def test_a_lightning_checkpoint_with_harmless_extras_loads_without_touching_them(
    tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ModelCheckpoint:
        pass

    class AttributeDict(dict):  # type: ignore[type-arg]
        pass

    for cls, home in (
        (ModelCheckpoint, "pytorch_lightning.callbacks.model_checkpoint"),
        (AttributeDict, "pytorch_lightning.utilities.parsing"),
    ):
        parts = home.split(".")
        for depth in range(1, len(parts) + 1):
            name = ".".join(parts[:depth])
            monkeypatch.setitem(sys.modules, name, sys.modules.get(name) or types.ModuleType(name))
        cls.__module__, cls.__qualname__ = home, cls.__name__
        monkeypatch.setattr(sys.modules[home], cls.__name__, cls, raising=False)

    hyper = AttributeDict(lr=0.1, head="adaface")
    hyper.note = "an attribute"  # type: ignore[attr-defined]
    checkpoint = {
        "epoch": 25,
        "pytorch-lightning_version": "1.8.6",
        "state_dict": OrderedDict({"model.weight": torch.arange(4.0)}),
        "callbacks": {ModelCheckpoint: {"best_model_score": torch.tensor(0.98), "dirpath": Path("runs")}},
        "optimizer_states": [{"state": {0: {"momentum_buffer": torch.ones(4)}}}],
        "lr_schedulers": [{"milestones": Counter({12: 1, 20: 1}), "_last_lr": [np.float64(0.1)]}],
        "hyper_parameters": hyper,
        "args": argparse.Namespace(arch="ir_50", path=Path("/data"), gpus={0, 1}),
        "numpy": [np.float32(1.5), np.arange(3), np.dtype("int64")],
    }
    path = save(checkpoint, tmp_path / "lightning.ckpt", zipped)

    def trap(*_: object, **__: object) -> None:
        raise AssertionError("the real class was called")

    monkeypatch.setattr(ModelCheckpoint, "__new__", trap)
    monkeypatch.setattr(AttributeDict, "__setitem__", trap)
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        monkeypatch.delitem(sys.modules, name)
    read = read_state(path)
    assert list(read) == ["model.weight"]
    assert read["model.weight"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert "pytorch_lightning" not in sys.modules


@CONTAINERS
def test_a_truncated_file_is_a_clear_error_wherever_it_ends(tmp_path: Path, zipped: bool) -> None:
    data = save(sample_state(), tmp_path / "a.pt", zipped).read_bytes()
    path = tmp_path / "cut.pt"
    for length in sorted(
        {0, 1, 3, 4, 10, 100, len(data) // 3, len(data) // 2, len(data) - 40, len(data) - 1}
    ):
        path.write_bytes(data[:length])
        with pytest.raises(WeightsError) as caught:
            read_state(path)
        assert "cut.pt" in caught.value.message
        assert caught.value.hint


@CONTAINERS
def test_damage_anywhere_gives_tensors_or_a_weights_error_and_nothing_else(
    tmp_path: Path, zipped: bool
) -> None:
    data = save({"state_dict": sample_state(), "n": np.float64(1)}, tmp_path / "a.pt", zipped).read_bytes()
    path = tmp_path / "damaged.pt"
    draw = random.Random(7)
    refused = 0
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(draw.choice([1, 1, 3, 20])):
            damaged[draw.randrange(min(len(damaged), 4000))] = draw.randrange(256)
        path.write_bytes(bytes(damaged))
        try:
            read = read_state(path)
        except WeightsError:
            refused += 1
        else:
            assert all(isinstance(value, torch.Tensor) for value in read.values())
    assert refused > 100


def test_a_storage_that_does_not_match_its_checksum_is_refused(tmp_path: Path) -> None:
    path = save({"w": torch.full((1000,), 1.25)}, tmp_path / "a.pt", True)
    data = bytearray(path.read_bytes())
    at = data.find(struct.pack("<f", 1.25) * 8)
    data[at + 100] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="truncated or damaged"):
        read_state(path)


def _zip(path: Path, pickled: bytes, method: int = zipfile.ZIP_STORED, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in more.items():
            archive.writestr(f"archive/{name}", content)
    return path


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = _zip(tmp_path / "bomb.pt", b"\x80\x02}.", zipfile.ZIP_DEFLATED, data=bytes(50_000_000))
    assert path.stat().st_size < 100_000
    with pytest.raises(WeightsError, match="compressed"):
        read_state(path)


def test_a_torchscript_archive_is_refused_as_a_program(tmp_path: Path) -> None:
    path = _zip(
        tmp_path / "script.pt", b"\x80\x02}.", **{"constants.pkl": b"\x80\x02).", "code/a.py": b"pass"}
    )
    with pytest.raises(WeightsError, match="TorchScript"):
        read_state(path)


class _Pid(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        return ("storage", torch.FloatStorage, "0", "cpu", 4) if obj == "STORAGE" else None


class _Rebuild:
    def __init__(self, *args: object) -> None:
        self.args = args

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return torch._utils._rebuild_tensor_v2, self.args


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (5,), (1,)),
        (3, (2,), (1,)),
        (0, (2, 2), (1, 3)),
        (0, (1 << 40,), (0,)),
        (-1, (1,), (1,)),
        (0, (2,), (-1,)),
    ],
    ids=["too long", "offset", "stride", "zero stride", "negative offset", "negative stride"],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path: Path, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    buffer = io.BytesIO()
    _Pid(buffer, 2).dump({"w": _Rebuild("STORAGE", offset, size, stride, False, OrderedDict())})
    path = _zip(tmp_path / "out.pt", buffer.getvalue(), **{"data/0": np.arange(4, dtype="<f4").tobytes()})
    with pytest.raises(WeightsError):
        read_state(path)


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02]r\xff\xff\xff\x7f.",  # memo index 2^31 - 1
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",  # bytearray of 1 TiB
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",  # bytes of 1 TiB
        b"\x80\x02\x82\x01.",  # registered extension
        b"\x80\x02" + b"(" * 10_000 + b".",
    ],
    ids=["memo", "bytearray", "bytes", "extension", "marks"],
)
def test_a_pickle_that_states_sizes_it_does_not_have_allocates_nothing(
    tmp_path: Path, pickled: bytes
) -> None:
    with pytest.raises(WeightsError):
        read_state(_zip(tmp_path / "a.pt", pickled))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"\x00\x01\x02\x03", "bytes 00 01 02 03"),
        (pickle.dumps({"a": 1}), "a plain pickle"),
    ],
)
def test_a_file_of_another_kind_is_named_for_what_it_is(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="expected a PyTorch checkpoint") as caught:
        read_state(path)
    assert found in caught.value.message


@CONTAINERS
@pytest.mark.parametrize("root", [[1, 2], "text", {"epoch": 3}, {"state_dict": {}}])
def test_a_checkpoint_without_tensors_says_so(tmp_path: Path, zipped: bool, root: object) -> None:
    with pytest.raises(WeightsError, match="expected a dictionary of tensors"):
        read_state(save(root, tmp_path / "a.pt", zipped))


def test_a_missing_file_is_a_weights_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read"):
        read_state(tmp_path / "none.pt")


class _Rewritten:
    """A tensor whose fields the pickle writes again after it was checked."""

    def __init__(self, state: object) -> None:
        self.state = state

    def __reduce__(self) -> tuple[object, ...]:
        size = ("STORAGE", 0, (2,), (1,), False, OrderedDict())
        return torch._utils._rebuild_tensor_v2, size, self.state


@pytest.mark.parametrize("state", [[0, -4, (2,), (1,)], (None, {"offset": -4}), {"offset": -4}])
def test_a_pickle_cannot_write_the_fields_of_what_was_checked(tmp_path: Path, state: object) -> None:
    buffer = io.BytesIO()
    _Pid(buffer, 2).dump({"w": _Rewritten(state)})
    path = _zip(tmp_path / "a.pt", buffer.getvalue(), **{"data/0": np.arange(4, dtype="<f4").tobytes()})
    with pytest.raises(WeightsError, match="a state for a DescribedTensor"):
        read_state(path)


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02}" + b")" + b"\x85" * 1_000_000 + b"Ns.",  # the hash of a deep tuple exhausts the stack
        b"\x80\x02}" + b")" + b"q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"Ns.",
        b"\x80\x02U\x07storagecollections\nOrderedDict\n)q\x00"
        + b"h\x00h\x00\x86q\x00" * 60
        + b"U\x03cpuK\x01tQ.",
        b"\x80\x02ccollections\nOrderedDict\n(](](" + b")" + b"\x85" * 1_000_000 + b"Neete.",
    ],
    ids=["deep key", "doubled key", "doubled storage name", "deep key of an ordered one"],
)
def test_keys_and_names_are_plain_values(tmp_path: Path, pickled: bytes) -> None:
    with pytest.raises(WeightsError):
        read_state(_zip(tmp_path / "a.pt", pickled))


def test_a_legacy_file_that_states_a_doubled_list_as_its_protocol_is_refused_at_once(tmp_path: Path) -> None:
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    doubled = b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 60 + b"."
    path = tmp_path / "a.pth"
    path.write_bytes(magic + doubled + b"\x80\x02}.")
    with pytest.raises(WeightsError, match="found another"):
        read_state(path)
