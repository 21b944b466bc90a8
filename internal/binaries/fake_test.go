package binaries

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// fake is a component that a copy of the test's own binary is: what stands behind its end makes it one. So it is a real
// program with a version, which runs as a process, has a file that can be replaced, and serves what the real one serves.
type fake struct {
	Component string
	Version   string
	Flags     []string // that it knows
	Fault     string   // crash: it ends at once; unready: it says no; mute: it does not listen; late: it ends a moment after it served
	Log       string   // where it writes that it served without being a unit
}

const fakeMark = "\n\x00pawl fake component\x00"

// TestMain makes a copy of the test's binary what stands behind its end.
func TestMain(m *testing.M) {
	if f, ok := ownFake(); ok {
		f.main(os.Args[1:])
		os.Exit(0)
	}
	code := m.Run()
	if err := checkSudoers(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func ownFake() (f fake, ok bool) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return f, false
	}
	defer func() { _ = self.Close() }()
	const most = 2048
	if _, err := self.Seek(-most, io.SeekEnd); err != nil {
		return f, false
	}
	end, err := io.ReadAll(self)
	i := bytes.LastIndex(end, []byte(fakeMark))
	if err != nil || i < 0 {
		return f, false
	}
	return f, json.Unmarshal(end[i+len(fakeMark):], &f) == nil
}

// write makes the program.
func (f fake) write(t testing.TB, file string) {
	t.Helper()
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	end, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, slices.Concat(self, []byte(fakeMark), end), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (f fake) main(args []string) {
	switch {
	case f.Component == upgrade.CNIPlugins:
		fmt.Fprintf(os.Stderr, "CNI loopback plugin %s\nCNI protocol versions supported: 0.1.0, 1.1.0\n", f.Version)
		return
	case slices.Contains(args, "--version"), len(args) > 0 && args[0] == "version":
		f.sayVersion()
		return
	case f.Component == upgrade.Etcdctl:
		f.etcdctl(args)
		return
	case f.Component == upgrade.Etcdutl:
		f.etcdutl(args)
		return
	}
	flags := map[string]string{}
	help := false
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if name == "help" {
			help = true
			continue
		}
		if !slices.Contains(f.Flags, name) {
			f.die("Error: unknown flag: --" + name)
		}
		if name == "secure-port" && strings.Trim(value, "0123456789") != "" {
			f.die(fmt.Sprintf("Error: invalid argument %q for \"--secure-port\" flag: strconv.ParseInt: parsing %q: invalid syntax", value, value))
		}
		flags[name] = value
	}
	if help {
		fmt.Println("Usage: " + f.Component)
		return
	}
	f.serve(flags)
}

func (f fake) die(line string) {
	fmt.Fprintln(os.Stderr, line)
	os.Exit(1)
}

func (f fake) sayVersion() {
	number := strings.TrimPrefix(f.Version, "v")
	switch f.Component {
	case upgrade.Etcd:
		fmt.Printf("etcd Version: %s\nGit SHA: 1234567\nGo Version: go1.25.1\n", number)
	case upgrade.Etcdctl, upgrade.Etcdutl:
		fmt.Printf("%s version: %s\nAPI version: 3.6\n", f.Component, number)
	case upgrade.Kubectl:
		fmt.Printf("Client Version: %s\nKustomize Version: v5.7.1\n", f.Version)
	case upgrade.Containerd:
		fmt.Printf("containerd github.com/containerd/containerd/v2 %s 0123\n", f.Version)
	case upgrade.Runc:
		fmt.Printf("runc version %s\nspec: 1.2.1\n", number)
	default:
		fmt.Printf("Kubernetes %s\n", f.Version)
	}
}

func (f fake) serve(flags map[string]string) {
	if os.Getenv("FAKE_UNIT") == "" {
		if log, err := os.OpenFile(f.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
			fmt.Fprintln(log, f.Component, f.Version, os.Args)
		}
	}
	switch f.Fault {
	case "crash":
		f.die("FLAG: --token=\"secret\"\npanic: it cannot go on")
	case "mute":
		time.Sleep(time.Hour) // and not for ever, which the runtime takes for a deadlock
	}
	if f.Component == upgrade.Containerd {
		time.Sleep(time.Hour) // and not for ever, which the runtime takes for a deadlock
	}
	mux := http.NewServeMux()
	health := func(w http.ResponseWriter, _ *http.Request) {
		if f.Fault == "unready" {
			http.Error(w, "[-]etcd failed: reason withheld", http.StatusInternalServerError)
		}
		if f.Fault == "late" {
			time.AfterFunc(time.Millisecond, func() { f.die("panic: later") })
		}
	}
	mux.HandleFunc("/healthz", health)
	mux.HandleFunc("/readyz", health)
	mux.HandleFunc("/version", func(w http.ResponseWriter, r *http.Request) {
		if flags["anonymous-auth"] == "false" && len(r.TLS.PeerCertificates) == 0 {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"gitVersion": f.Version})
	})
	address, secure := net.JoinHostPort("127.0.0.1", flags["secure-port"]), true
	if port := flags["healthz-port"]; port != "" {
		address, secure = net.JoinHostPort("127.0.0.1", port), false
	}
	if url := flags["advertise-client-urls"]; url != "" {
		address, secure = strings.TrimPrefix(url, "http://"), false
	}
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: time.Minute}
	if !secure {
		f.die(fmt.Sprint(server.ListenAndServe()))
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{selfSigned()}, ClientAuth: tls.RequestClientCert}
	f.die(fmt.Sprint(server.ListenAndServeTLS("", "")))
}

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// etcdctl is one that asks the fake etcd over HTTP.
func (f fake) etcdctl(args []string) {
	endpoint := ""
	var words []string
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--endpoints="); ok {
			endpoint = value
		} else if !strings.HasPrefix(arg, "--") {
			words = append(words, arg)
		}
	}
	get := func(page string) []byte {
		r, err := http.Get(endpoint + page)
		if err != nil {
			f.die("Error: " + err.Error())
		}
		defer func() { _ = r.Body.Close() }()
		if r.StatusCode != http.StatusOK {
			f.die("Error: unhealthy cluster")
		}
		body, _ := io.ReadAll(r.Body)
		return body
	}
	switch strings.Join(words[:2], " ") {
	case "endpoint health":
		get("/healthz")
		fmt.Println(endpoint + " is healthy")
	case "member list":
		get("/healthz")
		fmt.Printf(`{"members":[{"ID":10276657743932975437,"name":"a","peerURLs":["x"],"clientURLs":[%q]}]}`, endpoint)
	case "endpoint status":
		var says struct{ GitVersion string }
		_ = json.Unmarshal(get("/version"), &says)
		fmt.Printf(`[{"Endpoint":%q,"Status":{"header":{"member_id":10276657743932975437},"version":%q,"leader":10276657743932975437}}]`, endpoint,
			strings.TrimPrefix(says.GitVersion, "v"))
	case "snapshot save":
		get("/healthz")
		if err := os.WriteFile(words[2], []byte("snapshot"), 0o644); err != nil {
			f.die(err.Error())
		}
	}
}

func (f fake) etcdutl(args []string) {
	text, err := os.ReadFile(args[2])
	if err != nil || string(text) != "snapshot" {
		f.die("Error: snapshot file is broken")
	}
	fmt.Println(`{"hash":7,"revision":42,"totalKey":3,"totalSize":8,"version":"3.6.0"}`)
}
