#!/usr/bin/env bash
# Two gateways on one PostgreSQL. With AUTH_STORE set that database is used; otherwise a temporary server is started, for which
# PostgreSQL's programs have to be installed. Ctrl-C stops everything that this script started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
pids=()
stop() {
	((${#pids[@]} == 0)) || kill "${pids[@]}" 2>/dev/null || true
	wait || true
	[[ ! -d $work/data ]] || as_owner "$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap stop EXIT
trap 'exit 0' INT TERM

# PostgreSQL refuses to run as root.
as_owner() {
	if ((EUID == 0)); then
		su postgres -s /bin/bash -c 'cd /; exec "$@"' -- "$0" "$@"
	else
		"$@"
	fi
}

if [[ -z ${AUTH_STORE:-} ]]; then
	bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1 || true)
	[[ -n $bin ]] || bin=$(dirname "$(command -v postgres || true)")
	[[ -x $bin/initdb ]] || {
		echo 'PostgreSQL is not installed (no initdb was found): install it, or set AUTH_STORE=postgres://user:password@host/database' >&2
		exit 1
	}
	chmod 755 "$work"
	mkdir "$work/data" "$work/socket"
	((EUID != 0)) || chown postgres "$work/data" "$work/socket"
	as_owner "$bin/initdb" -D "$work/data" -U auth --auth=trust -N >/dev/null
	as_owner "$bin/pg_ctl" -D "$work/data" -l "$work/data/log" -w -o "-k $work/socket -c listen_addresses=" start >/dev/null
	export AUTH_STORE="postgres://auth@/postgres?host=$work/socket"
fi
if [[ -z ${CADDY:-} ]]; then # CADDY names a binary that was built before
	CADDY=$work/caddy
	go build -o "$CADDY" ./cmd/caddy
fi
export AUTH_SECRET=${AUTH_SECRET:-$("$CADDY" auth keygen --alg HS256 --kid example)}

node() {
	NODE=$1 ADMIN_PORT=$2 AUTH_PORT=$3 APP_PORT=$4 "$CADDY" run --config examples/several-nodes/Caddyfile &
	pids+=($!)
}
node 1 2019 8081 8080
node 2 2020 8091 8090
echo 'node 1: http://localhost:8080, node 2: http://localhost:8090. A session begun at one is good at the other, and so is its end.'
wait
