#!/usr/bin/env bash
# Side-by-side load: what does the gate cost beside the proxying itself? See README.md beside this file.
#
#	ROUNDS=9 SLICE=2 bench/run.sh
#
# ROUNDS       how often each arm has its turn           (9)
# SLICE        seconds of each turn                      (2)
# CONNECTIONS  kept connections of the load              (32)
# RATE         requests per second of the latency part,  (1200)
#              0 leaves it out
# PORT         the first of five ports on 127.0.0.1      (17800)
# TOOL         wrk or load (bench/load)                  (wrk where it is installed)
set -euo pipefail

rounds=${ROUNDS:-9} slice=${SLICE:-2} connections=${CONNECTIONS:-32} rate=${RATE:-1200} port=${PORT:-17800}
tool=${TOOL:-$(command -v wrk >/dev/null && echo wrk || echo load)}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
caddy_pid='' upstream_pid=''

stop() {
	local pid
	for pid in "$@"; do
		if [[ -n $pid ]]; then
			kill "$pid" 2>/dev/null || true
			wait "$pid" 2>/dev/null || true
		fi
	done
}
trap 'stop "$caddy_pid" "$upstream_pid"; rm -rf "$work"' EXIT

die() {
	echo "bench: $*" >&2
	exit 1
}

# The server has one core to itself; load and upstream share another one.
server_core=() load_core=() cores='not pinned'
mapfile -t allowed < <(taskset -cp $$ 2>/dev/null | sed 's/.*: //' | tr ',' '\n' |
	awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) print i }')
if ((${#allowed[@]} >= 2)); then
	server_core=(taskset -c "${allowed[0]}")
	load_core=(taskset -c "${allowed[1]}")
	cores="server on core ${allowed[0]}, load and upstream on core ${allowed[1]}"
fi

cd "$root"
go build -o "$work/caddy" ./cmd/caddy
go build -o "$work/load" ./bench/load
go build -o "$work/upstream" ./bench/upstream

# Two keys in one ring: both tokens are good in the same server.
secret=$("$work/caddy" auth keygen --alg HS256 --kid bench-hs)
"$work/caddy" auth keygen --alg ES256 >"$work/key.pem" 2>/dev/null

at() { echo "127.0.0.1:$((port + $1))"; }
api=$(at 0) bare=$(at 1) constant=$(at 2) gate=$(at 3) upstream=$(at 4)

write_config() {
	cat >"$work/Caddyfile" <<CADDYFILE
{
	admin off
	persist_config off
	auto_https off
	log {
		output file $work/caddy.log
		level ERROR
	}
	auth {
		issuer http://$api
		store sqlite:$work/auth.db
		keys $secret {
			file bench-es $work/key.pem
			active $1
		}
		user alice {
			password_hash \$2a\$10\$bhGgdX9QL4tsyw2ejbbDlObjD6DPPISgBrxS53MPqQHU45DcZlPMu
			claim role admin
			claim email alice@example.com
			claim name "Alice Liddell"
		}
	}
}
http://$api {
	bind 127.0.0.1
	auth_server
}
http://$bare {
	bind 127.0.0.1
	reverse_proxy $upstream
}
http://$constant {
	bind 127.0.0.1
	request_header X-User-Id alice
	request_header X-User-Role admin
	request_header X-User-Email alice@example.com
	request_header X-User-Name "Alice Liddell"
	reverse_proxy $upstream
}
http://$gate {
	bind 127.0.0.1
	jwt_auth api {
		forward sub X-User-Id
		forward role X-User-Role
		forward email X-User-Email
		forward name X-User-Name
	}
	reverse_proxy $upstream
}
CADDYFILE
}

# wait_for waits until an address answers at all.
wait_for() {
	local i
	for ((i = 0; i < 100; i++)); do
		if curl -s -o /dev/null "http://$1/"; then
			return
		fi
		kill -0 "$2" 2>/dev/null || die "$3 ended early: $(tail -n 3 "$work/$3.out")"
		sleep 0.1
	done
	die "$3 does not answer at $1"
}

start_caddy() {
	write_config "$1"
	XDG_DATA_HOME=$work/data XDG_CONFIG_HOME=$work/config "${server_core[@]}" \
		"$work/caddy" run --config "$work/Caddyfile" --adapter caddyfile >"$work/caddy.out" 2>&1 &
	caddy_pid=$!
	wait_for "$gate" "$caddy_pid" caddy
}

sign_in() {
	local answer
	answer=$(curl -sS -X POST "http://$api/api/default/auth/login" -H 'Content-Type: application/json' \
		-d '{"username":"alice","password":"wonderland"}')
	sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p' <<<"$answer" | grep . || die "no token: $answer"
}

"${load_core[@]}" "$work/upstream" -listen "$upstream" >"$work/upstream.out" 2>&1 &
upstream_pid=$!
wait_for "$upstream" "$upstream_pid" upstream
start_caddy bench-hs
token_hs=$(sign_in)
stop "$caddy_pid"
start_caddy bench-es
token_es=$(sign_in)

# arm name -> address and token. All arms are ports of one process: same binary, heap, garbage collection and upstream, and what
# is idle costs nothing.
arms=(bare bytes headers gate-ES256 gate-HS256)
declare -A address=([bare]=$bare [bytes]=$bare [headers]=$constant [gate-ES256]=$gate [gate-HS256]=$gate)
declare -A credential=([bare]='' [bytes]=$token_es [headers]=$token_es [gate-ES256]=$token_es [gate-HS256]=$token_hs)

header_of() {
	header=()
	if [[ -n ${credential[$1]} ]]; then
		header=(-H "Authorization: Bearer ${credential[$1]}")
	fi
}

# Before anything is measured: the gate refuses, and the application sees the same from the gate as from the constants.
[[ $(curl -s -o /dev/null -w '%{http_code}' "http://$gate/headers") == 401 ]] || die 'the gate lets a request without token pass'
want=$(curl -fsS "http://$constant/headers")
for arm in gate-ES256 gate-HS256; do
	header_of "$arm"
	seen=$(curl -fsS "${header[@]}" "http://$gate/headers")
	[[ $seen == "$want" ]] || die "$arm: the application saw '$seen', want '$want'"
done

ticks=$(getconf CLK_TCK)
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$caddy_pid/stat"; }

# throughput prints requests and requests per second of one turn.
throughput() {
	header_of "$1"
	if [[ $tool == wrk ]]; then
		"${load_core[@]}" wrk -t1 -c"$connections" -d"$2s" "${header[@]}" "http://${address[$1]}/" >"$work/wrk.out"
		! grep -E 'Non-2xx|Socket errors' "$work/wrk.out" >&2 || die "$1: not every answer was good"
		awk '/requests in/ { n = $1 } /^Requests\/sec/ { print n, $2 }' "$work/wrk.out"
	else
		"${load_core[@]}" "$work/load" -c "$connections" -d "$2s" "${header[@]}" -url "http://${address[$1]}/" | awk '{ print $2, $4 }'
	fi
}

turn() {
	local before after numbers
	before=$(cpu_ticks)
	numbers=$(throughput "$2" "$slice")
	after=$(cpu_ticks)
	awk -v r="$1" -v a="$2" -v t=$((after - before)) -v hz="$ticks" '{ printf "%d %s %f %f\n", r, a, $2, t / hz * 1e6 / $1 }' <<<"$numbers"
}

latency() {
	header_of "$2"
	"${load_core[@]}" "$work/load" -c "$connections" -d "${slice}s" -rate "$rate" "${header[@]}" -url "http://${address[$2]}/" |
		awk -v r="$1" -v a="$2" '{ print r, a, $6, $8 }'
}

# Arms take turns, forwards and backwards, so that a drift of the machine meets all alike.
for arm in "${arms[@]}"; do
	throughput "$arm" 1 >/dev/null
done
for ((round = 1; round <= rounds; round++)); do
	order=("${arms[@]}")
	if ((round % 2 == 0)); then
		mapfile -t order < <(printf '%s\n' "${arms[@]}" | tac)
	fi
	for arm in "${order[@]}"; do
		turn "$round" "$arm" >>"$work/throughput"
		if ((rate > 0)) && [[ $arm != gate-HS256 ]]; then
			latency "$round" "$arm" >>"$work/latency"
		fi
	done
done

# median reads lines of numbers.
median() { sort -g | awk '{ v[NR] = $1 } END { m = int((NR + 1) / 2); print NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2 }'; }

column() { awk -v a="$2" -v c="$3" '$2 == a { print $c }' "$work/$1"; }

# ratio is the median over rounds of an arm's throughput by another's in the same round.
ratio() {
	awk -v a="$1" -v b="$2" '$2 == a { x[$1] = $3 } $2 == b { y[$1] = $3 } END { for (r in x) print x[r] / y[r] }' "$work/throughput" | median
}

declare -A title=(
	[bare]='bare reverse_proxy'
	[bytes]='bare reverse_proxy, same request bytes'
	[headers]='same bytes, four headers from constants'
	[gate-ES256]='gate, hot ES256 token, four claims forwarded'
	[gate-HS256]='gate, hot HS256 token, four claims forwarded'
)
echo "$rounds rounds of $slice s, $connections connections, $tool; $cores; medians."
echo
echo '| arm | requests/s | x bare | x same bytes | x same bytes and headers | CPU us/request |'
echo '| --- | --- | --- | --- | --- | --- |'
for arm in "${arms[@]}"; do
	printf '| %s | %.0f | %.3f | %.3f | %.3f | %.0f |\n' "${title[$arm]}" "$(column throughput "$arm" 3 | median)" \
		"$(ratio "$arm" bare)" "$(ratio "$arm" bytes)" "$(ratio "$arm" headers)" "$(column throughput "$arm" 4 | median)"
done
if ((rate > 0)); then
	echo
	echo "| arm at $rate requests/s | p50 us | p99 us |"
	echo '| --- | --- | --- |'
	for arm in "${arms[@]}"; do
		if [[ $arm != gate-HS256 ]]; then
			printf '| %s | %.0f | %.0f |\n' "${title[$arm]}" "$(column latency "$arm" 3 | median)" "$(column latency "$arm" 4 | median)"
		fi
	done
fi
