"""llama.cpp as a peer: answers the benchmark's questions, one JSON line each, by llama-cpp-python's low-level interface.

    python peer_llama_cpp.py MODEL.gguf THREADS CONTEXT SEQUENCES

CONTEXT is tokens per sequence. All settings that are not named are llama.cpp's defaults: flash attention where it helps,
an f16 cache, repacked weights, batches of 512, one stream per sequence. The first line says who answers, or why nobody
can. Questions (engine.rs answers the same ones):

    {"fill": {"depth": D}}                      -> {}            every sequence holds D tokens
    {"prefill": {"depth": D, "tokens": N}}      -> {"seconds": S}  N tokens more on the first sequence
    {"decode": {"depth": D, "tokens": N}}       -> {"seconds": S}  N tokens more on every sequence, one of each at a time
    {"memory": {}}                              -> {"bytes": B}  peak, without what the interpreter took before
    {"extract": {"system": T, "user": T, "schema": S, "tokens": N, "way": W}} -> {"text": T, "tokens": N, "seconds": S}
"""

import ctypes
import json
import sys
import time


def resident(field):
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def token_at(index, words):
    """The index-th of a fixed series of tokens; engine.rs has the same."""
    return (index * 7919 + 1009) % (words * 9 // 10)


class Engine:
    def __init__(self, path, threads, context, sequences):
        self.before = resident("VmRSS")
        api.llama_backend_init()
        self.model = api.llama_model_load_from_file(path.encode(), api.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp cannot load {path}")
        self.vocabulary = api.llama_model_get_vocab(self.model)
        self.words = api.llama_vocab_n_tokens(self.vocabulary)
        options = api.llama_context_default_params()
        options.n_ctx = context * sequences
        options.n_batch = 512
        options.n_ubatch = 512
        options.n_seq_max = sequences
        options.n_threads = threads
        options.n_threads_batch = threads
        options.no_perf = True
        self.context = api.llama_init_from_model(self.model, options)
        if not self.context:
            raise SystemExit("llama.cpp cannot make a context")
        self.memory = api.llama_get_memory(self.context)
        self.sequences = sequences
        self.batch = api.llama_batch_init(512, 0, 1)
        self.candidates = np.zeros(self.words, dtype=np.dtype([("id", "i4"), ("logit", "f4"), ("p", "f4")]))
        self.prompt = []

    def put(self, entries):
        """Decodes (token, position, sequence, logits wanted) entries, at most 512."""
        batch = self.batch
        batch.n_tokens = len(entries)
        for row, (token, position, sequence, logits) in enumerate(entries):
            batch.token[row] = token
            batch.pos[row] = position
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = sequence
            batch.logits[row] = logits
        if api.llama_decode(self.context, batch) != 0:
            raise SystemExit("llama.cpp cannot decode a batch")

    def append(self, tokens, position, sequence):
        """Appends tokens in batches of 512; the logits of the last are there afterwards."""
        for start in range(0, len(tokens), 512):
            part = tokens[start : start + 512]
            last = start + len(part) == len(tokens)
            self.put(
                [(t, position + start + i, sequence, last and i + 1 == len(part)) for i, t in enumerate(part)]
            )
        api.llama_synchronize(self.context)

    def truncate(self, sequence, length):
        if not api.llama_memory_seq_rm(self.memory, sequence, length, -1):
            raise SystemExit("llama.cpp cannot truncate a sequence")

    def fill(self, depth):
        """The others are copies of the first: each sequence has a stream, so that the copies are memory of their own."""
        held = api.llama_memory_seq_pos_max(self.memory, 0) + 1
        if held > depth:
            self.truncate(0, depth)
        elif held < depth:
            self.append([token_at(i, self.words) for i in range(held, depth)], held, 0)
        for sequence in range(1, self.sequences):
            api.llama_memory_seq_rm(self.memory, sequence, -1, -1)
            if depth:
                api.llama_memory_seq_cp(self.memory, 0, sequence, -1, -1)
        self.prompt = []
        return {}

    def prefill(self, depth, tokens):
        wanted = [token_at(depth + i, self.words) for i in range(tokens)]
        begun = time.perf_counter()
        self.append(wanted, depth, 0)
        seconds = time.perf_counter() - begun
        self.truncate(0, depth)
        return {"seconds": seconds}

    def decode(self, depth, tokens):
        begun = time.perf_counter()
        for step in range(tokens):
            token = token_at(depth + step, self.words)
            self.put([(token, depth + step, sequence, True) for sequence in range(self.sequences)])
            for row in range(self.sequences):
                api.llama_get_logits_ith(self.context, row)
        api.llama_synchronize(self.context)
        seconds = time.perf_counter() - begun
        for sequence in range(self.sequences):
            self.truncate(sequence, depth)
        return {"seconds": seconds}

    def memory_used(self):
        return {"bytes": resident("VmHWM") - self.before}

    def tokenise(self, text):
        data = text.encode()
        out = (api.llama_token * (len(data) + 8))()
        count = api.llama_tokenize(self.vocabulary, data, len(data), out, len(out), False, True)
        if count < 0:
            raise SystemExit("llama.cpp cannot tokenise a prompt")
        return list(out[:count])

    def piece(self, token):
        out = ctypes.create_string_buffer(256)
        length = api.llama_token_to_piece(self.vocabulary, token, out, len(out), 0, True)
        return out.raw[:length]

    def apply(self, sampler, candidates):
        array = api.llama_token_data_array(
            data=candidates.ctypes.data_as(api.llama_token_data_p), size=len(candidates), selected=-1, sorted=False
        )
        api.llama_sampler_apply(sampler, ctypes.byref(array))

    def choose(self, sampler, way):
        """The most probable token that the grammar allows. `checked` asks the grammar about the most probable token alone
        and about all of them only where it says no, as llama.cpp's own server does; `masked` asks about all each time, as
        llama-cpp-python's samplers do."""
        logits = np.ctypeslib.as_array(api.llama_get_logits_ith(self.context, -1), shape=(self.words,))
        if way == "checked":
            best = int(logits.argmax())
            one = np.array([(best, logits[best], 0.0)], dtype=self.candidates.dtype)
            self.apply(sampler, one)
            if one["logit"][0] > -np.inf:
                return best
        self.candidates["id"] = np.arange(self.words, dtype=np.int32)
        self.candidates["logit"] = logits
        self.apply(sampler, self.candidates)
        return int(self.candidates["id"][self.candidates["logit"].argmax()])

    def extract(self, system, user, schema, tokens, way):
        begun = time.perf_counter()
        turns = [("system", system), ("user", user)]
        prompt = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)
        prompt += "<|im_start|>assistant\n"
        grammar = json_schema_to_gbnf(json.dumps(schema))
        sampler = api.llama_sampler_init_grammar(self.vocabulary, grammar.encode(), b"root")
        if not sampler:
            raise SystemExit("llama.cpp cannot read the grammar")
        wanted = self.tokenise(prompt)
        shared = 0
        while shared < min(len(wanted) - 1, len(self.prompt)) and wanted[shared] == self.prompt[shared]:
            shared += 1
        self.truncate(0, shared)
        self.append(wanted[shared:], shared, 0)
        written, text = [], b""
        while len(written) < tokens:
            token = self.choose(sampler, way)
            if api.llama_vocab_is_eog(self.vocabulary, token):
                break
            api.llama_sampler_accept(sampler, token)
            written.append(token)
            text += self.piece(token)
            self.put([(token, len(wanted) + len(written) - 1, 0, True)])
        seconds = time.perf_counter() - begun
        api.llama_sampler_free(sampler)
        self.prompt = wanted
        return {"text": text.decode(errors="replace"), "tokens": len(written), "seconds": seconds}


def main(path, threads, context, sequences):
    begun = time.perf_counter()
    engine = Engine(path, int(threads), int(context), int(sequences))
    say({"engine": f"llama.cpp (llama-cpp-python {llama_cpp.__version__})", "load": time.perf_counter() - begun})
    answers = {
        "fill": engine.fill,
        "prefill": engine.prefill,
        "decode": engine.decode,
        "memory": engine.memory_used,
        "extract": engine.extract,
    }
    for line in sys.stdin:
        [(question, arguments)] = json.loads(line).items()
        say(answers[question](**arguments))


def say(answer):
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    try:
        import numpy as np
        import llama_cpp
        from llama_cpp import llama_cpp as api
        from llama_cpp.llama_grammar import json_schema_to_gbnf
    except ImportError as error:
        say({"missing": f"{sys.executable}: {error}"})
        raise SystemExit(0)
    quiet = api.llama_log_callback(lambda level, text, user: None)
    api.llama_log_set(quiet, ctypes.c_void_p(0))
    main(*sys.argv[1:])
