package oauth

import (
	"errors"

	"github.com/caddyauth/gateway/caddyauth/domain/device"
	"github.com/caddyauth/gateway/caddyauth/domain/issuance"
)

// device answers a device that polls (RFC 8628, section 3.4).
func (c *call) device() (any, error) {
	raw := c.form["device_code"]
	if raw == "" {
		return nil, refuse(invalidRequest, "The parameter device_code is missing.")
	}
	issued, err := c.PollDevice(c.r.Context(), issuance.DevicePoll{
		Code:     raw,
		ClientID: c.client.ID,
		JKT:      c.jkt,
		X5T:      c.x5t,
		Now:      c.now,
	})
	if err != nil {
		return nil, c.deviceRefused(err)
	}
	c.event.Verdict, c.event.Session = string(device.Granted), issued.Grant.ID
	return c.grantedWithIDToken(issued, "")
}

// devicePending are the refusals that a device understands (RFC 8628, section 3.5).
var devicePending = map[device.Verdict]string{
	device.StillOpen: "Nobody has decided yet.",
	device.TooFast:   "The device asks too often: it has to wait five seconds longer between two polls.",
	device.Refused:   "The person refused it.",
	device.TooLate:   "The code has expired.",
}

// deviceRefused turns an error of devices into the answer. What is wrong with a code that is not the
// client's is for the event alone.
func (c *call) deviceRefused(err error) error {
	r, ok := errors.AsType[*issuance.DeviceRefusal](err)
	if !ok {
		return unavailable(err)
	}
	c.event.Verdict = string(r.Verdict)
	c.isAbout(r.Authorization.Project, r.Authorization.Subject)
	if text, known := devicePending[r.Verdict]; known {
		return refuse(string(r.Verdict), text)
	}
	return refuse(invalidGrant, "The device code is unknown, used or another client's.")
}
