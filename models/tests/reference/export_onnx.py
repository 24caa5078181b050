"""Writes an embedding model as ONNX, for the `fastembed` embedder and for the benchmark against ONNX Runtime.

    pip install numpy onnx safetensors
    python export_onnx.py MODEL_DIR OUTPUT.onnx

MODEL_DIR is the folder that `rejoinder models pull` filled.
"""

import pathlib
import sys

import onnx

from minilm_onnx import build

if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    onnx.save(build(pathlib.Path(sys.argv[1])), sys.argv[2])
