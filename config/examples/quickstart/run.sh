#!/bin/sh
# What `make run` does: builds the gateway and an MCP server to stand behind it, starts both, shows one call that
# policy permits, one that it refuses, the audit rows of both and their verification, and stays up until Ctrl-C.
#
# The builds are unoptimised (the dev profile), which is quick to compile and shares everything with `make test`;
# `make release` builds the gateway to deploy. All state is in target/quickstart: delete it to start over.
#
# With QUICKSTART_ONCE=1 it stops after the last step in place of staying up. Exits with 75 when a port is taken.
set -eu

cd "$(dirname "$0")/../../.."
cargo=${CARGO:-cargo}
locked=${LOCKED:---locked}
config=config/examples/quickstart.yaml
state=target/quickstart
gateway=http://127.0.0.1:8787
admin=http://127.0.0.1:9090
upstream=http://127.0.0.1:8788
alice=$state/alice.key
gateway_pid=
upstream_pid=

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

stop() {
    trap - EXIT INT TERM
    for pid in $gateway_pid $upstream_pid; do kill "$pid" 2>/dev/null || :; done
    # The gateway drains first: at most 15 s.
    wait
}

# refuse_taken NAME URL: fails when something answers there already. curl's 7 is a refused connection.
refuse_taken() {
    status=0
    curl -s -o /dev/null --max-time 2 "$2" || status=$?
    if [ "$status" != 7 ]; then
        port=${2##*:}
        printf 'quickstart: port %s, where the %s goes, is taken: stop what listens there (%s names it)\n' \
            "$port" "$1" "\`ss -ltnp sport = :$port\`" >&2
        exit 75
    fi
}

# wait_for NAME URL PID LOG: waits until the URL answers 200, at most 20 s, as long as the process lives.
wait_for() {
    tries=0
    until curl -sf -o /dev/null --max-time 2 "$2"; do
        kill -0 "$3" 2>/dev/null || { cat "$4" >&2; fail "the $1 ended; its log is above"; }
        tries=$((tries + 1))
        [ "$tries" -le 200 ] || { cat "$4" >&2; fail "the $1 is not ready after 20 s; its log is above"; }
        sleep 0.1
    done
}

# call STATUS TOOL ARGUMENTS: one tools/call as Alice, stateless (MCP 2026-07-28). Fails on another HTTP status.
call() {
    meta='"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"curl","version":"0"},"io.modelcontextprotocol/clientCapabilities":{}}'
    say "tools/call $2 $3"
    answer=$(curl -sS --max-time 10 "$gateway/mcp" -H "Authorization: Bearer $(cat "$alice")" \
        -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
        -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H "Mcp-Name: $2" \
        -w '\nHTTP %{http_code}' \
        -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"$2\",\"arguments\":$3,$meta}}")
    printf '%s\n' "$answer"
    [ "${answer##*HTTP }" = "$1" ] || fail "HTTP $1 was expected"
}

command -v curl >/dev/null 2>&1 || fail 'curl is missing: run `make setup`'
refuse_taken gateway "$gateway"
refuse_taken 'admin listener' "$admin"
refuse_taken 'MCP server' "$upstream"

say 'Building (the first time takes some minutes: BoringSSL is compiled from source)'
"$cargo" build $locked -p mcpg -p mcpg-tests --bins
built=$("$cargo" metadata $locked --no-deps --format-version 1 |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug

# From here on files hold keys.
umask 077
mkdir -p "$state"
if ! [ -s "$alice" ] || ! [ -s "$state/hash.key" ] || ! [ -s "$state/keys.jsonl" ]; then
    say "Making a key for user:alice@acme.com in $state"
    "$built/mcpg" keys new --subject user:alice@acme.com --env test \
        --hash-key-file "$state/hash.key" --keys-file "$state/keys.jsonl" >"$alice"
fi

trap stop EXIT
trap 'exit 130' INT TERM
"$built/mcpg-fixture" --listen "${upstream#http://}" >"$state/upstream.log" 2>&1 &
upstream_pid=$!
"$built/mcpg" run --config "$config" >"$state/gateway.log" 2>&1 &
gateway_pid=$!
wait_for gateway "$admin/readyz" "$gateway_pid" "$state/gateway.log"
say "The gateway is ready on $gateway, its log in $state/gateway.log"

call 200 lookup_customer '{"id":"c-1"}'
call 403 delete_repo '{"name":"hello"}'

say "The audit log: $built/mcpg audit show $state/audit"
"$built/mcpg" audit show "$state/audit" | tail -n 3
say "Its verification: $built/mcpg audit verify $state/audit"
"$built/mcpg" audit verify "$state/audit"

[ -z "${QUICKSTART_ONCE:-}" ] || exit 0

say 'Point a client at it (Streamable HTTP):'
cat <<TEXT
  URL      $gateway/mcp
  Header   Authorization: Bearer $(cat "$alice")
  Try      npx @modelcontextprotocol/inspector@latest --cli $gateway/mcp --transport http \\
             --header "Authorization: Bearer \$(cat $alice)" --method tools/list
           (with Node 22 or later)

Edit $config or its policies and the gateway follows; $admin/revision and
/metrics show how. Ctrl-C ends it.
TEXT
wait "$gateway_pid"
fail "the gateway ended by itself; its log is $state/gateway.log"
