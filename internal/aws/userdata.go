package aws

import (
	"os"
	"strings"
	"text/template"

	"al.essio.dev/pkg/shellescape"

	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// userDataMost is how long user data may be, says EC2, before it is encoded.
const userDataMost = 16 << 10

// joining is what the template of user data may use. It holds the token: neither it nor what is made of it is ever part of an
// error.
type joining struct {
	about
	Endpoint, Token, CACertHash, Zone string
}

// userData fills in the user data of a new machine, or returns "" where the launch template has it.
func (p *Instances) userData(r upgrade.Replacement, s upgrade.Slot, j upgrade.Join) (string, error) {
	const op = "fill in the user data"
	file := p.config.UserDataFile
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fault.Wrap(fault.InvalidInput, op, file, err, "put the file on the worker's machine")
	}
	t, err := template.New("userdata").Option("missingkey=error").Funcs(template.FuncMap{"quote": shellescape.Quote}).Parse(string(text))
	if err != nil {
		return "", fault.Wrap(fault.InvalidInput, op, file, err, "see docs/aws.md for what it may use")
	}
	var b strings.Builder
	if err := t.Execute(&b, joining{about: aboutRun(r), Endpoint: j.Endpoint, Token: j.Token, CACertHash: j.CACertHash, Zone: s.Old.Zone}); err != nil {
		if j.Token != "" && strings.Contains(err.Error(), j.Token) {
			return "", fault.New(fault.InvalidInput, op, file, "it cannot be filled in", "see docs/aws.md for what it may use")
		}
		return "", fault.Wrap(fault.InvalidInput, op, file, err, "see docs/aws.md for what it may use")
	}
	if b.Len() > userDataMost {
		return "", fault.New(fault.InvalidInput, op, file, "it is longer than the 16 KiB that EC2 takes", "have it fetch what is long")
	}
	return b.String(), nil
}
