#!/usr/bin/env bash
# Side-by-side load: what does the gate cost beside the proxying itself? See README.md beside this file.
#
#	bench/run.sh
#	ARMS=hot OUT=bench/RESULTS.md RUN=2 bench/run.sh
#
# ARMS         which parts: hot cold deny latency memory scale go peers server   (all of them), profile, and
#              provider, which is among them where node and the packages of bench/provider are installed
# PROFILE      with the part profile: where the profiles go for the compiler, bench/default.pgo   (nowhere)
# ROUNDS       how often each arm has its turn                 (9)
# SLICE        seconds of each turn                            (1)
# CONNECTIONS  kept connections of the load                    (32)
# RATE         requests per second of the latency part         (1200)
# TOKENS       different tokens where many are sent in turn    (10000)
# DENIED       entries of the deny list                        (100000)
# USERS, CLIENTS, GATES   of the large configuration           (1000, 1000, 500)
# PORT         the first of 30 ports on 127.0.0.1              (17800)
# TOOL         wrk or load (bench/load)                        (wrk where it is installed)
# OUT          a file that keeps the results of all runs       (none)
# RUN          the run's number in that file; the same number replaces what it had   (1)
set -euo pipefail

parts=${ARMS:-hot cold deny latency memory scale go peers server}
rounds=${ROUNDS:-9} slice=${SLICE:-1} connections=${CONNECTIONS:-32} rate=${RATE:-1200} port=${PORT:-17800}
many=${TOKENS:-10000} denied=${DENIED:-100000} users=${USERS:-1000} clients=${CLIENTS:-1000} gates=${GATES:-500}
out=${OUT:-} run=${RUN:-1}
tool=${TOOL:-$(command -v wrk >/dev/null && echo wrk || echo load)}
unset TOKENS # the Lua script reads another meaning of it
command="$(env | grep -E '^(ARMS|ROUNDS|SLICE|CONNECTIONS|RATE|DENIED|USERS|CLIENTS|GATES|TOOL|RUN)=' | sort | tr '\n' ' ')bench/run.sh"
[[ -z $out || $out == /* ]] || out=$PWD/$out
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
declare -A pid=() # name of a server -> its process

stop() {
	local name
	for name in "$@"; do
		if [[ -n ${pid[$name]:-} ]]; then
			kill "${pid[$name]}" 2>/dev/null || true
			wait "${pid[$name]}" 2>/dev/null || true
			unset "pid[$name]"
		fi
	done
}
trap 'stop "${!pid[@]}"; rm -rf "$work"' EXIT

die() {
	echo "bench: $*" >&2
	exit 1
}

say() { echo "bench: $*" >&2; }

# The packages of bench/provider, installed once for all runs.
provider_packages=${XDG_CACHE_HOME:-$HOME/.cache}/caddyauth/bench
if [[ -z ${ARMS:-} ]] && command -v node >/dev/null && cmp -s "$root/bench/provider/package-lock.json" "$provider_packages/installed.json"; then
	parts+=' provider'
fi
for part in $parts; do
	[[ " hot cold deny latency memory scale go peers server profile provider " == *" $part "* ]] || die "there is no part '$part'"
done
[[ $run =~ ^[0-9]+$ ]] || die 'RUN is a number'

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
pgo=bench/default.pgo # what releases are built with; a profile is taken of a build without one
if [[ -n ${PROFILE:-} ]]; then
	pgo=off
fi
go build -pgo="$pgo" ${PROFILE:+-trimpath} -o "$work/caddy" ./cmd/caddy
for program in load upstream mint fill; do
	go build -o "$work/$program" "./bench/$program"
done

# --- keys and tokens -------------------------------------------------------------------------------------------------------------

# One ring with a key of each family: all tokens are good in the same server. The HMAC secret is text, so that HAProxy can have it, too.
families=(HS256 RS256 ES256 EdDSA)
secret=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
echo "bench-HS256:$(printf %s "$secret" | base64 -w0)" >"$work/HS256.key"
for family in RS256 ES256 EdDSA; do
	"$work/caddy" auth keygen --alg "$family" >"$work/$family.key" 2>/dev/null
done
issuer=http://127.0.0.1:$port # of every server: only the first one answers there
length=850                    # bytes of every token, so that all arms of one run carry the same

# mint FAMILY COUNT FILE [FLAG...] writes tokens, one a line.
mint() {
	local family=$1 count=$2 file=$3
	shift 3
	"$work/mint" -kid "bench-$family" -keys "$work/$family.key" -issuer "$issuer" -count "$count" -length "$length" "$@" >"$file"
}

: >"$work/none"
for family in "${families[@]}"; do
	mint "$family" 1 "$work/$family.one"
done
mint ES256 "$many" "$work/ES256.many"

# A browser's session, as a cookie and as a bearer token: the same bytes in the request, and the same request behind the
# gate, which removes the refresh token's cookie from both.
mint ES256 1 "$work/browser" -audience web
filler=$(printf 'x%.0s' {1..64})
printf '\ttheme=dark; access_token=%s; refresh_token=rt_%s\n' "$(cat "$work/browser")" "${filler:9}123456789" >"$work/browser.cookie"
printf '%s\ttheme=dark; refresh_token=rt_%s\n' "$(cat "$work/browser")" "${filler:9}" >"$work/browser.bearer"

# --- servers ---------------------------------------------------------------------------------------------------------------------

at() { echo "127.0.0.1:$((port + $1))"; }
upstream=$(at 1)

# Each server has six ports from its base on: the administration, bare, constants, gate, forward_auth, and the API.
admin_of() { at "$1"; }
bare_of() { at $(($1 + 1)); }
constant_of() { at $(($1 + 2)); }
gate_of() { at $(($1 + 3)); }
forward_of() { at $(($1 + 4)); }
more_of() { at $(($1 + 5)); }
browser_of() { echo "$(more_of "$1")/browser"; }

forwards='forward sub X-User-Id
		forward role X-User-Role
		forward email X-User-Email
		forward name X-User-Name'
hash='$2a$10$bhGgdX9QL4tsyw2ejbbDlObjD6DPPISgBrxS53MPqQHU45DcZlPMu' # wonderland

# write_config NAME BASE [large] writes the configuration of a server.
write_config() {
	local name=$1 base=$2 i
	{
		cat <<CADDYFILE
{
	admin $(admin_of "$base")
	persist_config off
	auto_https off
	log {
		output file $work/$name.log
		level ERROR
	}
	auth {
		issuer $issuer
		store sqlite:$work/$name/auth.db
		keys $(cat "$work/HS256.key") {
			file bench-RS256 $work/RS256.key
			file bench-ES256 $work/ES256.key
			file bench-EdDSA $work/EdDSA.key
		}
		user alice {
			password_hash $hash
			claim role admin
			claim email alice@example.com
			claim name "Alice Liddell"
		}
CADDYFILE
		if [[ ${3:-} == large ]]; then
			for ((i = 0; i < users; i++)); do
				printf '\t\tuser person%d {\n\t\t\tpassword_hash %s\n\t\t\tclaim role member\n\t\t}\n' "$i" "$hash"
			done
			for ((i = 0; i < clients; i++)); do
				printf '\t\tclient program%d {\n\t\t\tsecret %s%032d\n\t\t\taudience api\n\t\t}\n' "$i" "$secret" "$i"
			done
		fi
		cat <<CADDYFILE
	}
}
http://$(bare_of "$base") {
	bind 127.0.0.1
	reverse_proxy $upstream
}
http://$(constant_of "$base") {
	bind 127.0.0.1
	request_header X-User-Id alice
	request_header X-User-Role admin
	request_header X-User-Email alice@example.com
	request_header X-User-Name "Alice Liddell"
	reverse_proxy $upstream
}
http://$(gate_of "$base") {
	bind 127.0.0.1
	jwt_auth api {
		$forwards
	}
	reverse_proxy $upstream
}
http://$(forward_of "$base") {
	bind 127.0.0.1
	forward_auth $upstream {
		uri /auth
		copy_headers X-User-Id X-User-Role X-User-Email X-User-Name
	}
	reverse_proxy $upstream
}
http://$(more_of "$base") {
	bind 127.0.0.1
	auth_server
	handle /browser/* {
		jwt_auth web {
			$forwards
		}
		reverse_proxy $upstream
	}
CADDYFILE
		if [[ ${3:-} == large ]]; then
			for ((i = 0; i < gates; i++)); do
				printf '\thandle /app%d/* {\n\t\tjwt_auth api {\n\t\tname gate%d\n\t\trequire role member role%d\n\t\t%s\n\t\t}\n\t\treverse_proxy %s\n\t}\n' \
					"$i" "$i" "$i" "$forwards" "$upstream"
			done
		fi
		echo '}'
	} >"$work/$name.caddyfile"
}

# wait_for waits until an address answers at all.
wait_for() {
	local i
	for ((i = 0; i < 200; i++)); do
		if curl -s -o /dev/null "http://$1/"; then
			return
		fi
		kill -0 "${pid[$2]}" 2>/dev/null || die "$2 ended early: $(tail -n 3 "$work/$2.out")"
		sleep 0.1
	done
	die "$2 does not answer at $1"
}

caddy() {
	local name=$1
	shift
	XDG_DATA_HOME=$work/$name/data XDG_CONFIG_HOME=$work/$name/config "$work/caddy" "$@"
}

# start_caddy NAME BASE [large]
start_caddy() {
	write_config "$@"
	mkdir -p "$work/$1"
	XDG_DATA_HOME=$work/$1/data XDG_CONFIG_HOME=$work/$1/config "${server_core[@]}" \
		"$work/caddy" run --config "$work/$1.caddyfile" --adapter caddyfile >"$work/$1.out" 2>&1 &
	pid[$1]=$!
	wait_for "$(gate_of "$2")" "$1"
	check_gate "$1" "$2"
}

# reload NAME BASE begins with an empty cache of tokens.
reload() {
	caddy "$1" reload --config "$work/$1.caddyfile" --adapter caddyfile --address "$(admin_of "$2")" --force >"$work/reload.out" 2>&1 ||
		die "$1 does not reload: $(tail -n 3 "$work/reload.out")"
}

# check_gate: the gate refuses, and the application sees the same from the gate as from the constants.
check_gate() {
	local want seen family name
	[[ $(curl -s -o /dev/null -w '%{http_code}' "http://$(gate_of "$2")/headers") == 401 ]] || die "$1: the gate lets a request without token pass"
	want=$(curl -fsS "http://$(constant_of "$2")/headers")
	[[ $(grep -c '^X-User-' <<<"$want") == 4 ]] || die "$1: the constants are not there: '$want'"
	for family in "${families[@]}"; do
		seen=$(curl -fsS -H "Authorization: Bearer $(cat "$work/$family.one")" "http://$(gate_of "$2")/headers")
		[[ $seen == "$want" ]] || die "$1, $family: the application saw '$seen', want '$want'"
	done
	for name in bearer cookie; do
		seen=$(awk -F'\t' '{ if ($1) print "header = \"Authorization: Bearer " $1 "\""; print "header = \"Cookie: " $2 "\"" }' "$work/browser.$name" |
			curl -fsS -K - "http://$(browser_of "$2")/headers")
		[[ $seen == "$want" ]] || die "$1, browser with a $name: the application saw '$seen', want '$want'"
	done
	seen=$(curl -fsS "http://$(forward_of "$2")/headers")
	[[ $seen == "$want" ]] || die "$1, forward_auth: the application saw '$seen', want '$want'"
}

# fill_denials NAME BASE puts the deny list into the store of a server that is not running yet.
fill_denials() {
	mkdir -p "$work/$1"
	"$work/fill" -store "sqlite:$work/$1/auth.db" -issuer "$issuer" -count "$denied"
}

# check_denials BASE: one out of the list is refused.
check_denials() {
	local code
	mint ES256 1 "$work/denied" -id "denied-$((denied / 2))"
	code=$(curl -s -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $(cat "$work/denied")" "http://$(gate_of "$1")/")
	[[ $code == 401 ]] || die "a token of the deny list is answered with $code"
}

"${load_core[@]}" "$work/upstream" -listen "$upstream" >"$work/upstream.out" 2>&1 &
pid[upstream]=$!
wait_for "$upstream" upstream

main_base=5
# start_main starts the server that most parts use, with the whole deny list.
start_main() {
	if [[ -z ${pid[main]:-} ]]; then
		fill_denials main
		start_caddy main "$main_base"
		check_denials "$main_base"
	fi
}

# --- measuring -------------------------------------------------------------------------------------------------------------------

# An arm is a name with an address, a server and a file of tokens.
declare -A address=() server=() tokens=() title=() once=() sends=() prepares=()
arms=()

# arm NAME SERVER ADDRESS TOKENFILE TITLE [once]
arm() {
	arms+=("$1")
	server[$1]=$2 address[$1]=$3 tokens[$1]=$work/$4 title[$1]=$5 once[$1]=${6:-}
}

# sends ARM FLAG...: the load of an arm is not GET with tokens but what the flags of bench/load say.
# The function that prepares[ARM] names runs before each turn of the arm.
sends() { sends[$1]="${*:2}"; }

ticks=$(getconf CLK_TCK)
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/${pid[${server[$1]}]}/stat"; }

# throughput ARM SECONDS prints requests and requests per second of one turn.
throughput() {
	if [[ -n ${sends[$1]:-} ]]; then
		# shellcheck disable=SC2086
		flow "$2" "http://${address[$1]}" ${sends[$1]} || die "$1: not every answer was good"
	elif [[ $tool == wrk ]]; then
		TOKENS=${tokens[$1]} ONCE=${once[$1]:+1} "${load_core[@]}" \
			wrk -t1 -c"$connections" -d"$2s" -s "$root/bench/tokens.lua" "http://${address[$1]}/" >"$work/wrk.out" 2>&1 || die "$1: $(cat "$work/wrk.out")"
		! grep -E 'Non-2xx|Socket errors|Tokens used twice|PANIC' "$work/wrk.out" >&2 || die "$1: not every answer was good"
		awk '/requests in/ { n = $1 } /^Requests\/sec/ { print n, $2 }' "$work/wrk.out"
	else
		"${load_core[@]}" "$work/load" -c "$connections" -d "$2s" -tokens "${tokens[$1]}" ${once[$1]:+-n "$(wc -l <"${tokens[$1]}")"} -url "http://${address[$1]}/" |
			awk '{ print $2, $4 }'
	fi
}

# flow SECONDS URL FLAG... prints requests and requests per second of a load with state.
flow() {
	"${load_core[@]}" "$work/load" -c "$connections" -d "$1s" -url "$2" "${@:3}" | awk '{ print $2, $4 }'
}

# turn ROUND ARM FILE
turn() {
	local began ended numbers
	if [[ -n ${once[$2]} ]]; then
		reload "${server[$2]}" "$main_base"
	fi
	${prepares[$2]:-}
	began=$(cpu_ticks "$2")
	numbers=$(throughput "$2" "$slice")
	ended=$(cpu_ticks "$2")
	awk -v r="$1" -v a="$2" -v t=$((ended - began)) -v hz="$ticks" '{ printf "%d %s %f %f\n", r, a, $2, t / hz * 1e6 / $1 }' <<<"$numbers" >>"$3"
}

latency() {
	"${load_core[@]}" "$work/load" -c "$connections" -d "$((2 * slice))s" -rate "$rate" -tokens "${tokens[$2]}" -url "http://${address[$2]}/" |
		awk -v r="$1" -v a="$2" '{ print r, a, $6, $8 }' >>"$3"
}

# interleave VERB FILE: arms take turns, forwards and backwards, so that a drift of the machine meets all alike.
interleave() {
	local round arm order
	say "$(basename "$2"): ${#arms[@]} arms, $rounds rounds"
	: >"$2"
	for arm in "${arms[@]}"; do
		if [[ -z ${once[$arm]}${prepares[$arm]:-} ]]; then
			throughput "$arm" 1 >/dev/null
		fi
		if [[ ${tokens[$arm]} == *.many ]]; then # all of them, also where a second is too short
			"${load_core[@]}" "$work/load" -c "$connections" -d 60s -n "$many" -tokens "${tokens[$arm]}" -url "http://${address[$arm]}/" >/dev/null
		fi
	done
	for ((round = 1; round <= rounds; round++)); do
		order=("${arms[@]}")
		if ((round % 2 == 0)); then
			mapfile -t order < <(printf '%s\n' "${arms[@]}" | tac)
		fi
		for arm in "${order[@]}"; do
			"$1" "$round" "$arm" "$2"
		done
	done
}

# median reads lines of numbers.
median() { sort -g | awk '{ v[NR] = $1 } END { if (!NR) exit 1; m = int((NR + 1) / 2); print NR % 2 ? v[m] : (v[m] + v[m + 1]) / 2 }'; }

# column FILE ARM N
column() { awk -v a="$2" -v c="$3" '$2 == a { print $c }' "$1"; }

# ratio FILE ARM BASE [N] is the median over rounds of an arm's column by another's in the same round; the third is the throughput.
ratio() {
	awk -v a="$2" -v b="$3" -v c="${4:-3}" '$2 == a { x[$1] = $c } $2 == b { y[$1] = $c } END { for (r in x) print x[r] / y[r] }' "$1" | median
}

# table FILE BASE... prints the throughput of the arms, by each base.
table() {
	local file=$1 arm base
	shift
	printf '| arm | requests/s |'
	printf ' x %s |' "$@"
	printf ' CPU us/request |\n| --- | --- |'
	printf -- ' --- |%.0s' "$@"
	printf ' --- |\n'
	for arm in "${arms[@]}"; do
		printf '| %s | %.0f |' "${title[$arm]}" "$(column "$file" "$arm" 3 | median)"
		for base in "$@"; do
			printf ' %.3f |' "$(ratio "$file" "$arm" "$base")"
		done
		printf ' %.0f |\n' "$(column "$file" "$arm" 4 | median)"
	done
	echo
}

# judge TARGET WORDS VALUE least|most LIMIT
judge() {
	awk -v t="$1" -v w="$2" -v v="$3" -v how="$4" -v limit="$5" 'BEGIN {
		met = how == "least" ? v >= limit : v <= limit
		printf "- Target %s, %s: %.3f, at %s %s: **%s**\n", t, w, v, how, limit, met ? "met" : "missed"
	}'
}

# --- results ---------------------------------------------------------------------------------------------------------------------

declare -A heading=(
	[1]='Target 1: a token seen before' [2]='Target 2: every token new' [3]='Target 3: latency at a fixed rate' [4]='Target 4: minting and login'
	[5]='Target 5: memory' [6]='Target 6: large configurations' [7]='Others beside it' [8]='Where the time goes'
	[11]='Target 11: the authorization server'
)

first_line() { echo "$rounds rounds of $slice s, $connections connections, $tool; $cores${length:+; tokens of $length bytes}; medians."; }

commit() { echo "$(git -C "$root" rev-parse --short HEAD)$(git -C "$root" diff --quiet HEAD 2>/dev/null || echo ', with changes')"; }

# fragment TARGET PART: what is written goes to the output and, with OUT, into the file.
fragment() {
	local file=$work/fragments/$1.$2.$run
	mkdir -p "$work/fragments"
	{
		echo "### ${2^}, run $run"
		echo
		echo "$(date -u '+%Y-%m-%d %H:%M') UTC, gateway $(commit), \`$command\`. $(first_line)"
		echo
		cat
	} >"$file"
	cat "$file"
	echo
}

about() {
	echo '| what | with which it was measured |'
	echo '| --- | --- |'
	echo "| date | $(date -u +%Y-%m-%d) |"
	echo "| gateway | $(commit) |"
	echo "| Caddy | $(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2) |"
	echo "| Go | $(go env GOVERSION) |"
	echo "| kernel | $(uname -sr) |"
	echo "| load | $( (wrk -v 2>&1 || true) | sed -n '1s/ \[.*//p') |"
	echo "| HAProxy | $( (haproxy -v 2>/dev/null || echo 'not installed') | sed -n '1s/ - .*//p') |"
	echo "| machine | $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1) |"
}

# write_out puts the fragments of this run among those of others.
write_out() {
	local file target
	mkdir -p "$work/fragments"
	if [[ -f $out ]]; then
		mkdir -p "$work/kept"
		awk -v d="$work/kept/" '/^<!-- end/ { f = "" } f { print >f } /^<!-- begin / { f = d $3 }' "$out"
		find "$work/kept" -type f | while read -r file; do
			[[ -f $work/fragments/$(basename "$file") ]] || cp "$file" "$work/fragments/"
		done
	fi
	{
		echo '# Results'
		echo
		echo 'Written by `bench/run.sh`, which [README.md](README.md) explains; the targets are ratios within one run. Figures differ between machines.'
		echo
		about
		echo
		echo '## Targets'
		echo
		for target in 1 2 3 4 5 6 11; do
			find "$work/fragments" -name "$target.*" | sort -V | while read -r file; do
				sed -n "s/^- Target /- run ${file##*.}, target /p" "$file"
			done
		done
		for target in 1 2 3 4 5 6 11 7 8; do
			[[ -n $(find "$work/fragments" -name "$target.*") ]] || continue
			printf '\n## %s\n' "${heading[$target]}"
			find "$work/fragments" -name "$target.*" | sort -V | while read -r file; do
				printf '\n<!-- begin %s -->\n' "$(basename "$file")"
				cat "$file"
				printf '<!-- end %s -->\n' "$(basename "$file")"
			done
		done
	} >"$work/results"
	cp "$work/results" "$out"
}

# --- parts -----------------------------------------------------------------------------------------------------------------------

# bases NAME BASE are the arms that all others stand beside.
bases() {
	arm bytes "$1" "$(bare_of "$2")" ES256.one 'bare reverse_proxy, same request bytes'
	arm headers "$1" "$(constant_of "$2")" ES256.one 'same bytes, four headers from constants'
}

part_hot() {
	local arm
	start_main
	arms=()
	arm bare main "$(bare_of "$main_base")" none 'bare reverse_proxy, no token'
	bases main "$main_base"
	for family in "${families[@]}"; do
		arm "gate-$family" main "$(gate_of "$main_base")" "$family.one" "gate, one $family token, four claims forwarded"
	done
	arm gate-many main "$(gate_of "$main_base")" ES256.many "gate, $many ES256 tokens in turn"
	arm browser-bearer main "$(browser_of "$main_base")" browser.bearer 'gate for browsers, bearer token'
	arm browser-cookie main "$(browser_of "$main_base")" browser.cookie 'gate for browsers, session cookie, same request bytes'
	interleave turn "$work/hot"
	{
		echo "$denied entries in the deny list."
		echo
		table "$work/hot" bare bytes headers
		for arm in "${arms[@]:3:5}"; do
			judge 1 "${title[$arm]}, by the same bytes and headers" "$(ratio "$work/hot" "$arm" headers)" least 0.97
			judge 1 "${title[$arm]}, by the same bytes" "$(ratio "$work/hot" "$arm" bytes)" least 0.92
		done
		judge 7 "throughput with $many tokens in turn, by one" "$(ratio "$work/hot" gate-many gate-ES256)" least 0.97
		judge 8 'CPU of a request with a session cookie, by the bearer request' "$(ratio "$work/hot" browser-cookie browser-bearer 4)" most 1.05
	} | fragment 1 hot
}

part_deny() {
	local base=11
	start_main
	start_caddy empty "$base"
	arms=()
	arm headers-empty empty "$(constant_of "$base")" ES256.one 'no deny list: four headers from constants'
	arm gate-empty empty "$(gate_of "$base")" ES256.one 'no deny list: gate'
	arm headers-full main "$(constant_of "$main_base")" ES256.one "$denied entries: four headers from constants"
	arm gate-full main "$(gate_of "$main_base")" ES256.one "$denied entries: gate"
	interleave turn "$work/deny"
	{
		table "$work/deny" headers-empty gate-empty
		echo "The gate beside the constants of its own process: $(printf '%.3f' "$(ratio "$work/deny" gate-empty headers-empty)") without a deny list," \
			"$(printf '%.3f' "$(ratio "$work/deny" gate-full headers-full)") with it."
	} | fragment 1 deny
	stop empty
}

part_cold() {
	local need
	start_main
	arms=()
	arm hot main "$(gate_of "$main_base")" HS256.one 'hot'
	need=$(throughput hot "$slice" | awk '{ print int($1 * 1.3) + 1000 }') # a turn cannot need more than what the cache serves
	say "cold: minting $need tokens of each family"
	arms=()
	bases main "$main_base"
	for family in "${families[@]}"; do
		mint "$family" "$need" "$work/$family.new"
		arm "cold-$family" main "$(gate_of "$main_base")" "$family.new" "gate, every token new, $family" once
	done
	interleave turn "$work/cold"
	{
		echo 'Each token is sent once per turn, and before each turn a reload empties the cache. The target itself is judged from the Go benchmarks.'
		echo
		table "$work/cold" bytes headers
		echo '| CPU of a new token beside the headers from constants | us/request |'
		echo '| --- | --- |'
		for family in "${families[@]}"; do
			printf '| %s | %.0f |\n' "$family" "$(difference "$work/cold" "cold-$family" headers)"
		done
	} | fragment 2 cold
}

# difference FILE ARM BASE is the median over rounds of the CPU per request beyond another arm's.
difference() {
	awk -v a="$2" -v b="$3" '$2 == a { x[$1] = $4 } $2 == b { y[$1] = $4 } END { for (r in x) print x[r] - y[r] }' "$1" | median
}

part_latency() {
	local arm
	start_main
	arms=()
	arm bare main "$(bare_of "$main_base")" none 'bare reverse_proxy, no token'
	bases main "$main_base"
	arm gate main "$(gate_of "$main_base")" ES256.one 'gate, one ES256 token'
	arm gate-many main "$(gate_of "$main_base")" ES256.many "gate, $many ES256 tokens in turn"
	interleave latency "$work/latency"
	{
		echo "Turns of $((2 * slice)) s at $rate requests/s; latency counts from when a request was due."
		echo
		echo '| arm | p50 us | p99 us | p99 x bare | p99 x same bytes |'
		echo '| --- | --- | --- | --- | --- |'
		for arm in "${arms[@]}"; do
			printf '| %s | %.0f | %.0f | %.3f | %.3f |\n' "${title[$arm]}" "$(column "$work/latency" "$arm" 3 | median)" \
				"$(column "$work/latency" "$arm" 4 | median)" "$(ratio "$work/latency" "$arm" bare 4)" "$(ratio "$work/latency" "$arm" bytes 4)"
		done
		echo
		for arm in gate gate-many; do
			judge 3 "p99 of ${title[$arm]}, by bare" "$(ratio "$work/latency" "$arm" bare 4)" most 1.1
		done
	} | fragment 3 latency
}

# resident NAME BASE prints the resident set in MiB after two garbage collections.
resident() {
	curl -fsS -o /dev/null "http://$(admin_of "$2")/debug/pprof/heap?gc=1"
	curl -fsS -o /dev/null "http://$(admin_of "$2")/debug/pprof/heap?gc=1"
	awk '/^VmRSS/ { print $2 / 1024 }' "/proc/${pid[$1]}/status"
}

# heap NAME BASE prints the live heap in MiB.
heap() { curl -fsS "http://$(admin_of "$2")/metrics" | awk '/^go_memstats_heap_alloc_bytes / { print $2 / 1048576 }'; }

part_memory() {
	local round kind idle before turns=$((rounds < 3 ? rounds : 3)) base=11
	local length=701 # about that of the target; 700 is no length of a token with these claims
	mint ES256 1 "$work/memory.one"
	mint ES256 "$many" "$work/memory.many"
	: >"$work/memory"
	for ((round = 1; round <= turns; round++)); do
		for kind in one many; do
			rm -rf "$work/memory-$kind"
			start_caddy "memory-$kind" "$base"
			idle=$(resident "memory-$kind" "$base")
			before=$(heap "memory-$kind" "$base")
			"${load_core[@]}" "$work/load" -c "$connections" -d 60s -n "$many" -tokens "$work/memory.$kind" -url "http://$(gate_of "$base")/" >"$work/load.out"
			[[ $(awk '{ print $2 }' "$work/load.out") == "$many" ]] || die "memory: $(cat "$work/load.out")"
			echo "$round $kind $idle $(resident "memory-$kind" "$base") $before $(heap "memory-$kind" "$base")" |
				awk '{ print $0, $4 - $3, $6 - $5 }' >>"$work/memory"
			stop "memory-$kind"
		done
	done
	{
		echo "$turns rounds, a new process each; the resident set is read after two garbage collections."
		echo
		echo "| $many requests with | RSS idle MiB | RSS after | more | live heap idle MiB | live heap after | more |"
		echo '| --- | --- | --- | --- | --- | --- | --- |'
		for kind in one many; do
			printf '| %s | %.1f | %.1f | %.1f | %.1f | %.1f | %.1f |\n' "$([[ $kind == one ]] && echo 'one token' || echo "$many tokens")" \
				"$(column "$work/memory" $kind 3 | median)" "$(column "$work/memory" $kind 4 | median)" "$(column "$work/memory" $kind 7 | median)" \
				"$(column "$work/memory" $kind 5 | median)" "$(column "$work/memory" $kind 6 | median)" "$(column "$work/memory" $kind 8 | median)"
		done
		echo
		judge 5 "MiB of live heap over the idle gateway after $many tokens" "$(column "$work/memory" many 8 | median)" most 15
		judge 7 "MiB of live heap over the idle gateway after $many tokens" "$(column "$work/memory" many 8 | median)" most 12
		judge 5 "MiB of RSS over the idle gateway after $many tokens" "$(column "$work/memory" many 7 | median)" most 15
	} | fragment 5 memory
}

part_scale() {
	local base=17 round small=11 began
	start_caddy small "$small"
	start_caddy large "$base" large
	arms=()
	arm headers-small small "$(constant_of "$small")" ES256.one 'small: four headers from constants'
	arm gate-small small "$(gate_of "$small")" ES256.one 'small: gate'
	arm headers-large large "$(constant_of "$base")" ES256.one 'large: four headers from constants'
	arm gate-large large "$(gate_of "$base")" ES256.one 'large: gate'
	interleave turn "$work/scale"
	: >"$work/reloads"
	for ((round = 1; round <= rounds; round++)); do
		for name in small large; do
			began=$(date +%s%N)
			reload "$name" "$([[ $name == small ]] && echo "$small" || echo "$base")"
			echo "$round $name $((($(date +%s%N) - began) / 1000000))" >>"$work/reloads"
		done
	done
	check_gate large "$base"
	{
		echo "Small is the configuration of the other parts; large has $users users, $clients clients and $gates gates more. Two processes."
		echo
		table "$work/scale" headers-small gate-small
		echo '| configuration | `caddy reload` ms | longest |'
		echo '| --- | --- | --- |'
		for name in small large; do
			printf '| %s | %.0f | %.0f |\n' "$name" "$(column "$work/reloads" $name 3 | median)" "$(column "$work/reloads" $name 3 | sort -g | tail -n 1)"
		done
		echo
		judge 6 'throughput of the gate, large by small' "$(ratio "$work/scale" gate-large gate-small)" least 0.98
		judge 6 'ms of a reload of the large configuration' "$(column "$work/reloads" large 3 | median)" most 1000
	} | fragment 6 scale
	stop small large
}

# go_package BENCHMARK is the folder of the package that has it.
go_package() {
	local file
	file=$(grep -rl --include='*_test.go' "^func Benchmark$1(" caddyauth | head -n 1)
	[[ -n $file ]] || die "there is no benchmark $1"
	dirname "$file"
}

# go_bench PACKAGE PATTERN prints round, benchmark name, nanoseconds, allocations and, of benchmarks that tell it, nanoseconds of
# processor time; a round is once through all of the pattern. The compiler has the profile that it has for the program.
go_bench() {
	local round
	go test -c -pgo="$root/bench/default.pgo" -o "$work/bench.test" "./$1" >"$work/go.out" 2>&1 || die "go test $1: $(tail -n 5 "$work/go.out")"
	for ((round = 1; round <= go_rounds; round++)); do
		(cd "$1" && "${server_core[@]}" "$work/bench.test" -test.run '^$' -test.bench "$2" -test.benchmem -test.benchtime 0.3s -test.cpu 1) \
			>"$work/go.out" 2>&1 || die "benchmarks of $1: $(tail -n 5 "$work/go.out")"
		awk -v r="$round" '/^Benchmark/ { sub(/^Benchmark/, "", $1)
			cpu = ""
			for (i = 3; i <= NF; i++) {
				if ($i == "ns/op") ns = $(i - 1)
				if ($i == "allocs/op") n = $(i - 1)
				if ($i == "cpu-ns/op") cpu = $(i - 1)
			}
			print r, $1, ns, n, cpu }' "$work/go.out"
	done
}

# ns FILE NAME, allocations FILE NAME, cpu_ns FILE NAME
ns() { column "$1" "$2" 3 | median; }
cpu_ns() { column "$1" "$2" 5 | median; }
allocations() { column "$1" "$2" 4 | median; }

go_rounds=$((rounds < 3 ? 1 : 3))

part_go() {
	local name v
	say 'go: gate'
	go_bench "$(go_package JWTAuthBesideDenials)" '^BenchmarkJWTAuthBesideDenials$' >"$work/go.gate"
	say 'go: verify and mint'
	go_bench "$(go_package RawDecode)" '^Benchmark(Verify|RawVerify|RawDecode|Mint|RawSign)$' >"$work/go.token"
	say 'go: password hash'
	go_bench "$(go_package Password)" '^BenchmarkPassword$' >"$work/go.login"
	{
		echo "Go benchmarks, 0.3 s each in $go_rounds rounds on one core: the directive in Caddy's request context, four claims forwarded, 100000 entries in the deny list."
		echo
		echo '| arm | ns | allocations | ns over the floor | allocations over the floor |'
		echo '| --- | --- | --- | --- | --- |'
		for name in hot/floor hot/gate 10000/floor 10000/gate; do
			name=JWTAuthBesideDenials/$name
			printf '| %s | %.0f | %.0f | %.0f | %.0f |\n' "${name#*/}" "$(ns "$work/go.gate" "$name")" "$(allocations "$work/go.gate" "$name")" \
				"$(over ns "${name%/*}" "${name##*/}")" "$(over allocations "${name%/*}" "${name##*/}")"
		done
		echo
		for name in hot 10000; do
			judge 1 "ns of the gate over a pass-through handler, $name" "$(over ns "JWTAuthBesideDenials/$name" gate)" most 1000
			judge 1 "allocations over a pass-through handler, $name" "$(over allocations "JWTAuthBesideDenials/$name" gate)" most 2
		done
	} | fragment 1 go
	{
		echo "Go benchmarks, 0.3 s each in $go_rounds rounds on one core."
		echo
		echo '| algorithm | raw signature check ns | raw decode ns | verify ns | x raw and decode |'
		echo '| --- | --- | --- | --- | --- |'
		for name in HS256 RS256 PS256 ES256 EdDSA; do
			printf '| %s | %.0f | %.0f | %.0f | %.3f |\n' "$name" "$(ns "$work/go.token" "RawVerify/$name")" "$(ns "$work/go.token" RawDecode/struct)" \
				"$(ns "$work/go.token" "Verify/$name")" "$(beside_raw "$name")"
		done
		echo
		for name in HS256 RS256 PS256 ES256 EdDSA; do
			judge 2 "$name, verify by raw signature check and one decode" "$(beside_raw "$name")" most 1.25
		done
	} | fragment 2 go
	sign_in >"$work/logins"
	: >"$work/judged"
	{
		echo "Go benchmarks, 0.3 s each in $go_rounds rounds on one core."
		echo
		echo '| algorithm | raw signature ns | mint ns | x raw |'
		echo '| --- | --- | --- | --- |'
		for name in HS256 RS256 PS256 ES256 EdDSA; do
			v=$(ratio "$work/go.token" "Mint/$name" "RawSign/$name")
			printf '| %s | %.0f | %.0f | %.3f |\n' "$name" "$(ns "$work/go.token" "RawSign/$name")" "$(ns "$work/go.token" "Mint/$name")" "$v"
			judge 4 "$name, mint by raw signature" "$v" most 1.3 >>"$work/judged"
		done
		echo
		v=$(awk -v a="$(median <"$work/logins")" -v b="$(ns "$work/go.login" Password)" 'BEGIN { print a * 1e9 / b }')
		printf 'A login through the API takes %.1f ms, its password hash (bcrypt 10) alone %.1f ms.\n\n' \
			"$(awk -v a="$(median <"$work/logins")" 'BEGIN { print a * 1e3 }')" "$(awk -v b="$(ns "$work/go.login" Password)" 'BEGIN { print b / 1e6 }')"
		cat "$work/judged"
		judge 4 'a login by its password hash' "$v" most 1.1
	} | fragment 4 go
}

# over ns|allocations NAME ARM is what an arm adds to its floor, which passes the same requests on.
over() {
	awk -v n="$2/$3" -v floor="$2/floor" -v c="$([[ $1 == ns ]] && echo 3 || echo 4)" '$2 == n { x[$1] = $c } $2 == floor { y[$1] = $c }
		END { for (r in x) print x[r] - y[r] }' "$work/go.gate" | median
}

# beside_raw ALGORITHM is the median over rounds of the verification by the raw signature check and one decode into a struct.
beside_raw() {
	awk -v v="Verify/$1" -v s="RawVerify/$1" '$2 == v { x[$1] = $3 } $2 == s { y[$1] += $3 } $2 == "RawDecode/struct" { y[$1] += $3 }
		END { for (r in x) print x[r] / y[r] }' "$work/go.token" | median
}

# sign_in prints the seconds of some logins, one after the other; a good one does not count against the next.
sign_in() {
	local base=11 i answer
	start_caddy login "$base"
	for ((i = 0; i < 15; i++)); do
		answer=$(curl -sS -o "$work/login.json" -w '%{http_code} %{time_total}' -X POST "http://$(more_of "$base")/api/default/auth/login" \
			-H "Host: ${issuer#http://}" -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}')
		[[ $answer == 200* ]] || die "login: $answer $(cat "$work/login.json")"
		echo "${answer#* }"
	done
	stop login
}

# part_profile: where the time goes.
part_profile() {
	local arm seconds=10
	start_main
	arms=()
	bases main "$main_base"
	arm gate main "$(gate_of "$main_base")" ES256.one 'gate, one ES256 token'
	arm many main "$(gate_of "$main_base")" ES256.many "gate, $many ES256 tokens in turn"
	for arm in "${arms[@]}"; do
		sample "$arm" "$main_base"
	done
	if [[ -n ${PROFILE:-} ]]; then
		sample_server
	fi
	{
		echo "CPU of one request in us, $seconds s each. Parts overlap: what is allocated on behalf of a part counts with it, too."
		echo
		shares
		echo "The gate's own functions with many tokens, with what they call and without the handlers behind the gate:"
		echo
		echo '```'
		go tool pprof -top -cum -nodecount 10 -focus 'JWTAuth..ServeHTTP' -ignore 'reverseproxy' -show 'caddyauth/gateway' "$work/caddy" "$work/many.pprof" 2>/dev/null |
			sed -n '/flat%/,$p' | sed 's:github.com/caddyauth/gateway/::'
		echo '```'
		echo
		echo 'The ten functions of the whole process in which most of the time is spent, with many tokens:'
		echo
		echo '```'
		go tool pprof -top -nodecount 10 "$work/caddy" "$work/many.pprof" 2>/dev/null | sed -n '/flat%/,$p'
		echo '```'
	} | fragment 8 profile
	if [[ -n ${PROFILE:-} ]]; then
		# Of where the program stood nothing remains but the length.
		go tool pprof -proto -output "$work/merged" "$work"/*.pprof >/dev/null 2>&1
		gunzip -c <"$work/merged" | perl -pe 'BEGIN { $path = shift } s{\Q$path\E}{"/" x length($path)}ge' "$work/caddy" | gzip -9n >"$PROFILE"
	fi
}

# sample ARM BASE takes a profile of the server at BASE while the arm has its turn.
sample() {
	local sampling
	say "profile: $1"
	throughput "$1" 2 >/dev/null
	curl -fsS -o "$work/$1.pprof" "http://$(admin_of "$2")/debug/pprof/profile?seconds=$seconds" &
	sampling=$!
	throughput "$1" "$seconds" | awk '{ print $1 }' >"$work/$1.requests"
	wait "$sampling"
}

# sample_server profiles the authorization server, too, for as long as the gate: the compiler is to know both.
sample_server() {
	local arm i arms=()
	start_server
	for ((i = 0; i < connections; i++)); do
		bought read rp-opaque | member refresh_token
	done >"$work/refresh-opaque"
	provider_arms gateway
	server_arm introspection /introspect /json/introspection 'introspection, the token seen before' "$(introspection_form)"
	for arm in "${arms[@]}"; do
		[[ $arm == *-floor ]] || sample "$arm" "$server_base"
	done
	stop server
}

# shares prints a table of what some parts of a request cost in each arm.
shares() {
	local row pattern arm
	printf '| part |'
	printf ' %s |' "${arms[@]}"
	printf '\n| --- |'
	printf ' --- |%.0s' "${arms[@]}"
	echo
	for arm in "${arms[@]}"; do
		go tool pprof -top -cum -unit us -nodecount 9999 -nodefraction 0 "$work/caddy" "$work/$arm.pprof" 2>/dev/null |
			awk -v n="$(cat "$work/$arm.requests")" 'head { sub(/us$/, "", $4); print $4 / n, $6 } /flat%/ { head = 1 }' >"$work/$arm.parts"
	done
	while IFS='~' read -r row pattern; do
		printf '| %s |' "$row"
		for arm in "${arms[@]}"; do
			printf ' %.2f |' "$(awk -v p="$pattern" '$2 ~ p { n += $1 } END { print n + 0 }' "$work/$arm.parts")"
		done
		echo
	done <<'PARTS'
system calls~^internal/runtime/syscall/linux[.]Syscall6$
collecting garbage in the background~^runtime[.]gcBgMarkWorker$
allocating, with its share of collecting~^runtime[.]mallocgc$
Caddy's log fields of the round trip~^go[.]uber[.]org/zap[.][(][*]Logger[)][.]With$
the gate decides and sets headers~[.][(][*]JWTAuth[)][.]admit$
the gate's placeholders and variables~[.][(][*]JWTAuth[)][.]setUserVars$
the gate's eye on answers that go on~browser[.]Watch$
PARTS
	echo
}

# part_peers: Caddy's own forward_auth, and HAProxy where it is installed.
part_peers() {
	local arm
	start_main
	arms=()
	bases main "$main_base"
	arm gate main "$(gate_of "$main_base")" ES256.one 'gate, one ES256 token'
	arm forward main "$(forward_of "$main_base")" ES256.one 'forward_auth to a no-op'
	if start_haproxy; then
		arm haproxy haproxy "$(at 23)" ES256.one 'HAProxy bare'
		for family in HS256 RS256 ES256; do
			arm "haproxy-$family" haproxy "$(haproxy_of "$family")" "$family.one" "HAProxy jwt_verify $family (signature alone)"
		done
	fi
	interleave turn "$work/peers"
	{
		if [[ -n ${pid[haproxy]:-} ]]; then
			table "$work/peers" bytes headers haproxy
		else
			echo 'HAProxy or openssl is not installed: its arms are left out.'
			echo
			table "$work/peers" bytes headers
		fi
	} | fragment 7 peers
	stop haproxy
}

haproxy_of() {
	case $1 in
	HS256) at 24 ;;
	RS256) at 25 ;;
	ES256) at 26 ;;
	esac
}

start_haproxy() {
	local family key
	command -v haproxy >/dev/null && command -v openssl >/dev/null || return 1
	{
		printf 'global\n\tnbthread 1\n\tmaxconn 1000\ndefaults\n\tmode http\n\ttimeout connect 5s\n\ttimeout client 30s\n\ttimeout server 30s\n'
		printf 'backend application\n\tserver one %s\n' "$upstream"
		printf 'frontend bare\n\tbind %s\n\tdefault_backend application\n' "$(at 23)"
		for family in HS256 RS256 ES256; do
			key=$secret
			if [[ $family != HS256 ]]; then
				key=$work/$family.pub
				openssl pkey -in "$work/$family.key" -pubout -out "$key"
			fi
			printf 'frontend %s\n\tbind %s\n\thttp-request set-var(txn.token) http_auth_bearer\n' "$family" "$(haproxy_of "$family")"
			printf '\thttp-request deny deny_status 401 unless { var(txn.token),jwt_verify(%s,"%s") 1 }\n\tdefault_backend application\n' "$family" "$key"
		done
	} >"$work/haproxy.cfg"
	"${server_core[@]}" haproxy -db -f "$work/haproxy.cfg" >"$work/haproxy.out" 2>&1 &
	pid[haproxy]=$!
	wait_for "$(at 23)" haproxy
	for family in HS256 RS256 ES256; do
		[[ $(curl -s -o /dev/null -w '%{http_code}' "http://$(haproxy_of "$family")/") == 401 ]] || die "HAProxy lets a request without token pass"
		curl -fsS -o /dev/null -H "Authorization: Bearer $(cat "$work/$family.one")" "http://$(haproxy_of "$family")/" || die "HAProxy refuses a good $family token"
	done
}

# shellcheck source=bench/server.sh
source "$root/bench/server.sh"

for part in $parts; do
	"part_$part"
done
if [[ -n $out ]]; then
	write_out
fi
