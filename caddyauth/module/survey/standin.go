package survey

const (
	// StandInHeader is the response header of a static response that stands in for another handler:
	// `caddy auth explain` replaces handlers that would answer from outside the process. Its value
	// is the handler's name, and what it would have asked.
	StandInHeader = "Caddyauth-Explain"
	// StandInFastCGI ends the header's value for a proxy that speaks FastCGI.
	StandInFastCGI = " (FastCGI)"
)
