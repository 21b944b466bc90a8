// Package fate is how fakes of AWS are served, and how a test decides what befalls each request.
//
// Rule: a fake deals with one request at a time, and what a test decides about the n-th befalls the n-th.
package fate

import (
	"net/http"
	"net/http/httptest"
	"sync"
)

// Fate is what happens to a request.
type Fate int

// The fates.
const (
	Answered  Fate = iota
	CutOff         // the connection breaks before anything is done
	Lost           // it is done, and the connection breaks before the answer
	Throttled      // it is refused as one too many
)

// Server serves a fake, and keeps count of what it was asked. Its fields are set before Serve, or with Do.
type Server struct {
	URL      string
	Requests int      // how many there were
	Done     []string // the actions that were carried out
	// Decide says what becomes of the n-th request, counted from 1. After is called when it has been dealt with, before its
	// answer.
	Decide func(n int, action string) Fate
	After  func(n int, action string)

	mu     sync.Mutex
	server *httptest.Server
}

// Serve serves on an address of this machine, until Close.
func (s *Server) Serve(h http.Handler) {
	s.server = httptest.NewServer(h)
	s.URL = s.server.URL
}

// Close ends it.
func (s *Server) Close() { s.server.Close() }

// Do changes or reads the fake between two requests.
func (s *Server) Do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Meet lets a request meet its fate: it is carried out, throttled, or comes to grief. A connection that breaks breaks by a
// panic.
func (s *Server) Meet(action string, carryOut, throttle func()) {
	s.mu.Lock()
	s.Requests++
	n, fate := s.Requests, Answered
	if s.Decide != nil {
		fate = s.Decide(n, action)
	}
	switch fate {
	case CutOff:
	case Throttled:
		throttle()
	default:
		carryOut()
		s.Done = append(s.Done, action)
	}
	after := s.After
	s.mu.Unlock()
	if after != nil {
		after(n, action)
	}
	if fate == CutOff || fate == Lost {
		panic(http.ErrAbortHandler)
	}
}
