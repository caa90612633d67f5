#!/usr/bin/env bash
# Runs the official MCP conformance suite, at the version pinned in package.json, against the fixture server and
# through the gateway in front of it, in both revisions, and compares the outcomes check by check.
# Needs npm; the suite's own Node comes with the pins. Everything is kept in the build folder.
set -eu
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}
locked=${LOCKED:---locked}
export MCPG_TESTS_REQUIRE_ALL=1
"$cargo" build "$locked" -p mcpg --bins
"$cargo" build "$locked" -p mcpg-tests --bins
"$cargo" test "$locked" -p mcpg-tests --test conformance -- --nocapture --test-threads 1
