#!/bin/sh
# Every route that a CRM uses, with curl alone. It needs a running sidecar and a key of the roles agent and ingest, or admin:
#
#     REJOINDER_URL=http://127.0.0.1:7788 REJOINDER_KEY=rj_... sh walkthrough.sh
#
# curl repeats by itself what may pass (429, 502, 503, 504, a connection that failed) and waits as long as Retry-After says;
# the Idempotency-Key makes that safe.
set -eu

url=${REJOINDER_URL:-http://127.0.0.1:7788}
: "${REJOINDER_KEY:?set it to a key: rejoinder keys create --name crm --roles admin}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
run=$$-$(date +%s)

# The key is read from a file, so that it is not in the list of processes for everybody on the machine to see.
printf 'header = "Authorization: Bearer %s"\n' "$REJOINDER_KEY" >"$work/curlrc"

# call METHOD PATH [curl's arguments]: the body goes to standard output and to $work/body; a 4xx or 5xx ends the script
# with what the server said.
call() {
    method=$1 path=$2
    shift 2
    status=$(curl --silent --show-error --config "$work/curlrc" --retry 4 --retry-connrefused --max-time 150 \
        --request "$method" --output "$work/body" --write-out '%{http_code}' "$@" "$url$path")
    cat "$work/body"
    case $status in
    2*) printf '\n-- %s %s: %s\n\n' "$method" "$path" "$status" ;;
    *)
        printf '\n-- %s %s: %s\n' "$method" "$path" "$status" >&2
        exit 1
        ;;
    esac
}

# A POST of JSON that is done once, however often it is sent.
post() {
    name=$1 path=$2
    call POST "$path" --header 'Content-Type: application/json' --header "Idempotency-Key: $run-$name" --data-binary @-
}

# field NAME: the first string member of this name in the last answer. With jq at hand: jq -r .NAME
field() {
    grep -o "\"$1\":\"[^\"]*\"" "$work/body" | head -n 1 | cut -d '"' -f 4
}

headline() {
    printf '== %s\n' "$1"
}

headline "Is it there, and with what?"
call GET /readyz

headline "A customer's mail goes into the index, as JSON"
post message /v1/messages <<JSON
{"mailbox": "crm", "message": {"message_id": "<$run.1@marlowceramics.example>", "from": "paula.dent@marlowceramics.example",
 "to": ["service@haldenmarsh.example"], "subject": "Lost invoice $run", "sent_at": "2026-06-22T08:41:00Z",
 "text": "I have mislaid your invoice for May's collection fees. Could you e-mail me another copy, please?", "direction": "inbound"}}
JSON
message=$(field id)

headline "The same as it came, raw"
printf 'From: paula.dent@marlowceramics.example\r\nTo: service@haldenmarsh.example\r\nMessage-ID: <%s.2@marlowceramics.example>\r\nDate: Mon, 22 Jun 2026 09:02:00 +0000\r\nSubject: Lost invoice %s\r\n\r\nOur customer number is C-10644, I forgot to say.\r\n' "$run" "$run" |
    call POST '/v1/messages?mailbox=crm' --header 'Content-Type: message/rfc822' --header "Idempotency-Key: $run-raw" --data-binary @-

headline "A mailbox is uploaded and read in the background"
printf 'From paula.dent@marlowceramics.example Mon Jun 22 10:00:00 2026\nFrom: paula.dent@marlowceramics.example\nTo: service@haldenmarsh.example\nMessage-ID: <%s.3@marlowceramics.example>\nDate: Mon, 22 Jun 2026 10:00:00 +0000\nSubject: Thank you\n\nThe invoice has arrived, thank you.\n' "$run" >"$work/archive.mbox"
call POST /v1/ingest/jobs --form "file=@$work/archive.mbox"
job=$(field id)
waited=0
until [ "$(field state)" = completed ]; do
    case $(field state) in failed | cancelled) exit 1 ;; esac
    waited=$((waited + 1))
    [ "$waited" -le 120 ] || { echo "the job takes longer than a minute" >&2; exit 1; }
    sleep 0.5
    call GET "/v1/ingest/jobs/$job" >/dev/null
done
cat "$work/body" && echo
call GET "/v1/ingest/jobs/$job/items?status=indexed"

headline "Search"
post search /v1/search <<'JSON'
{"query": "copy of an invoice", "limit": 2}
JSON

headline "A draft of the reply, in one piece"
ticket='{"id": "T-'$run'", "subject": "Lost invoice", "customer": {"email": "paula.dent@marlowceramics.example", "name": "Paula Dent"},
 "messages": [{"direction": "inbound", "from": "paula.dent@marlowceramics.example", "sent_at": "2026-06-22T08:41:00Z",
 "text": "I have mislaid your invoice for the collection fees. Could you e-mail me another copy, please?"}]}'
printf '{"ticket": %s}' "$ticket" | post suggest /v1/suggest-reply
suggestion=$(field id)

headline "The same while it is written"
printf '{"ticket": %s, "stream": true}' "$ticket" | post stream /v1/suggest-reply

headline "A connection that broke is taken up again after the last event that came"
first=$(sed -n 's/^id: //p' "$work/body" | head -n 1)
call GET "/v1/suggest-reply/${first%%:*}/events" --header "Last-Event-ID: $first"

headline "What the agent made of it"
post feedback /v1/feedback <<JSON
{"suggestion_id": "$suggestion", "candidate": 0, "outcome": "rejected", "reason": "the customer has called meanwhile"}
JSON
call GET "/v1/suggestions/$suggestion"
call GET "/v1/suggestions?ticket_id=T-$run"

headline "The ticket is closed: its fields, from the note"
post close /v1/extract-attributes <<'JSON'
{"text": "Sent invoice HM-2026-00417 over EUR 1,250.00 again on 3 July 2026. Solved.", "schema_name": "close_out",
 "current": {"amount": 1000}}
JSON

headline "How it goes"
call GET /v1/stats
call GET /v1/usage

headline "What is held on a person, and a message that is erased"
call GET /v1/subjects/paula.dent@marlowceramics.example
call DELETE "/v1/messages/$message"
