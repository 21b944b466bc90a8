package integration

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pawl-dev/pawl/internal/sim/endpoint"
)

// postgres is a PostgreSQL as a distribution packages it, with a data folder, a port and a password of its own.
type postgres struct {
	program
	bin, dir, port, password string
}

// PostgreSQL's ways to stop. Source: https://www.postgresql.org/docs/current/server-shutdown.html
const (
	fastStop      = syscall.SIGINT
	immediateStop = syscall.SIGQUIT // as a crash: the next start recovers from the write-ahead log
)

// startPostgres makes databases for nobody yet, and starts their server.
func startPostgres() (*postgres, error) {
	p := &postgres{password: rand.Text()}
	var err error
	if p.bin, err = postgresBin(); err != nil {
		return nil, err
	}
	if p.dir, err = os.MkdirTemp("", "pawl-postgres-"); err != nil {
		return nil, err
	}
	address, err := endpoint.FreeAddress()
	if err != nil {
		return nil, err
	}
	_, p.port, _ = net.SplitHostPort(address)
	if os.Getuid() == 0 { // it refuses root
		if p.as, err = unprivileged("postgres"); err != nil {
			return nil, err
		}
		if err := os.Chown(p.dir, int(p.as.Uid), int(p.as.Gid)); err != nil {
			return nil, err
		}
	}
	p.path = filepath.Join(p.bin, "postgres")
	p.args = []string{"-D", p.data(), "-p", p.port, "-k", p.dir, "-c", "listen_addresses=127.0.0.1"}
	p.log = p.dir + ".log"
	return p, p.create()
}

func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

// create makes the data folder, starts the server and makes the role that Temporal uses.
func (p *postgres) create() error {
	file := filepath.Join(p.dir, "password")
	if err := os.WriteFile(file, []byte(p.password), 0o600); err != nil {
		return err
	}
	defer os.Remove(file)
	if p.as != nil {
		if err := os.Chown(file, int(p.as.Uid), int(p.as.Gid)); err != nil {
			return err
		}
	}
	initdb := exec.Command(filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", "postgres", "-A", "scram-sha-256", "--no-sync", "--pwfile="+file)
	initdb.Dir = "/" // which it may read, whoever it is
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := p.start(); err != nil {
		return err
	}
	_, err := p.sql("postgres", "postgres", fmt.Sprintf("CREATE ROLE temporal LOGIN CREATEDB PASSWORD '%s'", p.password))
	return err
}

// start returns when the server takes connections.
func (p *postgres) start() error {
	if err := p.program.start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(3 * time.Minute); p.client("postgres", "pg_isready", "-q") != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(p.log)
			return fmt.Errorf("PostgreSQL takes no connections: %s", log)
		}
	}
	return nil
}

// client runs one of PostgreSQL's own clients.
func (p *postgres) client(role, name string, args ...string) error {
	_, err := p.ask(role, "", name, args...)
	return err
}

// sql runs a statement and returns what it answers, without a table around it. No process list shows it.
func (p *postgres) sql(role, database, statement string) (string, error) {
	return p.ask(role, statement, "psql", "-d", database, "-qtA", "-v", "ON_ERROR_STOP=1")
}

func (p *postgres) ask(role, stdin, name string, args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "PGHOST=127.0.0.1", "PGPORT="+p.port, "PGUSER="+role, "PGPASSWORD="+p.password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), nil
}

// lose removes all databases as a lost disk does, and makes a new, empty server in their place.
func (p *postgres) lose() error {
	if err := p.end(immediateStop); err != nil {
		return err
	}
	if err := os.RemoveAll(p.data()); err != nil {
		return err
	}
	return p.create()
}

func (p *postgres) remove() {
	_ = p.end(fastStop)
	_ = os.RemoveAll(p.dir)
	_ = os.Remove(p.log)
}

// postgresBin is the folder of the newest PostgreSQL's programs: Debian keeps them out of PATH.
func postgresBin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) })), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", fmt.Errorf("no PostgreSQL in /usr/lib/postgresql or PATH; run make deps")
	}
	path, err = filepath.EvalSymlinks(path)
	return filepath.Dir(path), err
}

// unprivileged is another user to run a program as.
func unprivileged(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
