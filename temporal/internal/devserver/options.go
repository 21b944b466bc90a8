package devserver

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/dynamicconfig"
)

// Options say where the server listens and what it stores where.
type Options struct {
	File       string // the SQLite file
	IP         string
	Port       int
	UIIP       string // "" is IP
	UIPort     int    // 0 is Port + 1000
	Headless   bool
	Namespaces []string // besides "default"
	LogLevel   string   // "never" is silence

	DynamicConfig    map[dynamicconfig.Key]any
	SearchAttributes map[string]enumspb.IndexedValueType

	// Ready is called once, when the server answers.
	Ready func(Addresses)
}

// Addresses tell where a ready server is.
type Addresses struct {
	Frontend string // host:port
	UI       string // URL; "" without one
}

func (o *Options) complete() error {
	if o.File == "" {
		return fmt.Errorf("start-dev: no --db-filename: name the file that is to hold the workflows")
	}
	if o.IP == "" {
		o.IP = "127.0.0.1"
	}
	if o.UIIP == "" {
		o.UIIP = o.IP
	}
	for flag, ip := range map[string]string{"--ip": o.IP, "--ui-ip": o.UIIP} {
		if net.ParseIP(ip) == nil {
			return fmt.Errorf("start-dev: %s %q is not an IP address", flag, ip)
		}
	}
	if o.UIPort == 0 {
		o.UIPort = o.Port + 1000
	}
	if o.LogLevel == "" {
		o.LogLevel = "warn"
	}
	return nil
}

// namespaces are the ones to create: "default" and the ones asked for.
func (o *Options) namespaces() []string {
	all := []string{"default"}
	for _, n := range o.Namespaces {
		if n != "default" {
			all = append(all, n)
		}
	}
	return all
}

func (o *Options) frontend() string { return net.JoinHostPort(o.IP, strconv.Itoa(o.Port)) }

// ParseDynamicConfig reads KEY=JSON pairs.
func ParseDynamicConfig(pairs []string) (map[dynamicconfig.Key]any, error) {
	m := map[dynamicconfig.Key]any{}
	for _, p := range pairs {
		key, text, ok := strings.Cut(p, "=")
		var value any
		if !ok || json.Unmarshal([]byte(text), &value) != nil {
			return nil, fmt.Errorf("start-dev: --dynamic-config-value %q, wanted KEY=JSON", p)
		}
		m[dynamicconfig.MakeKey(key)] = value
	}
	return m, nil
}

// ParseSearchAttributes reads NAME=TYPE pairs.
func ParseSearchAttributes(pairs []string) (map[string]enumspb.IndexedValueType, error) {
	m := map[string]enumspb.IndexedValueType{}
	for _, p := range pairs {
		name, kind, ok := strings.Cut(p, "=")
		value, err := enumspb.IndexedValueTypeFromString(kind)
		if !ok || err != nil {
			return nil, fmt.Errorf("start-dev: --search-attribute %q, wanted NAME=TYPE with a type such as Keyword", p)
		}
		m[name] = value
	}
	return m, nil
}
