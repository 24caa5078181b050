// Plays the browser's part against the CRM of server.ts: a mail comes in, the agent gets a draft, changes it, sends it, and
// closes the ticket. `npm run walkthrough` with REJOINDER_URL and REJOINDER_KEY.

import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { crm, rejoinderOfEnvironment } from "./server.js";

const server = crm(rejoinderOfEnvironment()).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

async function post(path: string, body: object): Promise<any> {
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const response = await fetch(url + path, init);
  const text = await response.text();
  assert.ok(response.ok, `${path}: ${response.status} ${text}`);
  return text && JSON.parse(text);
}

const id = `T-${process.pid}`;
const mail = {
  id,
  message_id: `<${id}.1@marlowceramics.example>`,
  from: "paula.dent@marlowceramics.example",
  name: "Paula Dent",
  subject: "Lost invoice",
  text: "I have mislaid your invoice for May's collection fees. Could you e-mail me another copy, please?",
};
const opened = await post("/mail", mail);
console.log(`mail indexed as ${opened.message}`);

const stream = await fetch(`${url}/tickets/${id}/draft`);
const blocks = (await stream.text()).trim().split("\n\n");
const events = blocks.map((block) => {
  const [, event = "", data = ""] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
  return { event, data: JSON.parse(data) };
});
console.log(`events: ${[...new Set(events.map(({ event }) => event))].join(" ")}`);
const done = events.at(-1);
assert.equal(done?.event, "done", JSON.stringify(done));
const suggestion = done.data.suggestions[0];
const text = suggestion?.text ?? "Dear Ms Dent, please find the invoice attached. Kind regards, Haldenmarsh";
console.log(`draft by ${suggestion?.provider ?? "nobody"}, ${suggestion?.citations.length ?? 0} citations`);

const reply = `${text}\n\nP.S. The copy carries the same number.`;
const sent = { text: reply, suggestion_id: done.data.id, suggested_text: text, message_id: `<${id}.2@haldenmarsh.example>` };
console.log(`ticket holds ${(await post(`/tickets/${id}/reply`, sent)).messages} messages`);

const note = "Sent invoice HM-2026-00417 over EUR 1,250.00 again on 3 July 2026. Solved.";
const closed = await post(`/tickets/${id}/close`, { note });
console.log(`closed with ${Object.keys(closed.attributes).sort().join(", ")}`);
for (const { pointer, quote } of closed.evidence) console.log(`  ${pointer} from "${quote}"`);

server.close();
server.closeAllConnections();
