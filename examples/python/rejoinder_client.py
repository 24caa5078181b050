"""A client of the sidecar for a CRM backend: one file, the standard library only, Python 3.9 or later. Copy it.

Every call that creates or spends something carries an Idempotency-Key, so that it can be repeated: a repeated call gives the
first one's answer and is neither done nor paid for twice. The client repeats what may pass (no connection, 429, 502, 503,
504), waits as long as the server asks, and gives up with an error that carries the server's own words and id.
"""

import email.utils
import http.client
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

MAY_PASS = {429, 502, 503, 504}
LONGEST_WAIT = 60.0


class RejoinderError(Exception):
    """What the server said was wrong (RFC 9457). `code` is stable; show `request_id` to whoever runs the sidecar."""

    def __init__(self, status, code, message, request_id=None, errors=(), retry_after=0.0):
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.errors = list(errors)
        self.retry_after = retry_after


class Rejoinder:
    """A sidecar. Safe to share between threads: every call has a connection of its own."""

    def __init__(self, url, key, retries=4, timeout=130.0, silence=45.0):
        """`timeout` is in seconds for a whole answer, `silence` for a stream of which nothing at all comes."""
        self.url = url.rstrip("/")
        self.key = key
        self.retries = retries
        self.timeout = timeout
        self.silence = silence
        # What the environment says about proxies is about the internet, not about a sidecar.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def suggest_reply(self, ticket, idempotency_key=None, **options):
        """A draft of the next reply, in one piece. `options` are the other members of the request."""
        return self._post("/v1/suggest-reply", {"ticket": ticket, **options}, idempotency_key)

    def extract_attributes(self, text, schema_name=None, schema=None, current=None, idempotency_key=None):
        """Fields of a text, each with the place that it comes from; `changes` against what the CRM holds now."""
        body = {"text": text, "schema_name": schema_name, "schema": schema, "current": current}
        return self._post("/v1/extract-attributes", body, idempotency_key)

    def add_message(self, mailbox, message, idempotency_key=None):
        """Puts a message into the index, so that the next suggestion knows it. `message` is a dict, or bytes of RFC 5322."""
        if isinstance(message, bytes):
            path = "/v1/messages?" + urllib.parse.urlencode({"mailbox": mailbox})
            return self._read(self._call(path, message, _headers("message/rfc822", idempotency_key)))
        return self._post("/v1/messages", {"mailbox": mailbox, "message": message}, idempotency_key)

    def feedback(self, suggestion_id, outcome, candidate=0, final_text=None, reason=None):
        """What became of a suggestion: `accepted`, `edited` (with what was sent) or `rejected`. Later ones learn from it."""
        body = {"suggestion_id": suggestion_id, "candidate": candidate, "outcome": outcome}
        self._post("/v1/feedback", {**body, "final_text": final_text, "reason": reason}, None)

    def search(self, query, **options):
        """Passages of the mail, the best first."""
        return self._post("/v1/search", {"query": query, **options}, None)["data"]

    def stats(self):
        """How many suggestions were taken, changed and rejected, and which questions the mail does not answer."""
        return self._read(self._call("/v1/stats", None, {}))

    def stream_reply(self, ticket, idempotency_key=None, **options):
        """Yields (event, data) while the draft is written: `retrieval`, `draft`, `delta`, `citation`, `restart`, `done`.

        After `restart`, what was shown so far is void. A connection that breaks is taken up again after the last event that
        came. Closing the generator hangs up, which stops the model.
        """
        body = json.dumps({"ticket": ticket, **options, "stream": True}).encode()
        key = idempotency_key or str(uuid.uuid4())
        last_id, attempt = "", 0
        while True:
            try:
                if last_id:
                    path = f"/v1/suggest-reply/{last_id.split(':')[0]}/events"
                    response = self._call(path, None, {"Last-Event-ID": last_id}, self.silence)
                else:
                    headers = _headers("application/json", key)
                    response = self._call("/v1/suggest-reply", body, headers, self.silence)
                with response:
                    for event_id, event, data in _events(response):
                        last_id, attempt = event_id or last_id, 0
                        if event == "error":
                            raise _problem(response.status, response.headers, data)
                        yield event, json.loads(data)
                        if event == "done":
                            return
            except RejoinderError as error:
                if error.status != 404 or not last_id:
                    raise
                # The server was started anew and does not know the stream any more: begin again, and say so.
                last_id = ""
                yield "restart", {}
            except (OSError, http.client.HTTPException):
                pass
            # Here the connection was cut before the last event.
            if attempt >= self.retries:
                raise RejoinderError(0, "connection_lost", "the connection broke again and again")
            time.sleep(_backoff(attempt))
            attempt += 1

    def _post(self, path, body, idempotency_key):
        body = {name: value for name, value in body.items() if value is not None}
        return self._read(self._call(path, json.dumps(body).encode(), _headers("application/json", idempotency_key)))

    @staticmethod
    def _read(response):
        with response:
            text = response.read()
        return json.loads(text) if text else None

    def _call(self, path, body, headers, timeout=None):
        """A call, repeated while it may pass; without a body it is a GET."""
        attempt = 0
        while True:
            wait = _backoff(attempt)
            try:
                return self._request(path, body, headers, timeout or self.timeout)
            except RejoinderError as error:
                passes = error.status in MAY_PASS or error.code == "idempotency_in_progress"
                if not passes or attempt >= self.retries:
                    raise
                wait = min(max(error.retry_after, wait), LONGEST_WAIT)
            except (OSError, http.client.HTTPException):
                if attempt >= self.retries:
                    raise
            time.sleep(wait)
            attempt += 1

    def _request(self, path, body, headers, timeout):
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        request.add_header("Authorization", f"Bearer {self.key}")
        try:
            return self._opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise _problem(error.code, error.headers, error.read().decode(errors="replace")) from None


def _headers(content_type, idempotency_key):
    return {"Content-Type": content_type, "Idempotency-Key": idempotency_key or str(uuid.uuid4())}


def _problem(status, headers, text):
    retry_after = _seconds(headers.get("Retry-After"))
    request_id = headers.get("X-Request-Id")
    try:
        body = json.loads(text)
        message = body.get("detail") or body["title"]
    except (ValueError, KeyError, AttributeError):
        # Not the sidecar but something in front of it.
        return RejoinderError(status, "unknown", f"HTTP {status}", request_id, retry_after=retry_after)
    request_id = body.get("request_id") or request_id
    return RejoinderError(
        body.get("status", status), body.get("code", "unknown"), message, request_id, body.get("errors") or (), retry_after
    )


def _seconds(header):
    """Retry-After is seconds or a date."""
    if not header:
        return 0.0
    if header.isdigit():
        return float(header)
    date = email.utils.parsedate_to_datetime(header)
    return max(0.0, date.timestamp() - time.time())


def _backoff(attempt):
    """Doubling, half of it by chance, so that many clients do not come back at the same instant."""
    longest = min(0.25 * 2**attempt, 8.0)
    return longest / 2 + random.random() * longest / 2


def _events(response):
    """The (id, event, data) of a text/event-stream."""
    event_id, event, data = "", "message", []
    for line in response:
        line = line.decode().rstrip("\r\n")
        if not line:
            if data:
                yield event_id, event, "\n".join(data)
            event, data = "message", []
            continue
        name, _, content = line.partition(":")
        content = content[1:] if content.startswith(" ") else content
        if name == "data":
            data.append(content)
        elif name == "event":
            event = content
        elif name == "id":
            event_id = content
        # A line that begins with a colon is a sign of life.
