#!/usr/bin/env bash
# What `make bench` does: builds with the profile `bench`, then runs the microbenchmarks, the instruction counts, the ladder
# and the rest, and prints their tables.
#
# Arguments choose parts: micro, gate, ladder, idle, streams, approvals, federated, tenants, handshakes; without any, all (`make bench PARTS="gate ladder"`).
# ROUNDS shortens the ladder or makes it steadier.
# Envoy is measured if `envoy` is on the PATH or ENVOY names it. A tool that is missing is skipped, with a word.
set -eu -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo=${CARGO:-cargo}
locked=${LOCKED:---locked}
parts=${*:-micro gate ladder idle streams approvals federated tenants handshakes}

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

for part in $parts; do
    case $part in
        micro | gate | ladder | idle | streams | approvals | federated | tenants | handshakes) ;;
        *)
            echo "bench: no part is called \`$part\`; there are micro, gate, ladder, idle, streams, approvals, federated, tenants and handshakes" >&2
            exit 2
            ;;
    esac
done

say 'Building with the profile `bench` (minutes the first time: thin LTO)'
"$cargo" build "$locked" --profile bench -p mcpg -p mcpg-benches --bins --bench micro
# Cargo puts the profile `bench` into `release`.
built=$("$cargo" metadata "$locked" --no-deps --format-version 1 |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release

status=0
for part in $parts; do
    case $part in
        micro)
            say 'Times of single operations (they inform; a shared machine makes them unsteady)'
            "$cargo" bench "$locked" -p mcpg-benches --bench micro
            ;;
        gate)
            say 'Instructions of single operations (they decide)'
            gate=0
            "$built/mcpg-bench" gate || gate=$?
            # 75: not run here, and said so.
            [ "$gate" = 0 ] || [ "$gate" = 75 ] || status=$gate
            ;;
        ladder)
            say 'The ladder: the same load on each, in turns'
            "$built/mcpg-bench" ladder --rounds "${ROUNDS:-25}"
            say 'Large bodies'
            "$built/mcpg-bench" ladder --rounds "${ROUNDS:-9}" --connections 16 \
                --only direct,bare,written --bytes 65536,262144,1048576
            ;;
        idle)
            say 'Memory of idle keep-alive connections'
            "$built/mcpg-bench" idle
            ;;
        streams)
            say 'Memory of open subscription streams'
            "$built/mcpg-bench" streams
            ;;
        approvals)
            say 'Memory and threads of calls that wait for an approval'
            "$built/mcpg-bench" approvals
            ;;
        federated)
            say 'Ten servers behind one endpoint: their merged list, and a call by its prefix'
            "$built/mcpg-bench" federated
            ;;
        tenants)
            say 'Tenants in one gateway: a call, their memory, a change of one'
            "$built/mcpg-bench" tenants
            ;;
        handshakes)
            say 'TLS handshakes beside bare Pingora'
            "$built/mcpg-bench" handshakes
            ;;
    esac
done
exit "$status"
