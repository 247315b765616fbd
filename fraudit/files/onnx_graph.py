"""An ONNX model with some of its outputs alone. Field numbers: onnx.proto."""

from __future__ import annotations

from collections.abc import Collection

from fraudit.files.protobuf import BYTES, Malformed, as_varint, fields

GRAPH = 7  # of a model
NODE, OUTPUT = 1, 12  # of a graph
INPUTS, OUTPUTS, ATTRIBUTE = 1, 2, 5  # of a node
SUBGRAPH, SUBGRAPHS = 6, 11  # of an attribute
NAME = 1  # of an output


def with_outputs(model: bytes, names: Collection[str]) -> bytes | None:
    """The model without the outputs that are not in `names`, and without the nodes that only those need.

    onnxruntime computes every node of a graph, whichever outputs it is asked for. None where the bytes are no model, or
    where a node holds a graph of its own, which may use values by name.
    """
    data = memoryview(model)
    try:
        graphs = [field for field in fields(data) if field.number == GRAPH and field.wire == BYTES]
        if len(graphs) != 1:
            return None
        graph = graphs[0]
        inside = list(fields(data, graph.start, graph.end))
        needed = set(names)
        dropped = set()
        for at in reversed(range(len(inside))):  # nodes stand in the order in which they are computed
            field = inside[at]
            if field.number == OUTPUT:
                if not _texts(data[field.start : field.end], NAME) & set(names):
                    dropped.add(at)
            elif field.number == NODE:
                node = data[field.start : field.end]
                if _holds_graph(node):
                    return None
                if _texts(node, OUTPUTS) & needed:
                    needed |= _texts(node, INPUTS)
                else:
                    dropped.add(at)
    except Malformed:
        return None
    kept = b"".join(bytes(data[f.first : f.end]) for at, f in enumerate(inside) if at not in dropped)
    head = bytes(data[: graph.first]) + as_varint(GRAPH << 3 | BYTES) + as_varint(len(kept))
    return head + kept + bytes(data[graph.end :])


def _texts(message: memoryview, number: int) -> set[str]:
    """Names in a field that may stand several times; an empty one stands for nothing."""
    found = (f for f in fields(message) if f.number == number and f.wire == BYTES and f.end > f.start)
    return {bytes(message[f.start : f.end]).decode("utf-8", "replace") for f in found}


def _holds_graph(node: memoryview) -> bool:
    return any(
        inner.number in (SUBGRAPH, SUBGRAPHS)
        for field in fields(node)
        if field.number == ATTRIBUTE and field.wire == BYTES
        for inner in fields(node, field.start, field.end)
    )
