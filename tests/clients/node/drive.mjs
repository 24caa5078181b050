// Drives a running sidecar with OpenAI's own Node client, as somebody's program would.
//
//     node drive.mjs BASE_URL SUITE
//
// Prints the name of every check that passed, one a line. A failed check ends it with its error.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const [baseURL, suite] = process.argv.slice(2);
const CHAT = "SmolLM2-135M-Instruct";
const EMBEDDING = "all-MiniLM-L6-v2";
const client = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0, timeout: 120_000 });
const QUESTION = [
  { role: "developer", content: "You are brief." },
  { role: "user", content: [{ type: "text", text: "Name a colour." }] },
];
const PARAMETERS = {
  type: "object",
  properties: { number: { type: "string" } },
  required: ["number"],
  additionalProperties: false,
};
const TOOL = {
  type: "function",
  function: { name: "look_up_invoice", description: "Finds an invoice.", parameters: PARAMETERS, strict: true },
};
const ASK_INVOICE = [{ role: "user", content: "Is invoice HM-2026-00417 paid?" }];
const Refund = z.object({ approved: z.boolean(), days: z.int() });

const ask = (options) => client.chat.completions.create({ model: CHAT, messages: QUESTION, max_tokens: 12, ...options });

async function rejected(kind, promise) {
  const error = await promise.then(
    () => assert.fail(`nothing was thrown, ${kind.name} expected`),
    (error) => error,
  );
  assert.equal(error.constructor, kind, error.stack);
  return error;
}

const checks = {
  local: {
    async models() {
      const ids = [];
      for await (const model of client.models.list()) ids.push(model.id);
      assert.ok(ids.includes(CHAT) && ids.includes(EMBEDDING), ids);
      assert.equal((await client.models.retrieve(EMBEDDING)).object, "model");
      const missing = await rejected(OpenAI.NotFoundError, client.models.retrieve("org/gpt-4o"));
      assert.equal(missing.code, "model_not_found");
    },

    async chat() {
      const answer = await ask({ temperature: 0, seed: 1 });
      const [choice] = answer.choices;
      assert.ok(choice.message.content.trim());
      assert.ok(["stop", "length"].includes(choice.finish_reason));
      assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
      assert.ok(answer._request_id);
      const followUp = [...QUESTION, choice.message, { role: "user", content: "Another one." }];
      assert.equal((await ask({ model: "auto", messages: followUp, max_tokens: 4 })).choices.length, 1);
    },

    async chat_streamed() {
      const messages = [{ role: "user", content: "Name three colours." }];
      const helper = client.chat.completions.stream({ model: CHAT, messages, max_tokens: 16, temperature: 0 });
      let deltas = 0;
      helper.on("content", (delta) => (deltas += delta === "" ? 0 : 1));
      const text = await helper.finalContent();
      assert.ok(deltas > 1, `${deltas} deltas`);
      // The same question again, which the server answers from what it kept: in one piece, and as a stream.
      const again = { messages, max_tokens: 16, temperature: 0 };
      const whole = await ask(again);
      assert.equal(whole.choices[0].message.content, text);
      let streamed = "";
      let usage = null;
      for await (const chunk of await ask({ ...again, stream: true, stream_options: { include_usage: true } })) {
        streamed += chunk.choices[0]?.delta.content ?? "";
        usage = chunk.usage ?? usage;
      }
      assert.equal(streamed, text);
      assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
    },

    async json_schema() {
      const answer = await client.chat.completions.parse({
        model: CHAT,
        messages: [{ role: "user", content: "Is the refund approved, and within how many days?" }],
        response_format: zodResponseFormat(Refund, "refund"),
        max_tokens: 200,
        temperature: 0,
      });
      assert.equal(typeof answer.choices[0].message.parsed.approved, "boolean");
    },

    async embeddings() {
      const input = ["Where is my refund?", "The refund is on its way.", "Fish swim."];
      const packed = await client.embeddings.create({ model: EMBEDDING, input });
      const plain = await client.embeddings.create({ model: EMBEDDING, input, encoding_format: "float" });
      const [first, second, third] = packed.data.map((entry) => entry.embedding);
      assert.equal(first.length, 384);
      first.forEach((value, place) => assert.ok(Math.abs(value - plain.data[0].embedding[place]) < 1e-6));
      const near = (a, b) => a.reduce((sum, value, place) => sum + value * b[place], 0);
      assert.ok(near(first, second) > near(first, third));
    },

    async errors() {
      const missing = await rejected(OpenAI.NotFoundError, ask({ model: "gpt-4o" }));
      assert.equal(missing.param, "model");
      assert.ok(missing.requestID);
      assert.equal((await rejected(OpenAI.BadRequestError, ask({ n: 2 }))).param, "n");
      assert.equal((await rejected(OpenAI.BadRequestError, ask({ no_such_parameter: 1 }))).code, "unknown_parameter");
      const long = await rejected(OpenAI.BadRequestError, ask({ max_tokens: 1_000_000, stream: true }));
      assert.equal(long.code, "context_length_exceeded");
    },

    async hang_up() {
      const patient = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 5, timeout: 120_000 });
      for (let round = 0; round < 3; round += 1) {
        const stream = await patient.chat.completions.create({
          model: CHAT, messages: QUESTION, max_tokens: 4000, temperature: 1, stream: true,
        });
        for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
      }
    },
  },

  remote: {
    async tools() {
      const first = await ask({ model: "remote", messages: ASK_INVOICE, tools: [TOOL], tool_choice: "required" });
      const [choice] = first.choices;
      assert.equal(choice.finish_reason, "tool_calls");
      const [call] = choice.message.tool_calls;
      assert.deepEqual(JSON.parse(call.function.arguments), { number: "HM-2026-00417" });
      const result = { role: "tool", tool_call_id: call.id, content: '{"paid": true}' };
      const messages = [...ASK_INVOICE, choice.message, result];
      assert.equal((await ask({ model: "remote", messages, tools: [TOOL] })).choices[0].message.content, "It is paid.");
    },

    async tools_streamed() {
      const runner = client.chat.completions.runTools({
        model: "remote",
        messages: ASK_INVOICE,
        stream: true,
        tools: [
          {
            type: "function",
            function: {
              name: "look_up_invoice",
              description: "Finds an invoice.",
              parameters: PARAMETERS,
              parse: JSON.parse,
              function: ({ number }) => ({ paid: number === "HM-2026-00417" }),
            },
          },
        ],
      });
      assert.equal(await runner.finalContent(), "It is paid.");
    },

    async json_schema() {
      const answer = await client.chat.completions.parse({
        model: "remote",
        messages: [{ role: "user", content: "Refund?" }],
        response_format: zodResponseFormat(Refund, "refund"),
      });
      assert.deepEqual(answer.choices[0].message.parsed, { approved: true, days: 14 });
    },

    async routing() {
      const messages = [{ role: "user", content: "Please echo." }];
      const { data, response } = await client.chat.completions.create({ model: "remote", messages }).withResponse();
      assert.equal(response.headers.get("x-rejoinder-provider"), "remote");
      assert.equal(data.rejoinder.attempts.length, 1);
      assert.equal(data.choices[0].message.content, "Please echo.");
    },

    async rate_limited() {
      const messages = [{ role: "user", content: "Hello" }];
      const error = await rejected(OpenAI.RateLimitError, ask({ model: "limited", messages }));
      assert.equal(error.code, "rate_limit_exceeded");
      assert.ok(Number(error.headers.get("retry-after")) > 0);
    },

    async broken_stream() {
      const messages = [{ role: "user", content: "word ".repeat(40) }];
      const read = async () => {
        for await (const _ of await ask({ model: "broken", messages, stream: true, max_tokens: 500 }));
      };
      const error = await read().then(() => assert.fail("a broken answer was taken for a whole one"), (error) => error);
      assert.ok(error instanceof OpenAI.APIError, error.stack);
      assert.ok(["stream_restarted", "service_unavailable"].includes(error.code), error.code);
    },
  },
};

for (const [name, check] of Object.entries(checks[suite])) {
  await check();
  console.log(name);
}
