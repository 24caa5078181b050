"""Makes smollm2.json: what llama.cpp writes greedily on smollm2_prompts.json with SmolLM2-135M-Instruct in Q8_0.

    pip install llama-cpp-python
    python smollm2_greedy.py SmolLM2-135M-Instruct-Q8_0.gguf > smollm2.json

(smollm2_logits.py then adds PyTorch's view.) Each prompt is tokenised with control tokens read as such and nothing
added, evaluated in one batch and continued by 64 arg-max tokens, end tokens included. `gaps` is by how much each chosen
logit leads the second; where another engine diverges at a tiny gap it found a tie.
"""

import json
import pathlib
import sys

import llama_cpp
import numpy as np

TOKENS = 64
TOP = 8


def continuation(model, prompt):
    tokens = model.tokenize(prompt.encode(), add_bos=False, special=True)
    model.reset()
    model.eval(tokens)
    greedy, gaps, top = [], [], None
    for _ in range(TOKENS):
        logits = model.scores[model.n_tokens - 1]
        order = np.argsort(-logits, kind="stable")[:TOP]
        if top is None:
            top = [[int(i), round(float(logits[i]), 4)] for i in order]
        greedy.append(int(order[0]))
        gaps.append(round(float(logits[order[0]] - logits[order[1]]), 4))
        model.eval([greedy[-1]])
    return {"tokens": tokens, "top": top, "greedy": greedy, "gaps": gaps}


def main(path):
    prompts = json.loads((pathlib.Path(__file__).parent / "smollm2_prompts.json").read_text())
    model = llama_cpp.Llama(path, n_ctx=2048, n_batch=1024, n_ubatch=1024, n_threads=2, logits_all=True, verbose=False)
    written = []
    for prompt in prompts:
        written.append(continuation(model, prompt))
        print(repr(model.detokenize(written[-1]["greedy"], special=True).decode(errors="replace")), file=sys.stderr)
    print('{"made_by": ' + json.dumps(f"smollm2_greedy.py, llama-cpp-python {llama_cpp.__version__}") + ', "prompts": [')
    print(",\n".join(json.dumps(one) for one in written))
    print("]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
