package codec

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"go.temporal.io/sdk/converter"
)

// Access says who may ask a codec server.
type Access struct {
	// Origins are the pages that a browser may ask from, like https://temporal.example.org.
	Origins []string
	// Token is what must be said to be let in; "" lets in everybody who gets through to the server.
	Token string
}

// Handler answers /encode and /decode, as Temporal's UI and CLI ask them.
// Source: https://docs.temporal.io/codec-server
func (c *Codec) Handler(a Access) http.Handler {
	codec := converter.NewPayloadCodecHTTPHandler(c)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		// Browsers name the page that asks, also where a name was made to lead to this machine (DNS rebinding).
		if origin := r.Header.Get("Origin"); origin != "" {
			if !slices.Contains(a.Origins, origin) {
				http.Error(w, "pages of "+origin+" may not ask here; see --origin", http.StatusForbidden)
				return
			}
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Allow-Credentials", "true")
			w.Header().Add("Vary", "Origin")
		}
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "POST, OPTIONS")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Namespace")
			w.Header().Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if !a.lets(r.Header.Get("Authorization")) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "wanted the header Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		codec.ServeHTTP(w, r)
	})
}

// lets compares in a time that does not depend on what was said.
func (a Access) lets(header string) bool {
	if a.Token == "" {
		return true
	}
	said, _ := strings.CutPrefix(header, "Bearer ")
	is, wanted := sha256.Sum256([]byte(said)), sha256.Sum256([]byte(a.Token))
	return subtle.ConstantTimeCompare(is[:], wanted[:]) == 1
}
