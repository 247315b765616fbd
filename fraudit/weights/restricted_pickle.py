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

    from_pickle = __setitem__ = append = extend = add = update = _swallow


class Call:
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


class Interpreter(pickle._Unpickler):
    """Runs a pickle's opcodes over plain values; `find_class` of a subclass says which names it may use.

    The interpreter in Python and not the one in C: its memo cannot be made to allocate by a stated index,
    and its table of opcodes can be narrowed. Of objects it builds only those that declare `from_pickle`: a
    pickle cannot write the fields of any other. Keys are plain values, because the hash of a tuple in a
    tuple in a tuple exhausts the stack, and that of a doubled one the day.
    """

    # What typeshed does not say of pickle._Unpickler.
    stack: list[Any]
    load_setitem: Callable[[], None]
    load_setitems: Callable[[], None]
    load_dict: Callable[[], None]
    load_additems: Callable[[], None]
    load_frozenset: Callable[[], None]

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def _refused(self) -> None:
        raise pickle.UnpicklingError("it uses an instruction of pickle that no such file needs")

    def _build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, OrderedDict):
            return  # torch leaves the versions of layers in an attribute
        take = None if isinstance(target, type) else getattr(type(target), "from_pickle", None)
        if take is None:
            raise pickle.UnpicklingError(f"a state for a {type(target).__name__}")
        take(target, state)

    def _setitem(self) -> None:
        _plain_key(self.stack[-2])
        self.load_setitem()

    def _setitems(self) -> None:
        for key in self.stack[::2]:
            _plain_key(key)
        self.load_setitems()

    def _dict(self) -> None:
        for key in self.stack[::2]:
            _plain_key(key)
        self.load_dict()

    def _additems(self) -> None:
        for item in self.stack:
            _plain_key(item)
        self.load_additems()

    def _frozenset(self) -> None:
        for item in self.stack:
            _plain_key(item)
        self.load_frozenset()

    dispatch |= {
        pickle.BUILD[0]: _build,
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: _setitems,
        pickle.DICT[0]: _dict,
        pickle.ADDITEMS[0]: _additems,
        pickle.FROZENSET[0]: _frozenset,
        **dict.fromkeys((opcode[0] for opcode in REFUSED_OPCODES), _refused),
    }


_KEYS = (str, bytes, int, float, type(None), type, Inert)


def _plain_key(key: Any) -> None:
    inside = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(part, _KEYS) for part in inside):
        raise pickle.UnpicklingError(f"a key that is no plain value ({type(key).__name__})")


def _ordered(*items: Any) -> OrderedDict[Any, Any]:
    pairs = [tuple(pair) for pair in items[0]] if items else []
    for key, _ in pairs:
        _plain_key(key)
    return OrderedDict(pairs)


class _Restricted(Interpreter):
    def __init__(self, file: Any, name: str) -> None:
        super().__init__(file, encoding="latin1")
        self.name = name
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        # Protocols below 3 write the names of Python 2.
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        full = f"{module}.{name}"
        if full in REBUILD:
            return Call(REBUILD[full])
        if full == "collections.OrderedDict":
            return Call(_ordered)
        if module in ("torch", "torch.storage", "torch.cuda") and name in DTYPES:
            return DTYPES[name]
        if full in INERT_GLOBALS or module.partition(".")[0] in INERT_PACKAGES:
            return Inert
        known_as = f" (os.{name})" if module in ("posix", "nt") else ""
        raise WeightsError(
            f"{self.name}: refused, the checkpoint carries '{full[:200]}'{known_as}, which loading it would execute; "
            "expected tensors and plain containers",
            "if you trust its source, save model.state_dict() alone and use that file",
        )

    def persistent_load(self, pid: Any) -> Storage:
        if not isinstance(pid, tuple) or len(pid) < 5:
            raise pickle.UnpicklingError("an unknown kind of storage")
        kind, dtype, key, _, numel, *view = pid
        texts = isinstance(kind, str) and isinstance(dtype, str) and type(key) in (str, int)
        if not texts or kind != "storage" or dtype not in DTYPES.values() or type(numel) is not int:
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
