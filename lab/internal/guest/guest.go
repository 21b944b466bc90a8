// Package guest carries the source of the two programs that run inside the
// lab's pods: the pause container and the web service. Rule: they use the
// standard library only, so that the lab can build them anywhere.
package guest

import _ "embed"

// Pause is the source of the program that holds a pod's namespaces.
//
//go:embed pause/main.go
var Pause []byte

// Web is the source of the sample service.
//
//go:embed web/main.go
var Web []byte
