# Sourced by run.sh: the authorization server beside its floors (part server), and beside the npm package oidc-provider (part
# provider).

server_base=23
tokens_of() { at $((server_base + 1)); }   # /token and the others
constants_of() { at $((server_base + 2)); } # answers of the same size
callback=https://rp.example/callback
machine="client_id=machine&client_secret=$secret"
party="client_secret=$secret&client_id=rp" # or rp-opaque
verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk # RFC 7636, appendix B
# what an authorization request of rp asks for besides its scope
asked="response_type=code&redirect_uri=https%3A%2F%2Frp.example%2Fcallback&state=the-state"
asked+="&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&client_id=rp&scope="

declare -A size=() # of the answer that the constant of that name stands for

x_of() { printf 'x%.0s' $(seq "$1"); }

# write_server_config writes the configuration of the authorization server, and beside it constants as large as its answers.
write_server_config() {
	local name
	{
		cat <<CADDYFILE
{
	admin $(admin_of "$server_base")
	persist_config off
	auto_https off
	log {
		output file $work/server.log
		level ERROR
	}
	auth {
		issuer http://$(tokens_of)
		store sqlite:$work/server/auth.db
		keys {
			active bench-ES256
			file bench-ES256 $work/ES256.key
			file bench-RS256 $work/RS256.key
		}
		lifetimes {
			access_token 6h
			authorization_code 10m
		}
		user alice {
			password_hash $hash
			claim email alice@example.com
			claim name "Alice Liddell"
		}
		client machine {
			secret $secret
			grant_types client_credentials
			introspection api
			audience api
			scope read
		}
		client machine-opaque {
			secret $secret
			grant_types client_credentials
			audience api
			scope read
			access_token_format opaque
		}
		client rp {
			secret $secret
			redirect_uri $callback
			audience api
			scope openid profile email read
		}
		client rp-opaque {
			secret $secret
			redirect_uri $callback
			audience api
			scope read
			consent off
			access_token_format opaque
		}
	}
}
http://$(tokens_of) {
	bind 127.0.0.1
	auth_server
}
http://$(constants_of) {
	bind 127.0.0.1
	header Cache-Control no-store
	header /json/* Content-Type application/json
	header /json/* Pragma no-cache
	header /redirect Location $callback?code=$(x_of "${size[redirect]:-1}")
	header /redirect Referrer-Policy no-referrer
	respond /redirect 303
CADDYFILE
		for name in "${!size[@]}"; do
			printf '\trespond /json/%s %s\n' "$name" "$(x_of "${size[$name]}")"
		done
		echo '}'
	} >"$work/server.caddyfile"
}

# ask PATH FORM prints the answer to a form.
ask() { curl -fsS "http://$(tokens_of)$1" -d "$2" || die "$1 is not answered"; }

# member NAME prints a text of a JSON object.
member() { sed -E "s/.*\"$1\":\"([^\"]*)\".*/\1/"; }

# authorized SCOPE [CLIENT] prints where alice's browser is sent.
authorized() {
	local to
	to=$(curl -fsS -o /dev/null -w '%{redirect_url}' -b "$work/alice" "http://$(tokens_of)/authorize?${asked%rp&scope=}${2:-rp}&scope=$1")
	[[ $to == "$callback"* ]] || die "alice is sent to '$to'"
	echo "$to"
}

# bought SCOPE [CLIENT] prints what a code buys.
bought() {
	local code
	code=$(authorized "$@" | sed -E 's/.*[?&]code=([^&]*).*/\1/')
	ask /token "grant_type=authorization_code&${party%rp}${2:-rp}&redirect_uri=$callback&code_verifier=$verifier&code=$code"
}

# sign_alice_in signs alice in, and lets rp have what it asks for once and for all.
sign_alice_in() {
	local page fields
	curl -fsS -o /dev/null -c "$work/alice" -H 'Content-Type: application/json' -d '{"username":"alice","password":"wonderland"}' \
		"http://$(tokens_of)/login" || die 'alice cannot sign in'
	page=$(curl -fsS -L -b "$work/alice" "http://$(tokens_of)/authorize?${asked}openid+profile+email+read" | sed 's/&amp;/\&/g; s/&#43;/+/g')
	mapfile -t fields < <(sed -nE 's/.*<input type="hidden" name="([^"]*)" value="([^"]*)".*/\1=\2/p' <<<"$page")
	((${#fields[@]} == 2)) || die "no page that asks for consent: $page"
	curl -fsS -o /dev/null -b "$work/alice" -H "Origin: http://$(tokens_of)" --data-urlencode "${fields[0]}" --data-urlencode "${fields[1]}" \
		-d decision=allow "http://$(tokens_of)/consent" || die 'consent is not taken'
	awk '/\t/ && $6 { sub(/^#HttpOnly_/, ""); printf "%s%s=%s", n++ ? "; " : "\t", $6, $7 } END { print "" }' "$work/alice" >"$work/alice.cookie"
}

# start_server starts the authorization server, signs alice in, and measures the answers that constants stand for.
start_server() {
	local i
	[[ -z ${pid[server]:-} ]] || return 0
	write_server_config
	mkdir -p "$work/server"
	XDG_DATA_HOME=$work/server/data XDG_CONFIG_HOME=$work/server/config "${server_core[@]}" \
		"$work/caddy" run --config "$work/server.caddyfile" --adapter caddyfile >"$work/server.out" 2>&1 &
	pid[server]=$!
	wait_for "$(tokens_of)" server
	sign_alice_in
	bought openid+profile+email+read >"$work/bought"
	member access_token <"$work/bought" >"$work/alice.token"
	for ((i = 0; i < connections; i++)); do
		bought read | member refresh_token
	done >"$work/refresh"
	size=(
		[credentials]=$(ask /token "grant_type=client_credentials&$machine" | wc -c)
		[code]=$(wc -c <"$work/bought")
		[refresh]=$(bought read | wc -c)
		[introspection]=$(ask /introspect "$machine&token=$(cat "$work/alice.token")" | wc -c)
		[userinfo]=$(curl -fsS -H "Authorization: Bearer $(cat "$work/alice.token")" "http://$(tokens_of)/userinfo" | wc -c)
		[redirect]=$(authorized read | sed "s|^$callback[?]code=||" | wc -c)
	)
	for i in "${!size[@]}"; do
		((size[$i] > 20)) || die "the answer to $i has ${size[$i]} bytes"
	done
	write_server_config
	reload server "$server_base"
}

code_form="grant_type=authorization_code&$party&redirect_uri=$callback&code_verifier=$verifier"

# get_codes puts as many codes aside as a turn redeems at most; those of a turn before may be used up.
get_codes() {
	flow 60 "http://$(tokens_of)/authorize?${asked}openid+profile+email+read" -tokens "$work/alice.cookie" -status 303 -n $((slice * 1000)) \
		-codes "$work/codes" >/dev/null || die 'no codes'
}

# beside_floor FILE ARM MICROSECONDS is the median over rounds of an arm's CPU per request by that of its constant and some more.
beside_floor() {
	awk -v a="$2" -v b="$2-floor" -v more="$3" '$2 == a { x[$1] = $4 } $2 == b { y[$1] = $4 + more } END { for (r in x) print x[r] / y[r] }' "$1" | median
}

part_server() {
	local arm es rs more form tool=load length=
	start_server
	say 'server: raw signatures'
	go_bench "$(go_package RawDecode)" '^BenchmarkRawSign$/^(RS256|ES256)$' >"$work/server.sign"
	es=$(awk -v ns="$(cpu_ns "$work/server.sign" RawSign/ES256)" 'BEGIN { print ns / 1000 }')
	rs=$(awk -v ns="$(cpu_ns "$work/server.sign" RawSign/RS256)" 'BEGIN { print ns / 1000 }')
	arms=()
	server_arm credentials /token /json/credentials 'client credentials' "-form grant_type=client_credentials&$machine"
	server_arm code /token /json/code 'code redemption, with an ID token' "-form $code_form -each $work/codes"
	prepares[code]=get_codes
	sends[code-floor]="-form $code_form&$(get_codes && head -n 1 "$work/codes")" # every turn of it as long as the others
	form="-form grant_type=refresh_token&$party"
	server_arm refresh /token /json/refresh refresh "$form -refresh $work/refresh"
	sends[refresh-floor]="$form&refresh_token=$(head -n 1 "$work/refresh")" # it has no successor
	server_arm introspection /introspect /json/introspection 'introspection, the token seen before' "$(introspection_form)"
	server_arm userinfo /userinfo /json/userinfo userinfo "-tokens $work/alice.token"
	server_arm authorize "/authorize?${asked}read" /redirect 'authorize, signed in, allowed before' "-tokens $work/alice.cookie -status 303"
	interleave turn "$work/server.turns"
	{
		echo "SQLite on disk. The floor is Caddy's \`respond\` with as many bytes to the same request, and the raw signatures of the answer: ES256" \
			"$(printf '%.0f us, RS256 %.0f us' "$es" "$rs") of CPU (Go benchmark, same core)."
		echo
		echo '| arm | requests/s | CPU us/request | constant | signatures | x floor |'
		echo '| --- | --- | --- | --- | --- | --- |'
		for arm in credentials code refresh introspection userinfo authorize; do
			more=$(signatures "$arm" "$es" "$rs")
			printf '| %s | %.0f | %.0f | %.0f | %.0f | %.3f |\n' "${title[$arm]}" "$(column "$work/server.turns" "$arm" 3 | median)" \
				"$(column "$work/server.turns" "$arm" 4 | median)" "$(column "$work/server.turns" "$arm-floor" 4 | median)" "$more" \
				"$(beside_floor "$work/server.turns" "$arm" "$more")"
		done
		echo
		judge 11 'CPU of client credentials with ES256, by its floor' "$(beside_floor "$work/server.turns" credentials "$es")" most 2.0
		judge 11 'CPU of introspection of a token seen before, by a constant answer' "$(beside_floor "$work/server.turns" introspection 0)" most 1.5
		echo
		echo 'How many statements a redirect of `/authorize` and a code cost, `TestRoundTripsOfLoginAndRefresh` counts.'
	} | fragment 11 server
}

introspection_form() { echo "-form $machine&token=$(cat "$work/alice.token")"; }

# server_arm NAME PATH CONSTANT TITLE FLAGS is an arm of the authorization server and its floor.
server_arm() {
	arm "$1" server "$(tokens_of)$2" none "$4"
	sends "$1" "$5"
	arm "$1-floor" server "$(constants_of)$3" none "constant as large as $4"
	sends "$1-floor" "$5"
}

# signatures ARM ES256 RS256 are the microseconds of what an arm's answer has to be signed with.
signatures() {
	case $1 in
	credentials | refresh) echo "$2" ;;
	code) awk -v a="$2" -v b="$3" 'BEGIN { print a + b }' ;;
	*) echo 0 ;;
	esac
}

# --- another make ----------------------------------------------------------------------------------------------------------------

provider_at() { at $((server_base + 4)); }

# install_provider puts the packages of bench/provider, and the script, where they are kept for all runs.
install_provider() {
	mkdir -p "$provider_packages"
	if ! cmp -s "$root/bench/provider/package-lock.json" "$provider_packages/installed.json"; then
		say 'provider: npm ci'
		cp "$root/bench/provider/package.json" "$root/bench/provider/package-lock.json" "$provider_packages"
		(cd "$provider_packages" && npm ci --no-audit --no-fund --ignore-scripts) >"$work/npm" 2>&1 || die "npm ci: $(tail -n 5 "$work/npm")"
		cp "$root/bench/provider/package-lock.json" "$provider_packages/installed.json"
	fi
	cp "$root/bench/provider/server.mjs" "$provider_packages"
}

start_provider() {
	local i id
	command -v node >/dev/null || die 'provider: node is not installed'
	install_provider
	NODE_ENV=production "${server_core[@]}" node "$provider_packages/server.mjs" "$(provider_at | sed 's/.*://')" "$secret" "$connections" \
		>"$work/provider.out" 2>&1 &
	pid[provider]=$!
	for ((i = 0; i < 100; i++)); do
		! grep -qs '^ready$' "$work/provider.out" || break
		kill -0 "${pid[provider]}" 2>/dev/null || die "provider ended early: $(tail -n 3 "$work/provider.out")"
		sleep 0.1
	done
	for id in rp rp-opaque; do
		awk -v id="$id" '$1 == id { print $2 }' "$work/provider.out" >"$work/provider.$id"
		[[ $(wc -l <"$work/provider.$id") == "$connections" ]] || die "provider: no refresh tokens: $(tail -n 3 "$work/provider.out")"
	done
}

# part_provider: the same requests to both, for the same formats of access tokens. README.md says what each does for them.
part_provider() {
	local arm kind format version i tool=load length=
	start_server
	for ((i = 0; i < connections; i++)); do
		bought read rp-opaque | member refresh_token
	done >"$work/refresh-opaque"
	start_provider
	version=$(sed -nE 's/.*"oidc-provider": "([^"]*)".*/\1/p' "$root/bench/provider/package.json")
	arms=()
	provider_arms gateway provider
	interleave turn "$work/provider.turns"
	{
		echo "oidc-provider $version on node $(node --version), everything in memory; the gateway on SQLite on disk. Access tokens that" \
			"are JWTs have a signature of ES256 in both; each refresh token is used once and replaced."
		echo
		echo '| arm | requests/s | CPU us/request | gateway by oidc-provider, requests/s | CPU, oidc-provider by gateway |'
		echo '| --- | --- | --- | --- | --- |'
		for arm in "${arms[@]}"; do
			printf '| %s | %.0f | %.0f | %.2f | %.2f |\n' "${title[$arm]}" "$(column "$work/provider.turns" "$arm" 3 | median)" \
				"$(column "$work/provider.turns" "$arm" 4 | median)" \
				"$(ratio "$work/provider.turns" "gateway-${arm#*-}" "provider-${arm#*-}")" \
				"$(ratio "$work/provider.turns" "provider-${arm#*-}" "gateway-${arm#*-}" 4)"
		done
		echo
		for kind in credentials refresh; do
			for format in jwt opaque; do
				judge 11 "${names[$kind]}, $format, per second, by oidc-provider" \
					"$(ratio "$work/provider.turns" "gateway-$kind-$format" "provider-$kind-$format")" least 3
			done
		done
	} | fragment 11 provider
	stop provider
}

declare -A names=([credentials]='client credentials' [refresh]='refreshes')

# provider_arms MAKE... are the arms of these makes, of all kinds and formats.
provider_arms() {
	local kind format make suffix
	for kind in credentials refresh; do
		for format in jwt opaque; do
			suffix=$([[ $format == jwt ]] || echo -opaque)
			for make in "$@"; do
				provider_arm
			done
		done
	done
}

# provider_arm is the arm of a make, a kind of request and a format of access tokens.
provider_arm() {
	local name=$make-$kind-$format url kept=$work/refresh$suffix
	case $make in
	gateway) url=$(tokens_of)/token ;;
	provider) url=$(provider_at)/token kept=$work/provider.rp$suffix ;;
	esac
	arm "$name" "${make/gateway/server}" "$url" none "${names[$kind]}, $format: ${make/provider/oidc-provider}"
	case $kind in
	credentials) sends "$name" "-form grant_type=client_credentials&scope=read&client_secret=$secret&client_id=machine$suffix" ;;
	refresh) sends "$name" "-form grant_type=refresh_token&client_secret=$secret&client_id=rp$suffix -refresh $kept" ;;
	esac
}
