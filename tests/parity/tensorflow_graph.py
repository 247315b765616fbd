"""A minimal writer of the protobuf wire format: a frozen graph like TensorFlow's, from facenet-pytorch's tensors."""

from __future__ import annotations

import numpy as np

Arrays = dict[str, np.ndarray]


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def node(name: str, operation: str, tensor: bytes | None = None) -> bytes:
    kind = field(1, b"dtype") + field(2, field(6, 1))
    attributes = field(5, kind)
    if tensor is not None:
        attributes += field(5, field(1, b"value") + field(2, field(8, tensor)))
    return field(1, field(1, name.encode()) + field(2, operation.encode()) + field(3, b"^input") + attributes)


def tensor_proto(value: np.ndarray, listed: bool = False) -> bytes:
    shape = b"".join(field(2, field(1, size)) for size in value.shape)
    data = np.ascontiguousarray(value, "<f4").tobytes()
    return field(1, 1) + field(2, shape) + field(5 if listed else 4, data)


def tensorflow_places(state: Arrays) -> dict[str, str]:
    """facenet-pytorch's module -> TensorFlow's scope, read off the order of layers in inception_resnet_v1.py."""
    places = {f"conv2d_{n}": f"Conv2d_{n}_{k}x{k}" for n, k in
              (("1a", 3), ("2a", 3), ("2b", 3), ("3b", 1), ("4a", 3), ("4b", 3))}  # fmt: skip
    chains = {
        "repeat_1": ("Repeat/block35_{}", 5, [["0a_1x1", "0b_3x3"], ["0a_1x1", "0b_3x3", "0c_3x3"]]),
        "repeat_2": ("Repeat_1/block17_{}", 10, [["0a_1x1", "0b_1x7", "0c_7x1"]]),
        "repeat_3": ("Repeat_2/block8_{}", 5, [["0a_1x1", "0b_1x3", "0c_3x1"]]),
        "block8": ("Block8", 1, [["0a_1x1", "0b_1x3", "0c_3x1"]]),
    }
    for name, (scope, count, branches) in chains.items():
        for i in range(count):
            ours = name if name == "block8" else f"{name}.{i}"
            theirs = scope.format(i + 1)
            places[f"{ours}.branch0"] = f"{theirs}/Branch_0/Conv2d_1x1"
            places[f"{ours}.conv2d"] = f"{theirs}/Conv2d_1x1"
            for b, layers in enumerate(branches, start=1):
                for j, layer in enumerate(layers):
                    places[f"{ours}.branch{b}.{j}"] = f"{theirs}/Branch_{b}/Conv2d_{layer}"
    places["mixed_6a.branch0"] = "Mixed_6a/Branch_0/Conv2d_1a_3x3"
    for j, layer in enumerate(["0a_1x1", "0b_3x3", "1a_3x3"]):
        places[f"mixed_6a.branch1.{j}"] = f"Mixed_6a/Branch_1/Conv2d_{layer}"
        places[f"mixed_7a.branch2.{j}"] = f"Mixed_7a/Branch_2/Conv2d_{layer}"
    for b in (0, 1):
        for j, layer in enumerate(["0a_1x1", "1a_3x3"]):
            places[f"mixed_7a.branch{b}.{j}"] = f"Mixed_7a/Branch_{b}/Conv2d_{layer}"
    return places


def frozen_graph(state: Arrays) -> bytes:
    """The fixture's weights as TensorFlow's BatchNorm without gamma needs them.

    gamma (W x - mean) / s + beta = ((gamma W) x - gamma mean) / s + beta, so gamma goes into W and mean.
    """
    state = state
    constants: Arrays = {}

    def normalised(scope: str, weight: np.ndarray, bn: str) -> None:
        gamma = state[f"{bn}.weight"]
        scaled = weight * gamma.reshape(-1, *[1] * (weight.ndim - 1))
        constants[f"{scope}/weights"] = scaled.transpose((2, 3, 1, 0) if weight.ndim == 4 else (1, 0))
        constants[f"{scope}/BatchNorm/beta"] = state[f"{bn}.bias"]
        constants[f"{scope}/BatchNorm/moving_mean"] = state[f"{bn}.running_mean"] * gamma
        constants[f"{scope}/BatchNorm/moving_variance"] = state[f"{bn}.running_var"]

    for ours, theirs in tensorflow_places(state).items():
        if ours.endswith("conv2d"):
            constants[f"{theirs}/weights"] = state[f"{ours}.weight"].transpose(2, 3, 1, 0)
            constants[f"{theirs}/biases"] = state[f"{ours}.bias"]
        else:
            normalised(theirs, state[f"{ours}.conv.weight"], f"{ours}.bn")
    normalised("Bottleneck", state["last_linear.weight"], "last_bn")

    nodes = [node("input", "Placeholder"), node("phase_train", "Placeholder")]
    nodes.append(node("Bottleneck/strings", "Const", field(1, 7) + field(8, b"text")))
    nodes.append(node("InceptionResnetV1/Logits/shape", "Const", field(1, 3) + field(2, b"") + field(7, 5)))
    for i, (name, value) in enumerate(constants.items()):
        nodes.append(node(f"InceptionResnetV1/{name}", "Const", tensor_proto(value, listed=i % 7 == 0)))
        nodes.append(node(f"InceptionResnetV1/{name}/read", "Identity"))
    return b"".join([*nodes, field(4, field(1, 24))])
