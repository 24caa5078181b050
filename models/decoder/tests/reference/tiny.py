"""Makes tiny.json and tiny/*.f32: logits of tiny generated models, computed by PyTorch transformers in f32.

    pip install torch transformers gguf
    python tiny.py            # writes beside this file
    python tiny.py --gguf DIR # also writes the models as GGUF files into DIR, for other programs to load

No weights are stored: a tensor's values follow from the model's and its own name (see `values`), by integer arithmetic
that every language computes exactly; tiny.rs is the same in Rust. Tensors are generated in the layout of GGUF, in which
the query and key rows of the Llama family are interleaved; `from_gguf_rows` takes them back to what PyTorch expects.
"""

import argparse
import json
import math
import pathlib

import gguf
import numpy as np
import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

FOLDER = pathlib.Path(__file__).parent
MASK = (1 << 64) - 1
# Qwen3's heads together are twice as wide as what comes in, Llama's just as wide.
HIDDEN = {"qwen3": 64, "llama": 128}
FEED_FORWARD, HEAD, HEADS, KV_HEADS, CONTEXT = 160, 32, 4, 2, 256
EPSILON = 1e-6
PROMPT_LENGTHS = [1, 17, 90]
# How many of each prompt's last positions have their logits stored.
ROWS = [1, 17, 6]
MODELS = [
    {"name": "qwen3-tied", "architecture": "qwen3", "layers": 3, "theta": 1e6, "tied": True},
    {"name": "qwen3-untied", "architecture": "qwen3", "layers": 2, "theta": 1e6, "tied": False},
    {"name": "llama-tied", "architecture": "llama", "layers": 3, "theta": 1e4, "tied": True},
    {
        "name": "llama-scaled",
        "architecture": "llama",
        "layers": 2,
        "theta": 1e4,
        "tied": False,
        # Chosen so that of the sixteen frequencies some are kept, some blended and some divided.
        "scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_context": 64},
    },
]


def fnv1a(text):
    """The 64-bit FNV-1a hash of the text's UTF-8 bytes."""
    state = 0xCBF29CE484222325
    for byte in text.encode():
        state = ((state ^ byte) * 0x100000001B3) & MASK
    return state


def uniform(seed, count):
    """`count` values in [-1, 1) in steps of 2^-15: the top 16 bits of splitmix64, which f32 holds exactly."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return ((z >> np.uint64(48)).astype(np.float32) - 32768.0) / 32768.0


def values(model, tensor):
    """offset + scale * u: every step is exact in f32 because scales are powers of two."""
    u = uniform(fnv1a(f"{model['name']}/{tensor['name']}"), math.prod(tensor["shape"]))
    return (np.float32(tensor["offset"]) + np.float32(tensor["scale"]) * u).reshape(tensor["shape"])


def vocabulary():
    """A byte-level vocabulary of gpt2's kind: the 256 bytes, a few merges of English, and control tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letter = {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    pairs = "Ġ t,h e,Ġ a,i n,r e,o n,Ġt he,e r,Ġ s,a t,Ġ w,Ġ o,e n,Ġ c,i t,i s,a n,o r,e s,Ġ b,e d,Ġ f,in g,Ġ p,o u"
    pairs += ",Ġa n,a l,a r,Ġt o,Ġ m,Ġo f,Ġ in,Ġ d,Ġ h,Ġan d,i c,a s,l e,Ġt h,i on,o m,l l,en t,Ġ n,Ġ l,s t,Ġ re,v e,Ġ e"
    pairs += ",r o,l y,Ġb e,Ġ g,Ġ T,c t,Ġ S,i d,o t,Ġ I,u t,e t"
    merges = pairs.split(",")
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [letter[byte] for byte in range(256)] + [merge.replace(" ", "") for merge in merges] + control
    assert len(tokens) == len(set(tokens)) == 320, len(tokens)
    normal, special = 1, 3
    types = [normal] * (len(tokens) - len(control)) + [special] * len(control)
    return {"tokens": tokens, "types": types, "merges": merges}


def tensors(model):
    """Name, shape (rows first, as PyTorch prints it), and the range of the values of each GGUF tensor."""

    hidden = HIDDEN[model["architecture"]]

    def matrix(name, rows, columns, scale=16 / hidden):
        return {"name": f"{name}.weight", "shape": [rows, columns], "scale": scale, "offset": 0.0}

    def norm(name, width):
        return {"name": f"{name}.weight", "shape": [width], "scale": 0.25, "offset": 1.0}

    found = [matrix("token_embd", 320, hidden, 0.5), norm("output_norm", hidden)]
    if not model["tied"]:
        found.append(matrix("output", 320, hidden, 0.5))
    for layer in range(model["layers"]):
        block = f"blk.{layer}"
        found += [
            norm(f"{block}.attn_norm", hidden),
            matrix(f"{block}.attn_q", HEADS * HEAD, hidden),
            matrix(f"{block}.attn_k", KV_HEADS * HEAD, hidden),
            matrix(f"{block}.attn_v", KV_HEADS * HEAD, hidden),
            matrix(f"{block}.attn_output", hidden, HEADS * HEAD),
            norm(f"{block}.ffn_norm", hidden),
            matrix(f"{block}.ffn_gate", FEED_FORWARD, hidden),
            matrix(f"{block}.ffn_up", FEED_FORWARD, hidden),
            matrix(f"{block}.ffn_down", hidden, FEED_FORWARD),
        ]
        if model["architecture"] == "qwen3":
            found += [norm(f"{block}.attn_q_norm", HEAD), norm(f"{block}.attn_k_norm", HEAD)]
    return found


def rope_factors(model):
    """What the tensor rope_freqs.weight holds: by how much each frequency is divided (Llama 3.1's rule), or None."""
    scaling = model.get("scaling")
    if scaling is None:
        return None
    low = scaling["original_context"] / scaling["low_freq_factor"]
    high = scaling["original_context"] / scaling["high_freq_factor"]
    factors = []
    for i in range(0, HEAD, 2):
        wavelength = 2 * math.pi * model["theta"] ** (i / HEAD)
        if wavelength < high:
            factors.append(1.0)
        elif wavelength > low:
            factors.append(scaling["factor"])
        else:
            smooth = (scaling["original_context"] / wavelength - scaling["low_freq_factor"]) / (
                scaling["high_freq_factor"] - scaling["low_freq_factor"]
            )
            factors.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return [float(np.float32(factor)) for factor in factors]


def metadata(model):
    """The GGUF metadata of the shape. Whole numbers are u32, others f32."""
    architecture = model["architecture"]
    shape = {
        "context_length": CONTEXT,
        "embedding_length": HIDDEN[architecture],
        "block_count": model["layers"],
        "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.layer_norm_rms_epsilon": EPSILON,
        "rope.freq_base": model["theta"],
    }
    if architecture == "qwen3":
        shape |= {"attention.key_length": HEAD, "attention.value_length": HEAD}
    else:
        shape |= {"rope.dimension_count": HEAD, "vocab_size": 320}
    return {f"{architecture}.{key}": value for key, value in shape.items()}


def from_gguf_rows(weights, heads):
    """PyTorch's row order of a query or key matrix from that of GGUF's Llama, which puts rotated pairs side by side."""
    rows, columns = weights.shape
    return weights.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def torch_name(name):
    parts = {
        "token_embd": "model.embed_tokens",
        "output_norm": "model.norm",
        "output": "lm_head",
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    pieces = name.removesuffix(".weight").split(".")
    prefix = f"model.layers.{pieces[1]}." if pieces[0] == "blk" else ""
    return f"{prefix}{parts[pieces[-1]]}.weight"


def torch_model(model):
    shape = {
        "vocab_size": 320,
        "hidden_size": HIDDEN[model["architecture"]],
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": model["layers"],
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD,
        "rms_norm_eps": EPSILON,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": model["tied"],
        "attention_bias": False,
        "rope_parameters": {"rope_type": "default", "rope_theta": model["theta"]},
    }
    if scaling := model.get("scaling"):
        shape["rope_parameters"] = {
            "rope_type": "llama3",
            "rope_theta": model["theta"],
            "factor": scaling["factor"],
            "low_freq_factor": scaling["low_freq_factor"],
            "high_freq_factor": scaling["high_freq_factor"],
            "original_max_position_embeddings": scaling["original_context"],
        }
    if model["architecture"] == "qwen3":
        built = Qwen3ForCausalLM(Qwen3Config(**shape))
    else:
        built = LlamaForCausalLM(LlamaConfig(**shape))
    state = {}
    for tensor in tensors(model):
        weights = values(model, tensor)
        kind = tensor["name"].split(".")[-2]
        if model["architecture"] == "llama" and kind in ("attn_q", "attn_k"):
            weights = from_gguf_rows(weights, HEADS if kind == "attn_q" else KV_HEADS)
        state[torch_name(tensor["name"])] = torch.from_numpy(np.ascontiguousarray(weights))
    missing, unexpected = built.load_state_dict(state, strict=False)
    assert not unexpected and missing == (["lm_head.weight"] if model["tied"] else []), (missing, unexpected)
    built.tie_weights()
    return built.float().eval()


def write_gguf(model, words, path):
    writer = gguf.GGUFWriter(path, model["architecture"])
    for key, value in metadata(model).items():
        writer.add_uint32(key, value) if isinstance(value, int) else writer.add_float32(key, value)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words["tokens"])
    writer.add_token_types(words["types"])
    writer.add_token_merges(words["merges"])
    writer.add_eos_token_id(319)
    if factors := rope_factors(model):
        writer.add_tensor("rope_freqs.weight", np.array(factors, np.float32))
    for tensor in tensors(model):
        writer.add_tensor(tensor["name"], values(model, tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    words = vocabulary()
    prompts = [[int((u + 1) * 160) for u in uniform(fnv1a(f"prompt/{n}"), n)] for n in PROMPT_LENGTHS]
    described = []
    (FOLDER / "tiny").mkdir(exist_ok=True)
    for model in MODELS:
        reference = torch_model(model)
        rows = []
        with torch.no_grad():
            for prompt, count in zip(prompts, ROWS):
                rows.append(reference(torch.tensor([prompt])).logits[0, -count:].numpy())
        logits = np.concatenate(rows)
        print(f"{model['name']}: logits {logits.shape}, from {logits.min():.2f} to {logits.max():.2f}")
        logits.astype("<f4").tofile(FOLDER / "tiny" / f"{model['name']}.f32")
        described.append(
            {
                "name": model["name"],
                "architecture": model["architecture"],
                "metadata": metadata(model),
                "tensors": tensors(model),
                "rope_factors": rope_factors(model),
            }
        )
        if arguments.gguf:
            write_gguf(model, words, arguments.gguf / f"{model['name']}.gguf")
    top = {
        "made_by": f"tiny.py, torch {torch.__version__}, transformers {transformers.__version__}",
        "prompts": prompts,
        "rows": ROWS,
        "vocabulary": words,
        "models": described,
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in top.items()]
    (FOLDER / "tiny.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
