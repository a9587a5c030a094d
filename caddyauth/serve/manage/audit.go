package manage

import (
	"errors"

	"github.com/caddyauth/gateway/caddyauth/domain/audit"
)

// entryBody is an entry of the audit trail as the API has it.
type entryBody struct {
	ID         string  `json:"id"`
	At         *string `json:"at"`
	Actor      string  `json:"actor"`
	Action     string  `json:"action"`
	Target     string  `json:"target"`
	TargetName string  `json:"target_name"`
	Project    string  `json:"project"`
	ClientIP   string  `json:"client_ip"`
	Result     string  `json:"result"`
	Detail     string  `json:"detail"`
}

func showEntry(e audit.Entry) entryBody {
	return entryBody{
		e.ID, rfc3339(e.At), e.Actor, e.Action, e.Target, e.TargetName, e.Project, e.ClientIP, e.Result, e.Detail,
	}
}

func (c *call) listEntries() (reply, error) {
	q, err := c.query("project", "actor", "action", "target", "result", "since", "until")
	if err != nil {
		return reply{}, err
	}
	slug, err := c.projectFilter(q)
	if err != nil {
		return reply{}, err
	}
	since, errSince := q.time("since")
	until, errUntil := q.time("until")
	if err := errors.Join(errSince, errUntil); err != nil {
		return reply{}, err
	}
	found, err := c.Audit.ListEntries(c.r.Context(), audit.Filter{
		Project: slug, Actor: q.values.Get("actor"), Action: q.values.Get("action"), Target: q.values.Get("target"),
		Result: q.values.Get("result"), Since: since, Until: until, Before: q.after, Limit: q.limit + 1,
	})
	if err != nil {
		return reply{}, err
	}
	return listOf(found, q.limit, showEntry, func(e audit.Entry) string { return e.ID }), nil
}
