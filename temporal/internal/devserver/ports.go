package devserver

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"go.temporal.io/server/common/primitives"
)

// internalPorts finds a free loopback port for each service that only the others talk to.
func internalPorts() (map[primitives.ServiceName]int, error) {
	ports := map[primitives.ServiceName]int{}
	for _, name := range []primitives.ServiceName{
		primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("start-dev: no free loopback port: %w", err)
		}
		defer l.Close() // only when all are found, so that no two are the same
		ports[name] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// checkFree tells in one line when somebody else listens already; the services themselves would panic.
func checkFree(what, flag, ip string, port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("start-dev: port %d for the %s is taken on %s; end what listens there or choose another with %s",
			port, what, ip, flag)
	}
	if err != nil {
		return fmt.Errorf("start-dev: listen for the %s: %w", what, err)
	}
	return l.Close()
}
