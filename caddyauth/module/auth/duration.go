package auth

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// Duration is a length of time in the settings. In JSON it is a text such as `90s`, `15m`, `30d` or `1y` (a day has 24 hours, a year 365
// days), or a number of nanoseconds.
type Duration time.Duration

// UnmarshalJSON reads either form.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if len(data) == 0 || data[0] != '"' {
		return json.Unmarshal(data, (*int64)(d))
	}
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	value, err := project.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("duration %.40q: %w", text, err)
	}
	*d = Duration(value)
	return nil
}
