package upgrade

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Amount is a number of nodes, or a percentage of a pool's. Its zero value is "not said".
type Amount struct {
	Number  int
	Percent bool
}

// AtMost is a number of nodes.
func AtMost(nodes int) Amount { return Amount{Number: nodes} }

// ParseAmount reads 2 or 25%.
func ParseAmount(text string) (Amount, error) {
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || percent && n > 100 {
		return Amount{}, fmt.Errorf("is %q, wanted a number from 1, or a percentage like 25%%", text)
	}
	return Amount{n, percent}, nil
}

// Of is how many of so many nodes: a percentage rounded down, and at least 1.
func (a Amount) Of(nodes int) int {
	if a.Percent {
		return max(1, nodes*a.Number/100)
	}
	return max(1, a.Number)
}

// Or is the amount, or another where nothing is said.
func (a Amount) Or(other Amount) Amount {
	if a.Number == 0 {
		return other
	}
	return a
}

// String renders it as a person writes it.
func (a Amount) String() string {
	if a.Percent {
		return fmt.Sprintf("%d%%", a.Number)
	}
	return strconv.Itoa(a.Number)
}

// MarshalJSON writes a number, or a string for a percentage.
func (a Amount) MarshalJSON() ([]byte, error) {
	if a.Percent {
		return json.Marshal(a.String())
	}
	return json.Marshal(a.Number)
}

// UnmarshalJSON reads both.
func (a *Amount) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "0" || text == "null" { // not said
		*a = Amount{}
		return nil
	}
	parsed, err := ParseAmount(text)
	*a = parsed
	return err
}
