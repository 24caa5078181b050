// A client of the sidecar for a CRM backend: one file, no dependencies, Node 20 or later. Copy it.
//
// Every call that creates or spends something carries an Idempotency-Key, so that it can be repeated: a repeated call gives
// the first one's answer and is neither done nor paid for twice. The client repeats what may pass (no connection, 429, 502,
// 503, 504), waits as long as the server asks, and gives up with an error that carries the server's own words and id.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

export interface TicketMessage {
  direction: "inbound" | "outbound" | "note";
  from?: string;
  sent_at?: string;
  text?: string;
  html?: string | null;
}

export interface Ticket {
  id: string;
  subject?: string;
  customer?: { email?: string; name?: string };
  messages: TicketMessage[];
}

export interface SuggestReplyRequest {
  ticket: Ticket;
  instructions?: string;
  tone?: string;
  language?: string;
  candidates?: number;
  max_tokens?: number;
  agent_name?: string;
  egress?: "local_only" | "redact_then_remote" | "remote_allowed";
  retrieval?: { limit?: number; since?: string; mailboxes?: string[] };
}

export interface Citation {
  n: number;
  message_id: string;
  mailbox: string;
  subject: string;
  sent_at: string | null;
  from: string;
  quote: string;
  start: number;
  end: number;
  score: number;
}

export interface Suggestion {
  text: string;
  provider: string;
  model: string;
  language: string | null;
  confidence: number;
  needs_review: boolean;
  review_reasons: string[];
  checks: { name: string; passed: boolean; detail: string }[];
  citations: Citation[];
}

export interface SuggestReply {
  id: string;
  ticket_id: string;
  suggestions: Suggestion[];
  no_suggestion_reason: string | null;
  index_version: string;
}

/** What becomes known while a suggestion is written, in order. After `restart`, what was shown so far is void. */
export type SuggestEvent =
  | { event: "retrieval"; data: { citations: Citation[] } }
  | { event: "draft"; data: Suggestion }
  | { event: "delta"; data: { text: string } }
  | { event: "citation"; data: Citation }
  | { event: "restart"; data: Record<string, never> }
  | { event: "done"; data: SuggestReply };

export interface ExtractRequest {
  text?: string;
  ticket?: Ticket;
  /** A JSON Schema, or the name of one that the sidecar knows: "close_out", or "close_out@1" for a certain version. */
  schema?: object;
  schema_name?: string;
  /** What the CRM holds now: the answer then lists what would change. */
  current?: Record<string, unknown>;
}

export interface Extracted {
  id: string;
  attributes: Record<string, unknown>;
  needs_review: boolean;
  evidence: { pointer: string; value: unknown; start: number; end: number; quote: string; confidence: number }[];
  changes: { pointer: string; old: unknown; new: unknown }[];
  abstained: string[];
  missing_required: string[];
}

export interface MailMessage {
  message_id?: string;
  from: string;
  to: string[];
  cc?: string[];
  subject?: string;
  sent_at: string;
  text?: string;
  html?: string;
  in_reply_to?: string;
  references?: string[];
  direction?: "inbound" | "outbound";
}

export interface Indexed {
  id: string;
  thread_id: string;
  status: "indexed" | "duplicate";
  chunks: number;
  pairs: number;
}

export interface Feedback {
  suggestion_id: string;
  candidate?: number;
  outcome: "accepted" | "edited" | "rejected";
  /** What was sent, where it is not what was suggested. */
  final_text?: string;
  /** Why it was rejected. */
  reason?: string;
}

/** What the server said was wrong (RFC 9457). `code` is stable; show `requestId` to whoever runs the sidecar. */
export class RejoinderError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly requestId: string | null,
    readonly errors: { pointer: string; detail: string }[] = [],
  ) {
    super(message);
    this.name = "RejoinderError";
  }
}

export interface Options {
  url: string;
  key: string;
  /** How often a call is repeated that may pass. */
  retries?: number;
  /** Milliseconds without any sign of life after which an answer is given up; the server sends one every 15 seconds. */
  silence?: number;
}

interface CallOptions {
  signal?: AbortSignal;
  /** Your own key, such as the id of the job that calls: the call is then done once, however often the job runs. */
  idempotencyKey?: string;
}

const MAY_PASS = new Set([429, 502, 503, 504]);
const LONGEST_WAIT = 60_000;

export class Rejoinder {
  readonly #url: string;
  readonly #key: string;
  readonly #retries: number;
  readonly #silence: number;

  constructor({ url, key, retries = 4, silence = 45_000 }: Options) {
    this.#url = url.replace(/\/+$/, "");
    this.#key = key;
    this.#retries = retries;
    this.#silence = silence;
  }

  /** A draft of the next reply, in one piece. */
  async suggestReply(request: SuggestReplyRequest, options?: CallOptions): Promise<SuggestReply> {
    return this.#post("/v1/suggest-reply", request, options);
  }

  /** Fields of a text or a ticket, each with the place that it comes from. */
  async extractAttributes(request: ExtractRequest, options?: CallOptions): Promise<Extracted> {
    return this.#post("/v1/extract-attributes", request, options);
  }

  /** Puts a message into the index, so that the next suggestion knows it. */
  async addMessage(mailbox: string, message: MailMessage, options?: CallOptions): Promise<Indexed> {
    return this.#post("/v1/messages", { mailbox, message }, options);
  }

  /** What became of a suggestion: later ones learn from it. */
  async feedback(feedback: Feedback, options?: CallOptions): Promise<void> {
    await this.#post("/v1/feedback", feedback, options);
  }

  /**
   * A draft of the next reply while it is written. A connection that breaks is taken up again after the last event that
   * came; nothing is said twice. Breaking out of the loop, or aborting, stops the model.
   */
  async *streamReply(request: SuggestReplyRequest, options: CallOptions = {}): AsyncGenerator<SuggestEvent> {
    const body = JSON.stringify({ ...request, stream: true });
    const idempotencyKey = options.idempotencyKey ?? randomUUID();
    const idle = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, idle.signal]) : idle.signal;
    let lastId = "";
    try {
      for (let attempt = 0; ; attempt += 1) {
        try {
          const response = lastId
            ? await this.#insist(`/v1/suggest-reply/${lastId.split(":")[0]}/events`, {
                headers: { "last-event-id": lastId },
                signal,
              })
            : await this.#insist("/v1/suggest-reply", {
                method: "POST",
                headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
                body,
                signal,
              });
          for await (const { id, event, data } of serverSentEvents(response, this.#silence)) {
            lastId = id || lastId;
            attempt = 0;
            if (event === "error") throw problem(data, response.status, response.headers.get("x-request-id"));
            yield { event, data: JSON.parse(data) } as SuggestEvent;
            if (event === "done") return;
          }
          // The stream ended without its last event: the connection was cut.
        } catch (error) {
          signal.throwIfAborted();
          if (error instanceof RejoinderError) {
            if (error.status !== 404 || !lastId) throw error;
            // The server was started anew and does not know the stream any more: begin again, and say so.
            lastId = "";
            yield { event: "restart", data: {} };
          }
        }
        if (attempt >= this.#retries) {
          throw new RejoinderError(0, "connection_lost", "the connection broke again and again", null);
        }
        await sleep(backoff(attempt), undefined, { signal });
      }
    } finally {
      idle.abort();
    }
  }

  async #post<Answer>(path: string, body: object, { signal, idempotencyKey }: CallOptions = {}): Promise<Answer> {
    const headers = { "content-type": "application/json", "idempotency-key": idempotencyKey ?? randomUUID() };
    const init = { method: "POST", headers, body: JSON.stringify(body), signal: signal ?? null };
    const response = await this.#insist(path, init);
    return (response.status === 204 ? undefined : await response.json()) as Answer;
  }

  /** A call, repeated while it may pass. */
  async #insist(path: string, init: RequestInit): Promise<Response> {
    for (let attempt = 0; ; attempt += 1) {
      let wait = backoff(attempt);
      try {
        return await this.#fetch(path, init);
      } catch (error) {
        init.signal?.throwIfAborted();
        // Anything but an answer of the server is a connection that failed.
        const refused = error instanceof Refused ? error : null;
        const passes = !refused || MAY_PASS.has(refused.status) || refused.code === "idempotency_in_progress";
        if (!passes || attempt >= this.#retries) throw error;
        if (refused) wait = Math.min(Math.max(refused.retryAfter, wait), LONGEST_WAIT);
      }
      await sleep(wait, undefined, init.signal ? { signal: init.signal } : {});
    }
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = { ...init.headers, authorization: `Bearer ${this.#key}` };
    const response = await fetch(this.#url + path, { ...init, headers });
    if (response.ok) return response;
    const failed = problem(await response.text(), response.status, response.headers.get("x-request-id"));
    throw new Refused(failed, milliseconds(response.headers.get("retry-after")));
  }
}

/** A problem with the time after which it may be better. */
class Refused extends RejoinderError {
  constructor(error: RejoinderError, readonly retryAfter: number) {
    super(error.status, error.code, error.message, error.requestId, error.errors);
  }
}

function problem(text: string, status: number, requestId: string | null): RejoinderError {
  try {
    const { status: own, code, detail, title, request_id, errors } = JSON.parse(text);
    return new RejoinderError(own ?? status, code ?? "unknown", detail ?? title, request_id ?? requestId, errors);
  } catch {
    // Not the sidecar but something in front of it.
    return new RejoinderError(status, "unknown", `HTTP ${status}`, requestId);
  }
}

/** Retry-After is seconds or a date. */
function milliseconds(header: string | null): number {
  if (!header) return 0;
  const seconds = Number(header);
  return Number.isFinite(seconds) ? seconds * 1000 : Math.max(0, Date.parse(header) - Date.now()) || 0;
}

/** Doubling, half of it by chance, so that many clients do not come back at the same instant. */
function backoff(attempt: number): number {
  const longest = Math.min(250 * 2 ** attempt, 8_000);
  return longest / 2 + Math.random() * (longest / 2);
}

/** The events of a `text/event-stream`; ends early when nothing at all came for `silence` milliseconds. */
async function* serverSentEvents(response: Response, silence: number) {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let fields = { id: "", event: "message", data: [] as string[] };
  try {
    for (;;) {
      const timer = setTimeout(() => void reader.cancel().catch(() => {}), silence);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      const lines = (text + value).split(/\r\n|\n/);
      text = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "") {
          if (fields.data.length > 0) yield { ...fields, data: fields.data.join("\n") };
          fields = { id: fields.id, event: "message", data: [] };
          continue;
        }
        const [, name = "", content = ""] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
        if (name === "data") fields.data.push(content);
        else if (name === "id" || name === "event") fields[name] = content;
        // A line that begins with a colon is a sign of life.
      }
    }
  } finally {
    // Hanging up is what stops the model.
    await reader.cancel().catch(() => {});
  }
}
