// The part of a CRM that talks to the sidecar: tickets, drafts for the agent at the screen, what the agent made of them,
// and the fields of a ticket that is closed. The Map stands where your database is.

import { pathToFileURL } from "node:url";
import express, { type NextFunction, type Request, type Response } from "express";
import { Rejoinder, RejoinderError, type Ticket } from "./rejoinder.js";

const MAILBOX = "crm";
const US = "service@haldenmarsh.example";

interface StoredTicket extends Ticket {
  subject: string;
  customer: { email: string; name?: string };
  attributes: Record<string, unknown>;
  closed: boolean;
}

export function crm(rejoinder: Rejoinder): express.Express {
  const tickets = new Map<string, StoredTicket>();
  const app = express();
  app.use(express.json());

  const ticketOf = (request: Request): StoredTicket => {
    const ticket = tickets.get(String(request.params.id));
    if (!ticket) throw new RejoinderError(404, "no_ticket", "there is no such ticket", null);
    return ticket;
  };

  // A customer's mail: it opens a ticket and goes into the index. The id of the mail makes the call safe to repeat.
  app.post("/mail", async (request, response) => {
    const { id, message_id, from, name, subject, text } = request.body;
    const sent_at = new Date().toISOString();
    const message = { message_id, from, to: [US], subject, text, sent_at, direction: "inbound" as const };
    tickets.set(id, {
      id,
      subject,
      customer: { email: from, name },
      messages: [{ direction: "inbound", from, sent_at, text }],
      attributes: {},
      closed: false,
    });
    const indexed = await rejoinder.addMessage(MAILBOX, message, { idempotencyKey: `mail-${message_id}` });
    response.status(201).json({ ticket: id, message: indexed.id });
  });

  // The agent opens the ticket: what the sidecar knows goes to the browser as it comes. If the agent leaves, the model stops.
  app.get("/tickets/:id/draft", async (request, response) => {
    const { attributes: _, closed: __, ...ticket } = ticketOf(request);
    const left = new AbortController();
    response.on("close", () => left.abort());
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    try {
      for await (const { event, data } of rejoinder.streamReply({ ticket }, { signal: left.signal })) {
        response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      }
    } catch (error) {
      if (left.signal.aborted) return;
      const { code, message } = error instanceof RejoinderError ? error : { code: "failed", message: "no draft" };
      response.write(`event: error\ndata: ${JSON.stringify({ code, message })}\n\n`);
    }
    response.end();
  });

  // The agent sends a reply. What was made of the draft is said first: it may be what the next draft is made from.
  app.post("/tickets/:id/reply", async (request, response) => {
    const ticket = ticketOf(request);
    const { text, suggestion_id, suggested_text, message_id } = request.body;
    if (suggestion_id) {
      const outcome = text === suggested_text ? "accepted" : "edited";
      await rejoinder.feedback({ suggestion_id, outcome, ...(outcome === "edited" && { final_text: text }) });
    }
    const sent_at = new Date().toISOString();
    ticket.messages.push({ direction: "outbound", from: US, sent_at, text });
    const subject = `Re: ${ticket.subject}`;
    const message = { message_id, from: US, to: [ticket.customer.email], subject, text, sent_at };
    await rejoinder.addMessage(MAILBOX, { ...message, direction: "outbound" }, { idempotencyKey: `mail-${message_id}` });
    response.status(201).json({ messages: ticket.messages.length });
  });

  // The agent throws the draft away.
  app.post("/tickets/:id/reject", async (request, response) => {
    ticketOf(request);
    const { suggestion_id, reason } = request.body;
    await rejoinder.feedback({ suggestion_id, outcome: "rejected", reason });
    response.status(204).end();
  });

  // The agent closes the ticket with a note; the fields are filled from it and shown with the words that they come from.
  app.post("/tickets/:id/close", async (request, response) => {
    const ticket = ticketOf(request);
    const extracted = await rejoinder.extractAttributes({
      text: request.body.note,
      schema_name: "close_out",
      current: ticket.attributes,
    });
    ticket.attributes = { ...ticket.attributes, ...extracted.attributes };
    ticket.closed = true;
    const { attributes, evidence, changes, needs_review, missing_required } = extracted;
    response.json({ attributes, evidence, changes, needs_review, missing_required });
  });

  // What the sidecar refuses is the CRM's answer too, with the id under which its log has it.
  app.use((error: unknown, _: Request, response: Response, next: NextFunction) => {
    if (response.headersSent || !(error instanceof RejoinderError)) return next(error);
    const { status, code, message, requestId, errors } = error;
    response.status(status || 502).json({ code, message, request_id: requestId, errors });
  });
  return app;
}

/** The sidecar that the environment names. */
export function rejoinderOfEnvironment(): Rejoinder {
  const { REJOINDER_URL: url = "http://127.0.0.1:7788", REJOINDER_KEY: key } = process.env;
  if (!key) throw new Error("REJOINDER_KEY is not set; make one with: rejoinder keys create --name crm --roles agent,ingest");
  return new Rejoinder({ url, key });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const port = Number(process.env.PORT ?? 3000);
  crm(rejoinderOfEnvironment()).listen(port, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${port}`));
}
