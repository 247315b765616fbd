"""An ONNX model with some of its outputs: the same answers, without what only the others need."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from fraudit.files.onnx_graph import with_outputs
from fraudit.files.protobuf import Malformed, as_varint, fields, varint


def two_headed(inner: bool = False) -> bytes:
    """x -> a = |x|; sum = a + w; far = sqrt(a) -> exp."""
    nodes = [
        helper.make_node("Abs", ["x"], ["a"]),
        helper.make_node("Add", ["a", "w"], ["sum"]),
        helper.make_node("Sqrt", ["a"], ["root"]),
        helper.make_node("Exp", ["root"], ["far"]),
    ]
    if inner:
        branch = helper.make_graph([helper.make_node("Neg", ["root"], ["n"])], "b", [], [out("n")])
        nodes.append(helper.make_node("If", ["yes"], ["either"], then_branch=branch, else_branch=branch))
    weights = [helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])]
    weights += [helper.make_tensor("yes", TensorProto.BOOL, [], [True])] if inner else []
    outputs = [out("sum"), out("far")] + ([out("either")] if inner else [])
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])], outputs, weights
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="after"
    )
    return bytes(model.SerializeToString())


def out(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [3])


def answer(model: bytes) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [slot.name for slot in session.get_outputs()]
    return dict(zip(names, session.run(None, {"x": np.float32([-4, 9, 0])}), strict=True))


@pytest.mark.parametrize("name", ["sum", "far"])
def test_what_is_kept_answers_as_before(name: str) -> None:
    made = with_outputs(two_headed(), [name])
    assert made is not None
    onnx.checker.check_model(onnx.load_from_string(made))
    kept = [node.op_type for node in onnx.load_from_string(made).graph.node]
    assert kept == {"sum": ["Abs", "Add"], "far": ["Abs", "Sqrt", "Exp"]}[name]
    assert onnx.load_from_string(made).producer_name == "after"
    assert list(answer(made)) == [name]
    np.testing.assert_array_equal(answer(made)[name], answer(two_headed())[name])


def test_nodes_with_a_graph_of_their_own_are_left_alone() -> None:
    assert with_outputs(two_headed(inner=True), ["sum"]) is None


@pytest.mark.parametrize(
    "model", [b"", b"no model at all, only words", two_headed()[:-30], b"\x3a\xff\xff\xff"]
)
def test_what_is_no_model_gives_none(model: bytes) -> None:
    assert with_outputs(model, ["sum"]) is None


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**60])
def test_numbers_are_written_as_they_are_read(value: int) -> None:
    made = as_varint(value)
    assert varint(memoryview(made + b"\x07"), 0) == (value, len(made))


@pytest.mark.parametrize("data", [b"\x80", b"\xff" * 11, b"\x00\x01", b"\x0a\x05abc", b"\x0b", b"\x09\x01"])
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        list(fields(memoryview(data)))
