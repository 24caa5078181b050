"""Makes vectors.json: sentence vectors computed twice, independently of this repository's Rust code.

    pip install numpy onnx onnxruntime safetensors tokenizers
    python make_reference.py MODEL_DIR > vectors.json

MODEL_DIR is the folder that `rejoinder models pull` filled. Each vector is computed in double precision by plain numpy,
following the published description of BERT (Devlin et al. 2018), and again by ONNX Runtime in single precision; the
script stops if the two disagree. Printed are the values of the double-precision computation.
"""

import json
import math
import pathlib
import sys

import numpy as np
import onnxruntime
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from minilm_onnx import build

MAX_TOKENS = 256

TEXTS = [
    "This is an example sentence",
    "Dear Ms Weber, we have received your payment of EUR 1,250.00 for invoice 2024-0817. Thank you.",
    "Sehr geehrte Frau Müller, die Überweisung über 3.400,50 € ist bei uns eingegangen. Mit freundlichen Grüßen",
    "Bonjour, pourriez-vous m'envoyer le relevé de compte du mois de février ? Merci d'avance, à bientôt.",
    "",
    " \t\n",
    "ok",
    "Thanks 🙏 the refund arrived 🎉🎉 — all good now!",
    "Straße, Größe, Äpfel, ÖPNV, ﬁnance, naïve, Ærø, İstanbul",
    "IBAN DE89 3704 0044 0532 0130 00, BIC COBADEFFXXX; order #A-99812/7, https://example.com/a?b=c&d=e",
    "一张发票 и один счёт",
    "Die Donaudampfschifffahrtsgesellschaftskapitänsmütze kostet 19,99 EUR. " * 30,
    "Please find attached the reconciliation of the custody fees for the third quarter. " * 12,
    "x" * 150,
]


def erf(x):
    return np.vectorize(math.erf)(x)


class Encoder:
    """BERT in double precision, one text at a time."""

    def __init__(self, model_dir):
        self.config = json.loads((model_dir / "config.json").read_text())
        self.weights = {k: v.astype(np.float64) for k, v in load_file(model_dir / "model.safetensors").items()}

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, x, name):
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def __call__(self, ids):
        embeddings = [self.weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")]
        x = embeddings[0][ids] + embeddings[1][: len(ids)] + embeddings[2][0]
        x = self.norm(x, "embeddings.LayerNorm")
        heads = self.config["num_attention_heads"]
        width = x.shape[1] // heads
        for index in range(self.config["num_hidden_layers"]):
            part = f"encoder.layer.{index}"
            query, key, value = (self.linear(x, f"{part}.attention.self.{name}") for name in ("query", "key", "value"))
            mixed = np.empty_like(x)
            for head in range(heads):
                columns = slice(head * width, (head + 1) * width)
                scores = query[:, columns] @ key[:, columns].T / math.sqrt(width)
                scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
                mixed[:, columns] = scores / scores.sum(axis=-1, keepdims=True) @ value[:, columns]
            mixed = self.linear(mixed, f"{part}.attention.output.dense")
            x = self.norm(x + mixed, f"{part}.attention.output.LayerNorm")
            wide = self.linear(x, f"{part}.intermediate.dense")
            wide = wide * 0.5 * (1 + erf(wide / math.sqrt(2)))
            x = self.norm(x + self.linear(wide, f"{part}.output.dense"), f"{part}.output.LayerNorm")
        mean = x.mean(axis=0)
        return mean / np.linalg.norm(mean)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    model_dir = pathlib.Path(sys.argv[1])
    encoder = Encoder(model_dir)
    session = onnxruntime.InferenceSession(build(model_dir).SerializeToString())
    tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    entries = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        vector = encoder(ids)
        row = np.array([ids], dtype=np.int64)
        inputs = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
        other = session.run(["last_hidden_state"], inputs)[0][0].mean(axis=0)
        other /= np.linalg.norm(other)
        if vector @ other < 0.9999999:
            sys.exit(f"the two computations disagree: {vector @ other} for {text!r}")
        entries.append({"text": text, "tokens": len(ids), "vector": [round(float(v), 7) for v in vector]})
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    print(f"[\n{lines}\n]")


if __name__ == "__main__":
    main()
