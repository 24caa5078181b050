#!/bin/sh
# The main job on the sample mailbox: ingest it, start the server, ask for a reply and for attributes with curl.
# Works in a temporary folder and leaves nothing running. `make demo` calls it with REJOINDER set to the built program.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
rejoinder=${REJOINDER:-rejoinder}
work=$(mktemp -d)
server=""

clean_up() {
    [ -n "$server" ] && kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

REJOINDER_DATA_DIR="$work/data"
REJOINDER_CONFIG="$here/rejoinder.toml"
export REJOINDER_DATA_DIR REJOINDER_CONFIG

headline() {
    printf '\n== %s\n' "$1"
}

# Sets url once the server that writes its address to $work/address answers.
wait_for_server() {
    waited=0
    until url=$(sed -n 's/^listening on //p' "$work/address") && [ -n "$url" ] && curl -fsS "$url/readyz" >/dev/null 2>&1; do
        waited=$((waited + 1))
        if [ "$waited" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
            echo "the server did not start:" >&2
            cat "$work/log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

headline "1. Read the sample mailbox: a PST, an mbox and a folder of EML files"
"$rejoinder" ingest "$here/mailbox/haldenmarsh.pst" "$here/mailbox/support.mbox" "$here/mailbox/eml"

headline "2. Start the server"
"$rejoinder" --language-model none serve --listen 127.0.0.1:0 >"$work/address" 2>"$work/log" &
server=$!
wait_for_server
echo "serving on $url"

headline "3. A new ticket comes in, and the CRM asks for a draft: POST /v1/suggest-reply"
ticket="$here/mailbox/tickets/T-2001.json"
curl -fsS -H 'content-type: application/json' --data-binary "@$ticket" "$url/v1/suggest-reply" >"$work/suggestion.json"
"$rejoinder" show "$ticket"
echo
"$rejoinder" show "$work/suggestion.json"

headline "4. The ticket is closed, and the CRM asks for its fields: POST /v1/extract-attributes"
request="$here/requests/extract-attributes.json"
curl -fsS -H 'content-type: application/json' --data-binary "@$request" "$url/v1/extract-attributes" >"$work/attributes.json"
"$rejoinder" show "$request"
echo
"$rejoinder" show "$work/attributes.json"

headline "5. The same fields, with a language model: what it gives is checked against the text"
kill "$server" && wait "$server" || true
server=""
model=SmolLM2-135M-Instruct
if "$rejoinder" models verify "$model" >/dev/null 2>&1; then
    "$rejoinder" --language-model "$model" serve --listen 127.0.0.1:0 >"$work/address" 2>"$work/log" &
    server=$!
    wait_for_server
    curl -fsS -H 'content-type: application/json' --data-binary "@$request" "$url/v1/extract-attributes" >"$work/attributes.json"
    "$rejoinder" show "$work/attributes.json"
    echo
    echo "$model is small enough to be had everywhere and too weak for drafts; \`rejoinder models pull\` chooses a better one."
else
    echo "$model is not on this machine: rejoinder models pull $model"
fi

headline "What to try next"
cat <<TEXT
  $rejoinder inspect YOUR.pst            what is in a mailbox, before anything is indexed
  $rejoinder ingest YOUR.pst             index it (safe to interrupt and to repeat)
  $rejoinder serve                       then POST the tickets in examples/mailbox/tickets to /v1/suggest-reply
  $rejoinder search 'duplicate invoice'  look for yourself
TEXT
