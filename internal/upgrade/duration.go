package upgrade

import (
	"cmp"
	"fmt"
	"time"
)

// Duration is a time.Duration that people write as "10m" or "1h30m" in YAML and JSON.
type Duration time.Duration

// Std returns the standard library's duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Or is d, or the fallback when d is zero.
func (d Duration) Or(fallback time.Duration) time.Duration { return cmp.Or(d.Std(), fallback) }

// String renders "10m0s".
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration, wanted one like 10m or 1h30m", text)
	}
	*d = Duration(v)
	return nil
}
