package main

import (
	"bytes"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// authorities are those that Mozilla trusts, as the Go project publishes them: from a pinned module and not from the
// machine that packs. Those which Mozilla trusts for some certificates only are left out, since a PEM file cannot say so.
func authorities() ([]byte, error) {
	var out bytes.Buffer
	n := 0
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
		n++
	}
	if n == 0 {
		return nil, fmt.Errorf("list certificate authorities: there are none")
	}
	return out.Bytes(), nil
}
