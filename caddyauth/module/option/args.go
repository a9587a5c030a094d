package option

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Off is the word that turns an option off.
const Off = "off"

// One reads the one argument of an option.
func One(d *caddyfile.Dispenser, into *string) error {
	if !d.AllArgs(into) {
		return d.ArgErr()
	}
	return nil
}

// OneSecret is One for a value that no error may hold.
func OneSecret(d *caddyfile.Dispenser, into *string) error {
	word, args := d.Val(), d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("%s: it takes one value, not %d", word, len(args))
	}
	*into = args[0]
	return nil
}

// Some reads at least one argument and appends all of them.
func Some(d *caddyfile.Dispenser, into *[]string) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	*into = append(*into, args...)
	return nil
}

// None refuses arguments.
func None(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// OnOff reads an option whose value is the word on or off.
func OnOff(d *caddyfile.Dispenser) (on bool, err error) {
	word, args := d.Val(), d.RemainingArgs()
	if len(args) != 1 || args[0] != "on" && args[0] != Off {
		return false, d.Errf("%s: want on or off, not %q", word, strings.Join(args, " "))
	}
	return args[0] == "on", nil
}

// Flag reads an option that is on when it has no argument.
func Flag(d *caddyfile.Dispenser) (on bool, err error) {
	if d.CountRemainingArgs() == 0 {
		return true, nil
	}
	return OnOff(d)
}

// At adds the name and line of the Caddyfile to an error.
func At(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}
