"""Token ids by llama.cpp, to compare the crate's with.

    python llama_tokens.py MODEL.gguf TEXTS.jsonl OUT_FOLDER

TEXTS.jsonl holds one JSON string per line. For every pre-tokenizer that the crate supports, OUT_FOLDER gets the model's
vocabulary under that pre-tokenizer (PRE.gguf, without tensors) and PRE.jsonl: `[text, ids]` per line, tokenised with no
special token recognised and none added. Needs the package llama-cpp-python (0.3.36 was used).
"""

import json
import pathlib
import struct
import sys

import llama_cpp

PRE = ["smollm", "qwen2", "llama-bpe", "gpt-2", "default"]
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


class Reader:
    def __init__(self, file):
        self.file = file

    def take(self, form):
        return struct.unpack("<" + form, self.file.read(struct.calcsize("<" + form)))

    def text(self):
        return self.file.read(self.take("Q")[0])

    def value(self, kind):
        """The bytes of a value as they are in the file."""
        if kind == 8:
            text = self.text()
            return struct.pack("<Q", len(text)) + text
        if kind == 9:
            inner, count = self.take("IQ")
            return struct.pack("<IQ", inner, count) + b"".join(self.value(inner) for _ in range(count))
        return self.file.read(WIDTHS[kind])


def entries(path):
    with open(path, "rb") as file:
        reader = Reader(file)
        magic, version, _tensors, count = reader.take("IIQQ")
        assert magic == 0x46554747 and version == 3, "a GGUF file of version 3"
        out = []
        for _ in range(count):
            key = reader.text()
            (kind,) = reader.take("I")
            out.append((key, kind, reader.value(kind)))
        return out


def write(path, metadata, pre):
    with open(path, "wb") as file:
        file.write(struct.pack("<IIQQ", 0x46554747, 3, 0, len(metadata)))
        for key, kind, value in metadata:
            if key == b"tokenizer.ggml.pre":
                value = struct.pack("<Q", len(pre)) + pre.encode()
            file.write(struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + value)


def main(model, texts, out):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    metadata = entries(model)
    texts = [json.loads(line) for line in open(texts, encoding="utf-8")]
    for pre in PRE:
        write(out / f"{pre}.gguf", metadata, pre)
        llama = llama_cpp.Llama(str(out / f"{pre}.gguf"), vocab_only=True, verbose=False)
        with open(out / f"{pre}.jsonl", "w", encoding="utf-8") as file:
            for text in texts:
                ids = llama.tokenize(text.encode(), add_bos=False, special=False)
                file.write(json.dumps([text, ids], ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
