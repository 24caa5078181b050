"""A ticket's life: its mail is indexed, a draft is streamed, changed and sent, and the ticket is closed.

REJOINDER_URL=http://127.0.0.1:7788 REJOINDER_KEY=rj_... python3 example.py
"""

import os
import uuid
from datetime import datetime, timezone

from rejoinder_client import Rejoinder, RejoinderError


def now():
    return datetime.now(timezone.utc).isoformat()


rejoinder = Rejoinder(os.environ.get("REJOINDER_URL", "http://127.0.0.1:7788"), os.environ["REJOINDER_KEY"])
number = uuid.uuid4().hex[:8]
customer, us = "paula.dent@marlowceramics.example", "service@haldenmarsh.example"
question = "I have mislaid your invoice for May's collection fees. Could you e-mail me another copy, please?"

# 1. A customer's mail goes into the index. Its Message-ID makes the call safe to repeat, and so does its key.
mail = {"message_id": f"<{number}.1@marlowceramics.example>", "from": customer, "to": [us], "subject": "Lost invoice"}
mail |= {"sent_at": now(), "text": question, "direction": "inbound"}
indexed = rejoinder.add_message("crm", mail, idempotency_key=f"mail-{number}-1")
print(f"message {indexed['status']} in thread {indexed['thread_id']}")

# 2. The agent opens the ticket: the earlier reply is there at once, the words of a model as they come.
ticket = {
    "id": f"T-{number}",
    "subject": "Lost invoice",
    "customer": {"email": customer, "name": "Paula Dent"},
    "messages": [{"direction": "inbound", "from": customer, "sent_at": now(), "text": question}],
}
answer, seen = None, []
for event, data in rejoinder.stream_reply(ticket, agent_name="Priya Nair"):
    seen.append(event)
    if event == "done":
        answer = data
print("events:", *dict.fromkeys(seen))

# 3. The agent changes the draft and sends it. The sidecar is told, and learns from it.
if answer["suggestions"]:
    draft = answer["suggestions"][0]
    print(f"draft by {draft['provider']}, review: {', '.join(draft['review_reasons']) or 'not needed'}")
    rejoinder.feedback(answer["id"], "edited", final_text=draft["text"] + "\n\nP.S. The copy carries the same number.")
else:
    print(f"no draft: {answer['no_suggestion_reason']}")

# 4. The agent closes the ticket with a note, and its fields are filled from it.
note = "Sent invoice HM-2026-00417 over EUR 1,250.00 again on 3 July 2026. Solved."
extracted = rejoinder.extract_attributes(note, schema_name="close_out", current={"amount": 1000, "currency": "EUR"})
for evidence in extracted["evidence"]:
    print(f"  {evidence['pointer']} = {evidence['value']!r} from {evidence['quote']!r}")
for change in extracted["changes"]:
    print(f"  {change['pointer']} was {change['old']!r}")

# 5. What is wrong is said with a stable code and with the place.
try:
    rejoinder.extract_attributes(note, schema={"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/a.json"}}})
except RejoinderError as error:
    print(f"refused: {error.status} {error.code}: {error}")

found = rejoinder.search("copy of an invoice", limit=3)
print(f"search finds {len(found)} passages")
print(f"suggestions so far: {rejoinder.stats()['suggestions']}")
