package devserver

import (
	"fmt"
	"net"
	"strconv"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

// startUI serves Temporal's web UI until the returned function is called.
func startUI(o Options) (stop func(), url string) {
	ui := uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: o.frontend(),
		Host:                o.UIIP,
		Port:                o.UIPort,
		EnableUI:            true,
		DefaultNamespace:    "default",
		HideLogs:            true,
		DisableNewsFetch:    true,                                // nothing leaves the machine
		CORS:                uiconfig.CORS{CookieInsecure: true}, // plain HTTP on loopback
	}))
	go func() { _ = ui.Start() }()
	return ui.Stop, fmt.Sprintf("http://%s", net.JoinHostPort(o.UIIP, strconv.Itoa(o.UIPort)))
}
