#!/usr/bin/env bash
# A gateway and the other server whose tokens it accepts. Ctrl-C stops both.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
pids=()
stop() {
	((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
	wait || true
	[[ ! -e $work/started ]] || "$CADDY" stop --address localhost:2020 2>/dev/null || true # Ctrl-C ends it, too
	rm -rf "$work"
}
trap stop EXIT
trap 'exit 0' INT TERM

if [[ -z ${CADDY:-} ]]; then # CADDY names a binary that was built before
	CADDY=$work/caddy
	go build -o "$CADDY" ./cmd/caddy
fi
# `caddy start` returns once the other server answers, so the gateway finds its keys at once.
PARTNER_DATA=$work PARTNER_SECRET=$("$CADDY" auth keygen --alg HS256 --kid example) \
	"$CADDY" start --config examples/foreign-issuer/partner.Caddyfile
touch "$work/started"
"$CADDY" run --config examples/foreign-issuer/Caddyfile &
pids+=($!)
echo 'the gateway: http://localhost:8080, its own sign-in: http://localhost:8081, the other server: http://localhost:8091'
wait
