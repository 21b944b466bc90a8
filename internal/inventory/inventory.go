// Package inventory is all that a plan is made from, and the making of it: the plan itself by package upgrade, what its
// drains will do by package forecast.
//
// Rule: no I/O and no clock, so that a plan can be made again elsewhere, from one file and without any cluster.
package inventory

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/pawl-dev/pawl/internal/forecast"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

// Inventory is one observation of a cluster, and the parts of its definition that shape a plan. It holds no secrets.
type Inventory struct {
	Made      time.Time          `json:"made"`
	Cluster   upgrade.Cluster    `json:"cluster"`
	Settings  upgrade.Settings   `json:"settings"`
	Workloads forecast.Workloads `json:"workloads,omitzero"` // empty in inventories from before they were looked at
}

// Plan makes the plan to what is wanted, as it would have been made when the inventory was.
func (i Inventory) Plan(w upgrade.Wanted) upgrade.Plan {
	if w.Now.IsZero() {
		w.Now = i.Made
	}
	p := upgrade.MakePlan(i.Cluster, w, i.Settings)
	var found []upgrade.Finding
	p.Forecast, found = forecast.Make(p, i.Workloads)
	p.Findings = append(p.Findings, found...)
	return p
}

// Packed is an inventory that is compressed in JSON: a payload of Temporal's may have 2 MB, and an inventory of a large
// cluster has more.
type Packed struct{ Inventory }

// packed is what it is in JSON.
type packed struct {
	Gzip []byte `json:"gzip"` // JSON of an Inventory
}

// MarshalJSON packs.
func (p Packed) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(p.Inventory); err != nil {
		return nil, fmt.Errorf("pack inventory: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("pack inventory: %w", err)
	}
	return json.Marshal(packed{b.Bytes()})
}

// mostUnpacked bounds what is unpacked, in bytes: far more than any cluster's.
const mostUnpacked = 1 << 30

// UnmarshalJSON unpacks.
func (p *Packed) UnmarshalJSON(text []byte) error {
	var in packed
	if err := json.Unmarshal(text, &in); err != nil {
		return fmt.Errorf("unpack inventory: %w", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(in.Gzip))
	if err != nil {
		return fmt.Errorf("unpack inventory: %w", err)
	}
	if err := json.NewDecoder(io.LimitReader(z, mostUnpacked)).Decode(&p.Inventory); err != nil {
		return fmt.Errorf("unpack inventory: %w", err)
	}
	return nil
}
