#!/usr/bin/env bash
# Throughput of what changes the store, on both engines: counting a sign-in attempt (a login beside its password hash), a whole refresh
# with its rotation, the rotation alone, a revocation. Prints a Markdown table. `sqlite-alone` is the base: the same engine with one
# transaction in each commit, in the same run.
#
#	BENCHTIME=1s bench/store.sh
#
# PostgreSQL is started by the benchmarks where it is installed; its rows are missing otherwise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

echo "| work | engine | clients | per second | p99 ms |"
echo "| --- | --- | --- | --- | --- |"
go test -run '^$' -bench '^Benchmark(Attempt|Refresh|RotateGrant|Revoke)$' -benchtime "${BENCHTIME:-1s}" ./caddyauth/store/sqlstore |
	awk '
		/^Benchmark/ {
			split($1, name, "/")
			sub(/^Benchmark/, "", name[1])
			sub(/^clients=/, "", name[3])
			sub(/-[0-9]+$/, "", name[3])
			for (i = 2; i < NF; i++) {
				if ($(i + 1) == "tx/s") rate = $i
				if ($(i + 1) == "p99-ms") p99 = $i
			}
			printf "| %s | %s | %s | %s | %s |\n", name[1], name[2], name[3], rate, p99
			rows++
		}
		/^(FAIL|panic)/ { print > "/dev/stderr"; failed = 1 }
		END { exit failed || rows == 0 }
	'
