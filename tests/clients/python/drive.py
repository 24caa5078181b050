"""Drives a running sidecar with OpenAI's own Python client, as somebody's program would.

    python drive.py BASE_URL SUITE

Prints the name of every check that passed, one a line. A failed check ends it with its traceback.
"""

import asyncio
import json
import math
import sys

import openai
from pydantic import BaseModel

BASE_URL, SUITE = sys.argv[1:3]
CHAT = "SmolLM2-135M-Instruct"
EMBEDDING = "all-MiniLM-L6-v2"

client = openai.OpenAI(base_url=BASE_URL, api_key="unused", max_retries=0, timeout=120)
QUESTION = [
    {"role": "developer", "content": "You are brief."},
    {"role": "user", "content": [{"type": "text", "text": "Name a colour."}]},
]
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up_invoice",
        "description": "Finds an invoice.",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "string"}},
            "required": ["number"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
ASK_INVOICE = [{"role": "user", "content": "Is invoice HM-2026-00417 paid?"}]


class Refund(BaseModel):
    approved: bool
    days: int


def raises(kind, call):
    """The exception of exactly this kind that `call` ends with."""
    try:
        call()
    except kind as error:
        assert type(error) is kind, error
        return error
    raise AssertionError(f"nothing was raised, {kind.__name__} expected")


# With the local model.


def models():
    ids = {model.id: model for model in client.models.list()}
    assert {CHAT, EMBEDDING} <= set(ids), ids
    assert ids[CHAT].object == "model" and ids[CHAT].owned_by == "local"
    assert client.models.retrieve(CHAT).id == CHAT
    assert raises(openai.NotFoundError, lambda: client.models.retrieve("gpt-4o")).code == "model_not_found"


def chat():
    answer = client.chat.completions.create(model=CHAT, messages=QUESTION, max_tokens=12, temperature=0, seed=1)
    choice = answer.choices[0]
    assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-") and answer.model == CHAT
    assert choice.message.role == "assistant" and choice.message.content.strip()
    assert choice.message.tool_calls is None and choice.message.refusal is None
    assert choice.finish_reason in ("stop", "length")
    assert 0 < answer.usage.completion_tokens <= 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    again = client.chat.completions.create(model="auto", messages=QUESTION, max_completion_tokens=12, temperature=0)
    assert again.choices[0].message.content == choice.message.content
    assert answer._request_id and answer._request_id != again._request_id
    follow_up = QUESTION + [choice.message, {"role": "user", "content": "Another one."}]
    assert client.chat.completions.create(model="rejoinder", messages=follow_up, max_tokens=4).choices


def chat_streamed():
    ask = {"model": CHAT, "messages": [{"role": "user", "content": "Name two colours."}], "max_tokens": 16, "temperature": 0}
    with client.chat.completions.stream(**ask) as helper:
        deltas = [event.delta for event in helper if event.type == "content.delta" and event.delta]
        text = helper.get_final_completion().choices[0].message.content
    assert "".join(deltas) == text and len(deltas) > 1
    # The same question again, which the server answers from what it kept: in one piece, and as a stream.
    whole = client.chat.completions.create(**ask)
    assert whole.choices[0].message.content == text
    chunks = list(client.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    assert {chunk.id for chunk in chunks} == {chunks[0].id} and chunks[0].object == "chat.completion.chunk"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert all(chunk.usage is None for chunk in chunks[:-1])


def json_schema():
    answer = client.chat.completions.parse(
        model=CHAT,
        messages=[{"role": "user", "content": "Is the refund approved, and within how many days?"}],
        response_format=Refund,
        max_tokens=200,
        temperature=0,
    )
    assert isinstance(answer.choices[0].message.parsed, Refund), answer
    anything = client.chat.completions.create(
        model=CHAT, messages=QUESTION, response_format={"type": "json_object"}, max_tokens=300, temperature=0
    )
    if anything.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(anything.choices[0].message.content), dict)
    parse = lambda: client.chat.completions.parse(model=CHAT, messages=QUESTION, response_format=Refund, max_tokens=2)
    assert raises(openai.LengthFinishReasonError, parse).completion.choices[0].finish_reason == "length"


def stop_texts():
    answer = client.chat.completions.create(
        model=CHAT,
        messages=[{"role": "user", "content": "Count: 1, 2, 3, 4, 5"}],
        max_tokens=40,
        temperature=0,
        stop=[" ", "\n"],
    )
    assert answer.choices[0].finish_reason == "stop" and " " not in answer.choices[0].message.content


def embeddings():
    texts = ["Where is my refund?", "The refund is on its way.", "Fish swim."]
    packed = client.embeddings.create(model=EMBEDDING, input=texts)
    plain = client.embeddings.create(model=EMBEDDING, input=texts, encoding_format="float")
    assert [entry.index for entry in packed.data] == [0, 1, 2] and packed.usage.prompt_tokens > 9
    first, second, third = (entry.embedding for entry in packed.data)
    for mine, other in zip(packed.data, plain.data):
        assert len(mine.embedding) == 384
        assert all(abs(a - b) < 1e-6 for a, b in zip(mine.embedding, other.embedding))
    near = lambda a, b: math.fsum(x * y for x, y in zip(a, b))
    assert abs(near(first, first) - 1) < 1e-3 and near(first, second) > near(first, third)
    one = client.embeddings.create(model=EMBEDDING, input=texts[0], dimensions=384)
    assert all(abs(a - b) < 1e-4 for a, b in zip(one.data[0].embedding, first))
    refused = lambda **options: raises(
        openai.BadRequestError, lambda: client.embeddings.create(**{"model": EMBEDDING, "input": "x", **options})
    )
    assert refused(dimensions=100).param == "dimensions"
    assert refused(input=[1, 2, 3]).code == "unsupported_parameter"
    assert refused(input="word " * 1000).code == "context_length_exceeded"
    assert refused(input=["x"] * 2049).param == "input"
    raises(openai.NotFoundError, lambda: client.embeddings.create(model=CHAT, input="x"))


def errors():
    ask = lambda **options: client.chat.completions.create(
        **{"model": CHAT, "messages": QUESTION, "max_tokens": 4, **options}
    )
    missing = raises(openai.NotFoundError, lambda: ask(model="gpt-4o"))
    assert (missing.code, missing.param, missing.status_code) == ("model_not_found", "model", 404)
    assert missing.request_id and missing.type == "invalid_request_error"
    refused = lambda **options: raises(openai.BadRequestError, lambda: ask(**options))
    assert refused(n=2).param == "n"
    assert refused(logprobs=True).code == "unsupported_parameter"
    assert refused(temperature=3).param == "temperature"
    assert refused(max_tokens=1_000_000).code == "context_length_exceeded"
    assert refused(extra_body={"no_such_parameter": 1}).code == "unknown_parameter"
    assert refused(tool_choice="auto").param == "tool_choice"
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]}]
    assert refused(messages=image).param == "messages[0].content[0].type"
    assert refused(stream=True, messages=[]).param == "messages"
    assert refused(extra_headers={"x-rejoinder-egress": "everything"}).code == "invalid_value"
    tolerated = ask(user="u-1", metadata={"a": "b"}, store=False, service_tier="auto", parallel_tool_calls=openai.NOT_GIVEN)
    assert tolerated.choices


def hang_up():
    """Leaving a stream frees its place at once; the suite's server has only one."""

    async def run():
        # "Busy" may be answered for a moment, until the server has noticed; the client tries again by itself.
        many = openai.AsyncOpenAI(base_url=BASE_URL, api_key="unused", max_retries=5, timeout=120)
        for _ in range(3):
            stream = await many.chat.completions.create(
                model=CHAT, messages=QUESTION, max_tokens=4000, temperature=1, stream=True
            )
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    break
            await stream.close()
        await many.close()

    asyncio.run(run())


# With a scripted provider as remote target.


def tools():
    first = client.chat.completions.create(model="remote", messages=ASK_INVOICE, tools=[TOOL], tool_choice="required")
    choice = first.choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None, first
    (call,) = choice.message.tool_calls
    assert call.type == "function" and call.function.name == "look_up_invoice" and call.id
    assert json.loads(call.function.arguments) == {"number": "HM-2026-00417"}
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"paid": true}'}
    second = client.chat.completions.create(model="remote", messages=[*ASK_INVOICE, choice.message, result], tools=[TOOL])
    assert second.choices[0].message.content == "It is paid." and second.choices[0].finish_reason == "stop"


def tools_streamed():
    with client.chat.completions.stream(model="remote", messages=ASK_INVOICE, tools=[TOOL]) as stream:
        names = [event.name for event in stream if event.type == "tool_calls.function.arguments.done"]
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert names == ["look_up_invoice"]
    assert call.function.parsed_arguments == {"number": "HM-2026-00417"} and call.id


def json_schema_remote():
    answer = client.chat.completions.parse(
        model="remote", messages=[{"role": "user", "content": "Refund?"}], response_format=Refund
    )
    assert answer.choices[0].message.parsed == Refund(approved=True, days=14), answer


def routing():
    raw = client.chat.completions.with_raw_response.create(
        model="remote", messages=[{"role": "user", "content": "Please echo."}]
    )
    assert raw.headers["x-rejoinder-provider"] == "remote", raw.headers
    assert raw.headers["x-rejoinder-attempts"] == "remote=ok"
    answer = raw.parse()
    assert answer.model == "scripted-1" and answer.choices[0].message.content == "Please echo."
    assert answer.model_extra["rejoinder"]["provider"] == "remote"
    assert answer.usage.prompt_tokens > 0
    kept = lambda: client.chat.completions.create(
        model="remote", messages=QUESTION, extra_headers={"x-rejoinder-egress": "local_only"}
    )
    raises(openai.PermissionDeniedError, kept)


def rate_limited():
    error = raises(
        openai.RateLimitError,
        lambda: client.chat.completions.create(model="limited", messages=[{"role": "user", "content": "Hello"}]),
    )
    assert error.code == "rate_limit_exceeded" and int(error.response.headers["retry-after"]) > 0


def broken_stream():
    """An answer that breaks off is an exception, never a short answer."""

    def read():
        stream = client.chat.completions.create(
            model="broken", messages=[{"role": "user", "content": "word " * 40}], stream=True
        )
        for _ in stream:
            pass

    error = raises(openai.APIError, read)
    assert error.code in ("stream_restarted", "service_unavailable"), error


SUITES = {
    "local": [models, chat, chat_streamed, json_schema, stop_texts, embeddings, errors, hang_up],
    "remote": [tools, tools_streamed, json_schema_remote, routing, rate_limited, broken_stream],
}
for check in SUITES[SUITE]:
    check()
    print(check.__name__, flush=True)
