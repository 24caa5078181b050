"""Makes smollm2_logits.json: PyTorch's logits of SmolLM2-135M-Instruct in Q8_0, its weights dequantised to f32.

    pip install torch transformers gguf
    python smollm2_logits.py SmolLM2-135M-Instruct-Q8_0.gguf > smollm2_logits.json

For each prompt of smollm2.json: the logits after its last token, for every 48th token id and for the 64 highest (`rest`
and `top`); and for each token of llama.cpp's continuation how far its logit lies below PyTorch's best (`short`, 0 where
both choose alike) and which that best is (`best`). So a third engine that diverges can be judged: where `short` or the
gap in smollm2.json is near zero, the two candidates were a tie.
"""

import json
import pathlib
import sys

import gguf
import numpy as np
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

from tiny import from_gguf_rows, torch_name

STRIDE = 48
TOP = 64


def load(path):
    reader = gguf.GGUFReader(path)
    field = lambda name: reader.fields[f"llama.{name}"].contents()
    heads, kv_heads = field("attention.head_count"), field("attention.head_count_kv")
    config = LlamaConfig(
        vocab_size=field("vocab_size"),
        hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        max_position_embeddings=field("context_length"),
        rope_parameters={"rope_type": "default", "rope_theta": field("rope.freq_base")},
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config)
    state = {}
    for tensor in reader.tensors:
        weights = gguf.dequantize(tensor.data, tensor.tensor_type)
        if tensor.name.endswith("attn_q.weight"):
            weights = from_gguf_rows(weights, heads)
        if tensor.name.endswith("attn_k.weight"):
            weights = from_gguf_rows(weights, kv_heads)
        state[torch_name(tensor.name)] = torch.from_numpy(np.array(weights, dtype=np.float32))
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert missing == ["lm_head.weight"] and not unexpected, (missing, unexpected)
    model.tie_weights()
    return model.float().eval()


def main(path):
    torch.set_num_threads(2)
    model = load(path)
    prompts = json.loads((pathlib.Path(__file__).parent / "smollm2.json").read_text())["prompts"]
    written = []
    for prompt in prompts:
        tokens, greedy = prompt["tokens"], prompt["greedy"]
        with torch.no_grad():
            logits = model(torch.tensor([tokens + greedy[:-1]])).logits[0, len(tokens) - 1 :]
        chosen = logits[torch.arange(len(greedy)), torch.tensor(greedy)]
        best, which = logits.max(dim=-1)
        last = logits[0]
        values, ids = last.topk(TOP)
        written.append(
            {
                "rest": [round(float(value), 4) for value in last[::STRIDE]],
                "top": [[int(i), round(float(value), 4)] for i, value in zip(ids, values)],
                "short": [round(float(gap), 4) for gap in best - chosen],
                "best": which.tolist(),
            }
        )
        differ = [(step, gap) for step, gap in enumerate(written[-1]["short"]) if gap > 0]
        print(f"{len(tokens)} tokens; llama.cpp differs at {differ}", file=sys.stderr)
    by = f"smollm2_logits.py, torch {torch.__version__}, transformers {transformers.__version__}"
    print('{"made_by": ' + json.dumps(by) + f', "stride": {STRIDE}, "prompts": [')
    print(",\n".join(json.dumps(one, separators=(",", ":")) for one in written))
    print("]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
