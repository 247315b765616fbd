"""Restricted reading of PyTorch checkpoints: tensors come out, nothing they carry is ever executed.

Both containers of `torch.save` are read without torch's own loader: the zip archive (since 1.6) and the
older sequence of pickles followed by raw storages. What their pickles may name is decided in
`fraudit.weights.restricted_pickle`.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fraudit.errors import WeightsError
from fraudit.files.doors import check_regular
from fraudit.weights.frozen_graph import read_frozen_pb
from fraudit.weights.restricted_pickle import Bounded, DescribedTensor, Inert, Storage, damaged, unpickle

if TYPE_CHECKING:
    import torch

__all__ = ["read_frozen_pb", "read_state"]

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a PyTorch checkpoint by key, in the file's order, on the CPU.

    A top-level dictionary with an entry `state_dict` stands for that entry (Lightning and most training
    scripts); entries that are no tensors are left out, and only the tensors returned are read.

    Raises:
        WeightsError: no such file, not a PyTorch file, truncated or damaged, a TorchScript archive, a
            pickle with a global that would have to be executed (named), or no tensors in it.
    """
    path = Path(path)
    check_regular(path, "check the path given as weights", "", WeightsError)
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


def _described(root: Any, name: str) -> dict[str, DescribedTensor]:
    inner = root.get("state_dict", root) if isinstance(root, Mapping) else None
    if not isinstance(inner, Mapping):
        found = "an object of another package" if isinstance(root, Inert) else type(root).__name__
        raise WeightsError(
            f"{name}: expected a dictionary of tensors, found {found.strip('_')}",
            "save model.state_dict() alone",
        )
    tensors = {k: v for k, v in inner.items() if isinstance(k, str) and isinstance(v, DescribedTensor)}
    if not tensors:
        raise WeightsError(
            f"{name}: expected a dictionary of tensors, found no tensor among {len(inner)} entries",
            "save model.state_dict() alone",
        )
    return tensors


def _materialise(
    tensors: dict[str, DescribedTensor], name: str, data_of: Callable[[Storage], bytearray]
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
            raise damaged(name, f"'{key}' {list(tensor.size)} lies outside its storage of {len(elements)}")
        start = tensor.offset + storage.start
        state[key] = (
            elements.as_strided(tensor.size, tensor.stride, start)
            if count
            else torch.empty(tensor.size, dtype=dtype)
        )
    return state


def _read_zip(file: IO[bytes], length: int, name: str) -> dict[str, torch.Tensor]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
        raise damaged(name, f"no zip directory at the end of its {length:,} bytes") from error
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
            raise damaged(name, f"no entry {entry} in the archive")
        try:
            return archive.read(entry)
        except (zipfile.BadZipFile, EOFError, RuntimeError, struct.error, ValueError) as error:
            raise damaged(name, f"entry {entry}: {error}") from error

    if f"{folder}byteorder" in entries and content(f"{folder}byteorder") != b"little":
        raise WeightsError(
            f"{name}: expected little-endian tensors, found big-endian", "convert the checkpoint"
        )
    tensors = _described(unpickle(io.BytesIO(content(pickles[0])), name)[0], name)

    def data_of(storage: Storage) -> bytearray:
        data = bytearray(content(f"{folder}data/{storage.key}"))
        if len(data) != storage.numel * storage.item_bytes:
            wanted = storage.numel * storage.item_bytes
            raise damaged(name, f"storage {storage.key} has {len(data):,} bytes, expected {wanted:,}")
        return data

    return _materialise(tensors, name, data_of)


def _read_legacy(file: IO[bytes], length: int, name: str) -> dict[str, torch.Tensor]:
    stream = Bounded(file, length)
    magic = unpickle(stream, name)[0]
    if type(magic) is not int or magic != LEGACY_MAGIC:
        raise WeightsError(
            f"{name}: expected a PyTorch checkpoint, found a plain pickle", "use the official checkpoint"
        )
    protocol, system = unpickle(stream, name)[0], unpickle(stream, name)[0]
    if (
        type(protocol) is not int
        or protocol != LEGACY_PROTOCOL
        or not isinstance(system, dict)
        or (system.get("little_endian") is not True)
    ):
        raise WeightsError(
            f"{name}: expected protocol {LEGACY_PROTOCOL}, little-endian; found another",
            "convert the checkpoint with the torch that wrote it",
        )
    root, storages = unpickle(stream, name)
    tensors = _described(root, name)
    keys = unpickle(stream, name)[0]
    if (
        not isinstance(keys, list)
        or not all(type(key) in (str, int) for key in keys)
        or not storages.keys() <= {str(key) for key in keys}
    ):
        raise damaged(name, "no list of its storages")
    places: dict[str, tuple[int, int]] = {}
    place = file.tell()
    for at, key in enumerate(str(key) for key in keys):
        file.seek(place)
        header = file.read(8)
        if len(header) < 8:
            raise damaged(name, f"it ends at byte {length:,}, before storage {at + 1} of {len(keys)}")
        numel = struct.unpack("<q", header)[0]
        if key not in storages:
            raise damaged(name, f"storage {at + 1} of {len(keys)} belongs to no tensor")
        end = place + 8 + numel * storages[key].item_bytes
        if numel < 0 or end > length:
            raise damaged(name, f"it ends at byte {length:,} within storage {at + 1} of {len(keys)}")
        places[key] = (place + 8, numel)
        place = end

    def data_of(storage: Storage) -> bytearray:
        if storage.key not in places:
            raise damaged(name, f"no storage {storage.key}")
        start, numel = places[storage.key]
        file.seek(start)
        return bytearray(file.read(numel * storage.item_bytes))

    return _materialise(tensors, name, data_of)
