"""A pickle interpreter that executes nothing: tensors are described, harmless extras become placeholders.

A pickle may name functions to call. Here a name is one of a few constructors of tensors and plain
containers, or on a documented list of harmless extras of training frameworks (which become inert
placeholders: the real class is neither imported nor called), or the pickle is refused and the name is said.
"""

from __future__ import annotations

import pickle
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, ClassVar

from fraudit.errors import WeightsError

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


def damaged(name: str, detail: str) -> WeightsError:
    """The error for a file called `name` that is not whole."""
    return WeightsError(f"{name}: truncated or damaged: {detail}", "download or copy the file again")


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
class Storage:
    """`numel` elements of `dtype` that the container keeps under `key`."""

    key: str
    dtype: str
    numel: int
    start: int = 0  # of a view into the stored elements, legacy files only

    @property
    def item_bytes(self) -> int:
        return ITEM_BYTES.get(self.dtype, 1)


@dataclass(frozen=True, slots=True)
class DescribedTensor:
    """A tensor that is described but not read yet."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class Inert:
    """Stands for an object the checkpoint carries; swallows whatever the pickle does to it."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def _swallow(self, *_: Any) -> None:
        pass

    __setstate__ = __setitem__ = append = extend = add = update = _swallow


class _Call:
    """An allowed function. Slots and no dictionary, so a pickle cannot set attributes of it."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"attribute {name} of a function")


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> DescribedTensor:
    shape, steps = tuple(size), tuple(stride)
    if not isinstance(storage, Storage) or len(shape) != len(steps):
        raise pickle.UnpicklingError("a tensor without a storage")
    numbers = (offset, *shape, *steps)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise pickle.UnpicklingError("a tensor with a negative or missing size")
    return DescribedTensor(storage, offset, shape, steps)


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


REBUILD: dict[str, Callable[..., Any]] = {
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
        self.storages: dict[str, Storage] = {}

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
            return type("Inert", (Inert,), {"__slots__": ()})
        known_as = f" (os.{name})" if module in ("posix", "nt") else ""
        raise WeightsError(
            f"{self.name}: refused, the checkpoint carries '{full}'{known_as}, which loading it would execute; "
            "expected tensors and plain containers",
            "if you trust its source, save model.state_dict() alone and use that file",
        )

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _, numel, *view = pid
        if kind != "storage" or dtype not in DTYPES.values() or type(numel) is not int:
            raise pickle.UnpicklingError("an unknown kind of storage")
        start = 0
        if view and view[0] is not None:
            _, start, _ = view[0]
            if type(start) is not int or start < 0:
                raise pickle.UnpicklingError("a storage view before its storage")
        storage = Storage(str(key), dtype, numel, start)
        self.storages[storage.key] = storage
        return storage


class Bounded:
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


def unpickle(file: Any, name: str) -> tuple[Any, dict[str, Storage]]:
    """The next pickle's object, and every storage it names.

    Args:
        file: has `read` and `readline`.
        name: of the checkpoint, for messages.
    Raises:
        WeightsError: a global that would have to be executed (named), or a damaged pickle.
    """
    try:
        unpickler = _Restricted(file, name)
        return unpickler.load(), unpickler.storages
    except MALFORMED as error:
        raise damaged(name, f"its pickle cannot be read ({type(error).__name__}: {error})") from error
