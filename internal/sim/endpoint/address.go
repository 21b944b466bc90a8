package endpoint

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// given are the ports that FreeAddress has handed out: none is handed out twice, whether it is listened on yet or not.
var given struct {
	sync.Mutex
	ports map[int]bool
}

// FreeAddress finds a port on the loopback interface that nobody listens on, outside the range from which outgoing
// connections get theirs: a server that goes away for a while must find its port free when it comes back.
func FreeAddress() (string, error) {
	const lowest, highest = 20000, 32000 // Linux hands out 32768 and up, macOS 49152 and up
	given.Lock()
	defer given.Unlock()
	if given.ports == nil {
		given.ports = map[int]bool{}
	}
	for range 1000 {
		port := lowest + rand.IntN(highest-lowest)
		if given.ports[port] {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			given.ports[port] = true
			return l.Addr().String(), l.Close()
		}
	}
	return "", errors.New("find a free port on 127.0.0.1: none of a thousand tried is free")
}
