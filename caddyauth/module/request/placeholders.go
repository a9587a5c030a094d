package request

import "github.com/caddyserver/caddy/v2"

// AnswerFirst has a function answer before everything that a replacer knows and everything that is
// set afterwards, as `basic_auth` sets {http.auth.user.id}.
//
// A replacer looks first into the table of what was set, and its look-up is bound to its address.
// So the one that comes first gets a table that stays empty, and the tables of what is set from now
// on and of what was set before are asked behind the function.
func AnswerFirst(repl *caddy.Replacer, first caddy.ReplacerFunc) {
	before := *repl
	empty := caddy.NewEmptyReplacer()
	layered := *empty
	*empty = *caddy.NewEmptyReplacer()
	layered.Map(first)
	layered.Map(lookUp(layered))
	layered.Map(lookUp(before))
	layered.Map(before.Get) // all but what was set
	*repl = layered
}

// lookUp answers what was and will be set in a replacer that is going to be changed.
func lookUp(repl caddy.Replacer) caddy.ReplacerFunc {
	bound := caddy.NewEmptyReplacer()
	set := *bound
	*bound = repl
	return set.Get
}
