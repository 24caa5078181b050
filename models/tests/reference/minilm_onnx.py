"""The computation of a BERT sentence encoder as an ONNX graph, written node by node from the published description.

Shared by make_reference.py and export_onnx.py. Needs: pip install numpy onnx safetensors
"""

import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file


def build(model_dir: pathlib.Path) -> onnx.ModelProto:
    """The encoder in `model_dir` (config.json, model.safetensors): three inputs of int64 [batch, tokens], one output
    `last_hidden_state` of float32 [batch, tokens, hidden]."""
    config = json.loads((model_dir / "config.json").read_text())
    weights = load_file(model_dir / "model.safetensors")
    nodes, constants = [], {}

    def constant(name, values):
        constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def op(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def linear(x, name, output):
        weight = constant(f"{name}.weight", weights[f"{name}.weight"].T)
        bias = constant(f"{name}.bias", weights[f"{name}.bias"])
        return op("Add", [op("MatMul", [x, weight], f"{output}.product"), bias], output)

    def norm(x, name, output):
        scale = constant(f"{name}.weight", weights[f"{name}.weight"])
        shift = constant(f"{name}.bias", weights[f"{name}.bias"])
        return op("LayerNormalization", [x, scale, shift], output, axis=-1, epsilon=config["layer_norm_eps"])

    heads = config["num_attention_heads"]
    width = config["hidden_size"] // heads
    split = constant("split", np.array([0, 0, heads, width], dtype=np.int64))
    merge = constant("merge", np.array([0, 0, heads * width], dtype=np.int64))

    words = constant("words", weights["embeddings.word_embeddings.weight"])
    types = constant("types", weights["embeddings.token_type_embeddings.weight"])
    table = constant("positions", weights["embeddings.position_embeddings.weight"])
    shape = op("Shape", ["input_ids"], "input_shape")
    length = op("Gather", [shape, constant("one", np.array([1], dtype=np.int64))], "length", axis=0)
    zero = constant("zero", np.array([0], dtype=np.int64))
    position = op("Slice", [table, zero, length, zero], "position")
    word = op("Gather", [words, "input_ids"], "word")
    kind = op("Gather", [types, "token_type_ids"], "type")
    total = op("Add", [op("Add", [word, kind], "word_and_type"), position], "embedded")
    x = norm(total, "embeddings.LayerNorm", "x")

    # 0 where a token is, a large negative number where there is padding.
    mask = op("Cast", ["attention_mask"], "mask_float", to=TensorProto.FLOAT)
    mask = op("Sub", [constant("unit", np.array(1, dtype=np.float32)), mask], "mask_inverse")
    mask = op("Mul", [mask, constant("minimum", np.array(-1e9, dtype=np.float32))], "mask_addend")
    mask = op("Unsqueeze", [mask, constant("middle", np.array([1, 2], dtype=np.int64))], "mask")

    root = constant("root", np.array(np.sqrt(width), dtype=np.float32))
    half = constant("half", np.array(0.5, dtype=np.float32))
    sqrt_two = constant("sqrt_two", np.array(np.sqrt(2), dtype=np.float32))
    for index in range(config["num_hidden_layers"]):
        part, out = f"encoder.layer.{index}", f"layer{index}"

        def per_head(name, permutation):
            y = linear(x, f"{part}.attention.self.{name}", f"{out}.{name}")
            y = op("Reshape", [y, split], f"{out}.{name}.split")
            return op("Transpose", [y], f"{out}.{name}.heads", perm=permutation)

        query, key = per_head("query", [0, 2, 1, 3]), per_head("key", [0, 2, 3, 1])
        scores = op("Div", [op("MatMul", [query, key], f"{out}.dots"), root], f"{out}.scores")
        scores = op("Softmax", [op("Add", [scores, mask], f"{out}.masked")], f"{out}.attention", axis=-1)
        mixed = op("MatMul", [scores, per_head("value", [0, 2, 1, 3])], f"{out}.mixed")
        mixed = op("Transpose", [mixed], f"{out}.mixed.tokens", perm=[0, 2, 1, 3])
        mixed = op("Reshape", [mixed, merge], f"{out}.context")
        mixed = linear(mixed, f"{part}.attention.output.dense", f"{out}.attention.output")
        x = norm(op("Add", [mixed, x], f"{out}.sum1"), f"{part}.attention.output.LayerNorm", f"{out}.norm1")
        wide = linear(x, f"{part}.intermediate.dense", f"{out}.wide")
        erf = op("Erf", [op("Div", [wide, sqrt_two], f"{out}.scaled")], f"{out}.erf")
        wide = op("Mul", [wide, op("Add", [erf, constants["unit"].name], f"{out}.erf1")], f"{out}.gelu2")
        wide = op("Mul", [wide, half], f"{out}.gelu")
        narrow = linear(wide, f"{part}.output.dense", f"{out}.narrow")
        last = "last_hidden_state" if index == config["num_hidden_layers"] - 1 else f"{out}.norm2"
        x = norm(op("Add", [narrow, x], f"{out}.sum2"), f"{part}.output.LayerNorm", last)

    def tokens(name):
        return helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])

    graph = helper.make_graph(
        nodes,
        "sentence_encoder",
        [tokens(name) for name in ("input_ids", "attention_mask", "token_type_ids")],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", "tokens", config["hidden_size"]])],
        list(constants.values()),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
