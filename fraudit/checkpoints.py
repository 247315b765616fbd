"""Restricted reading of PyTorch checkpoints: tensors come out, nothing they carry is ever executed.

Both containers of `torch.save` are read without torch's own loader: the zip archive (since 1.6) and the
older sequence of pickles followed by raw storages. A pickle may name functions to call; here a name is
either one of a few constructors of tensors and plain containers, or on a documented list of harmless
extras of training frameworks (which become inert placeholders: the real class is neither imported nor
called), or the file is refused and the name is said.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from fraudit.errors import WeightsError
from fraudit.frozen_graph import read_frozen_pb

if TYPE_CHECKING:
    import torch

__all__ = ["INERT_GLOBALS", "INERT_PACKAGES", "read_frozen_pb", "read_state"]

# What training frameworks leave in a checkpoint next to the weights. All of it becomes a placeholder.
INERT_PACKAGES = ("pytorch_lightning", "lightning", "lightning_fabric", "lightning_utilities", "omegaconf")
INERT_GLOBALS = frozenset(
    {
        "argparse.Namespace",
        "easydict.EasyDict",
        "_codecs.encode",
        "typing.Any",
        "copyreg._reconstructor",
        "torch.Size",
        "torch.device",
        "torch.nn.parameter.Parameter",
        *(f"collections.{name}" for name in ("Counter", "defaultdict", "deque")),
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        *(f"pathlib.{name}" for name in ("Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath")),
        *(f"{module}.{name}" for module in ("numpy.core.multiarray", "numpy._core.multiarray")
          for name in ("scalar", "_reconstruct")),
        *(f"numpy.{name}" for name in ("dtype", "ndarray", "bool_", "int32", "int64", "float32", "float64")),
        *(f"numpy.dtypes.{name}DType" for name in ("Bool", "Int32", "Int64", "Float32", "Float64")),
        *(f"builtins.{name}" for name in ("set", "frozenset", "dict", "list", "tuple", "object", "int", "float",
                                          "bool", "str", "bytes", "bytearray", "complex", "slice", "range")),
        *(f"torch.{name}" for name in ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32",
                                       "int64", "uint8", "bool")),
    }
)  # fmt: skip

# Storage class of a tensor -> torch dtype.
DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
ITEM_BYTES = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "float16": 2, "bfloat16": 2, "int16": 2}

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

# Every way in which a damaged or hostile pickle makes the interpreter below stumble.
MALFORMED = (
    pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError,
    OverflowError, MemoryError, RecursionError, struct.error,
)  # fmt: skip

# Opcodes no checkpoint needs: registered extensions, out-of-band buffers, allocation by a stated length,
# and the ways of protocol 0 to make instances.
REFUSED_OPCODES = (
    pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.BYTEARRAY8,
    pickle.INST, pickle.OBJ,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str
    numel: int
    start: int = 0  # of a view into the stored elements, legacy files only

    @property
    def item_bytes(self) -> int:
        return ITEM_BYTES.get(self.dtype, 1)


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor that is described but not read yet."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Inert:
    """Stands for an object the checkpoint carries; swallows whatever the pickle does to it."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def _swallow(self, *_: Any) -> None:
        pass

    __setstate__ = __setitem__ = append = extend = add = update = _swallow


class _Call:
    """An allowed function. Slots and no dictionary, so a pickle cannot set attributes of it."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"attribute {name} of a function")


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Tensor:
    shape, steps = tuple(size), tuple(stride)
    if not isinstance(storage, _Storage) or len(shape) != len(steps):
        raise pickle.UnpicklingError("a tensor without a storage")
    numbers = (offset, *shape, *steps)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise pickle.UnpicklingError("a tensor with a negative or missing size")
    return _Tensor(storage, offset, shape, steps)


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


REBUILD = {
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
}


# The interpreter in Python and not the one in C: its memo cannot be made to allocate by a stated index,
# and its table of opcodes can be narrowed.
class _Restricted(pickle._Unpickler):  # type: ignore[name-defined,misc]
    dispatch: ClassVar[dict[int, Any]] = {
        code: function
        for code, function in pickle._Unpickler.dispatch.items()  # type: ignore[attr-defined]
        if code not in {opcode[0] for opcode in REFUSED_OPCODES}
    }

    def __init__(self, file: Any, name: str) -> None:
        super().__init__(file, encoding="latin1")
        self.name = name
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        # Protocols below 3 write the names of Python 2.
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        full = f"{module}.{name}"
        if full in REBUILD:
            return _Call(REBUILD[full])
        if full == "collections.OrderedDict":
            return OrderedDict
        if module in ("torch", "torch.storage", "torch.cuda") and name in DTYPES:
            return DTYPES[name]
        if full in INERT_GLOBALS or module.partition(".")[0] in INERT_PACKAGES:
            return type("Inert", (_Inert,), {"__slots__": ()})
        known_as = f" (os.{name})" if module in ("posix", "nt") else ""
        raise WeightsError(
            f"{self.name}: refused, the checkpoint carries '{full}'{known_as}, which loading it would execute; "
            "expected tensors and plain containers",
            "if you trust its source, save model.state_dict() alone and use that file",
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, numel, *view = pid
        if kind != "storage" or dtype not in DTYPES.values() or type(numel) is not int:
            raise pickle.UnpicklingError("an unknown kind of storage")
        start = 0
        if view and view[0] is not None:
            _, start, _ = view[0]
            if type(start) is not int or start < 0:
                raise pickle.UnpicklingError("a storage view before its storage")
        storage = _Storage(str(key), dtype, numel, start)
        self.storages[storage.key] = storage
        return storage


class _Bounded:
    """Reads at most what the file still holds, whatever length the pickle states."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        self._file = file
        self._length = length

    def read(self, count: int) -> bytes:
        if count > self._length - self._file.tell():
            raise EOFError
        return self._file.read(count)

    def readline(self) -> bytes:
        return self._file.readline()


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a PyTorch checkpoint by key, in the file's order, on the CPU.

    A top-level dictionary with an entry `state_dict` stands for that entry (Lightning and most training
    scripts); entries that are no tensors are left out, and only the tensors returned are read.

    Raises:
        WeightsError: no such file, not a PyTorch file, truncated or damaged, a TorchScript archive, a
            pickle with a global that would have to be executed (named), or no tensors in it.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            length = file.seek(0, io.SEEK_END)
            file.seek(0)
            if head[:4] == b"PK\x03\x04":
                return _read_zip(file, length, path.name)
            if head[:1] == b"\x80":
                return _read_legacy(file, length, path.name)
    except OSError as error:
        raise WeightsError(
            f"cannot read {path}: {error.strerror}", "check the path given as weights"
        ) from error
    raise WeightsError(
        f"{path.name}: expected a PyTorch checkpoint (zip or pickle), found {_what(head)}",
        "download the file again, or check that it is the official checkpoint",
    )


def _what(head: bytes) -> str:
    if not head:
        return "an empty file"
    if head.lstrip()[:1] == b"<":
        return "a web page, as a download page saves it in place of the file"
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    return f"bytes {head[:8].hex(' ')}"


def _damaged(name: str, detail: str) -> WeightsError:
    return WeightsError(f"{name}: truncated or damaged: {detail}", "download or copy the file again")


def _unpickle(file: Any, name: str) -> tuple[Any, dict[str, _Storage]]:
    """The pickle's object, and every storage it names."""
    try:
        unpickler = _Restricted(file, name)
        return unpickler.load(), unpickler.storages
    except MALFORMED as error:
        raise _damaged(name, f"its pickle cannot be read ({type(error).__name__}: {error})") from error


def _described(root: Any, name: str) -> dict[str, _Tensor]:
    inner = root.get("state_dict", root) if isinstance(root, Mapping) else None
    if not isinstance(inner, Mapping):
        found = "an object of another package" if isinstance(root, _Inert) else type(root).__name__
        raise WeightsError(
            f"{name}: expected a dictionary of tensors, found {found.strip('_')}",
            "save model.state_dict() alone",
        )
    tensors = {k: v for k, v in inner.items() if isinstance(k, str) and isinstance(v, _Tensor)}
    if not tensors:
        raise WeightsError(
            f"{name}: expected a dictionary of tensors, found no tensor among {len(inner)} entries",
            "save model.state_dict() alone",
        )
    return tensors


def _materialise(
    tensors: dict[str, _Tensor], name: str, data_of: Callable[[_Storage], bytearray]
) -> dict[str, torch.Tensor]:
    import torch

    flat: dict[str, torch.Tensor] = {}
    state: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        storage = tensor.storage
        dtype = getattr(torch, storage.dtype)
        if storage.key not in flat:
            data = data_of(storage)
            flat[storage.key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        elements = flat[storage.key]
        count, last = 1, tensor.offset + storage.start
        for size, stride in zip(tensor.size, tensor.stride, strict=True):
            count *= size
            last += max(size - 1, 0) * stride
        # A tensor has no more elements than its storage: a view repeated by a zero stride could fill memory.
        if elements.dtype != dtype or count > len(elements) or (count and last >= len(elements)):
            raise _damaged(name, f"'{key}' {list(tensor.size)} lies outside its storage of {len(elements)}")
        start = tensor.offset + storage.start
        state[key] = elements.as_strided(tensor.size, tensor.stride, start) if count else torch.empty(
            tensor.size, dtype=dtype
        )  # fmt: skip
    return state


def _read_zip(file: IO[bytes], length: int, name: str) -> dict[str, torch.Tensor]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
        raise _damaged(name, f"no zip directory at the end of its {length:,} bytes") from error
    entries = {info.filename: info for info in archive.infolist()}
    # torch.save stores and never compresses, so an archive that would grow on reading is none of its own.
    if any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()) or (
        sum(info.file_size for info in archive.infolist()) > length
    ):
        raise WeightsError(
            f"{name}: expected stored entries as torch.save writes them, found compressed or overlapping ones",
            "use the original checkpoint",
        )
    pickles = [entry for entry in entries if entry.endswith("/data.pkl") and entry.count("/") == 1]
    if len(pickles) != 1:
        raise WeightsError(
            f"{name}: expected one NAME/data.pkl in the zip archive, found {len(pickles)}",
            "this is no checkpoint of torch.save",
        )
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in entries:
        raise WeightsError(
            f"{name}: expected a checkpoint, found a TorchScript archive, which is a program",
            "save model.state_dict() of the original model",
        )

    def content(entry: str) -> bytes:
        if entry not in entries:
            raise _damaged(name, f"no entry {entry} in the archive")
        try:
            return archive.read(entry)
        except (zipfile.BadZipFile, EOFError, RuntimeError, struct.error, ValueError) as error:
            raise _damaged(name, f"entry {entry}: {error}") from error

    if f"{folder}byteorder" in entries and content(f"{folder}byteorder") != b"little":
        raise WeightsError(
            f"{name}: expected little-endian tensors, found big-endian", "convert the checkpoint"
        )
    tensors = _described(_unpickle(io.BytesIO(content(pickles[0])), name)[0], name)

    def data_of(storage: _Storage) -> bytearray:
        data = bytearray(content(f"{folder}data/{storage.key}"))
        if len(data) != storage.numel * storage.item_bytes:
            wanted = storage.numel * storage.item_bytes
            raise _damaged(name, f"storage {storage.key} has {len(data):,} bytes, expected {wanted:,}")
        return data

    return _materialise(tensors, name, data_of)


def _read_legacy(file: IO[bytes], length: int, name: str) -> dict[str, torch.Tensor]:
    stream = _Bounded(file, length)
    if _unpickle(stream, name)[0] != LEGACY_MAGIC:
        raise WeightsError(
            f"{name}: expected a PyTorch checkpoint, found a plain pickle", "use the official checkpoint"
        )
    protocol, system = _unpickle(stream, name)[0], _unpickle(stream, name)[0]
    if protocol != LEGACY_PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError(
            f"{name}: expected protocol {LEGACY_PROTOCOL}, little-endian; found {protocol!r}, {system!r}"[
                :300
            ],
            "convert the checkpoint with the torch that wrote it",
        )
    root, storages = _unpickle(stream, name)
    tensors = _described(root, name)
    keys = _unpickle(stream, name)[0]
    if not isinstance(keys, list) or not storages.keys() <= {str(key) for key in keys}:
        raise _damaged(name, "no list of its storages")
    places: dict[str, tuple[int, int]] = {}
    place = file.tell()
    for at, key in enumerate(str(key) for key in keys):
        file.seek(place)
        header = file.read(8)
        if len(header) < 8:
            raise _damaged(name, f"it ends at byte {length:,}, before storage {at + 1} of {len(keys)}")
        numel = struct.unpack("<q", header)[0]
        if key not in storages:
            raise _damaged(name, f"storage {at + 1} of {len(keys)} belongs to no tensor")
        end = place + 8 + numel * storages[key].item_bytes
        if numel < 0 or end > length:
            raise _damaged(name, f"it ends at byte {length:,} within storage {at + 1} of {len(keys)}")
        places[key] = (place + 8, numel)
        place = end

    def data_of(storage: _Storage) -> bytearray:
        if storage.key not in places:
            raise _damaged(name, f"no storage {storage.key}")
        start, numel = places[storage.key]
        file.seek(start)
        return bytearray(file.read(numel * storage.item_bytes))

    return _materialise(tensors, name, data_of)
