package devserver

import (
	"fmt"
	"net"
	"net/url"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
)

const clusterName = "active"

// defaults are the server's settings that differ from Temporal's own: one machine, one SQLite connection, few
// workflows, each of which should move at once.
func defaults() map[dynamicconfig.Key]any {
	return map[dynamicconfig.Key]any{
		// The default of 20 holds a sequential workflow to one activity in 50 ms.
		dynamicconfig.TransferProcessorMaxPollRPS.Key(): 100,
		// Partitions serve throughput across machines. With one, whoever asks who polls a queue hears of everybody.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		// Search attributes count from the moment they are registered.
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
	}
}

// sqlConfig describes one SQLite file. The attributes that are not SQLite's own URI parameters become pragmas.
func sqlConfig(file string, pragmas map[string]string) *config.SQL {
	attributes := map[string]string{"mode": "rwc"}
	for k, v := range pragmas {
		attributes[k] = v
	}
	return &config.SQL{
		PluginName:        sqlite.PluginName,
		DatabaseName:      (&url.URL{Path: file}).EscapedPath(), // it goes into a URI
		ConnectAttributes: attributes,
		MaxConns:          1, // more were slower, and ran into each other's locks
		MaxIdleConns:      1,
	}
}

// durable are the pragmas under which an acknowledged write survives kill -9 and a power cut.
var durable = map[string]string{"journal_mode": "wal", "synchronous": "full", "busy_timeout": "10000"}

func serverConfig(o Options, internal map[primitives.ServiceName]int) *config.Config {
	services := map[string]config.Service{
		string(primitives.FrontendService): {RPC: config.RPC{GRPCPort: o.Port, BindOnIP: o.IP}},
	}
	for name, port := range internal {
		services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: port, BindOnLocalHost: true}}
	}
	none := config.ArchivalNamespaceDefaults{
		History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
		Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
	}
	return &config.Config{
		Global: config.Global{
			Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: "127.0.0.1"},
		},
		Persistence: config.Persistence{
			DefaultStore:     sqlite.PluginName,
			VisibilityStore:  sqlite.PluginName,
			NumHistoryShards: 1, // fixed for the life of the file
			DataStores:       map[string]config.DataStore{sqlite.PluginName: {SQL: sqlConfig(o.File, durable)}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{clusterName: {
				Enabled:                true,
				InitialFailoverVersion: 1,
				RPCAddress:             o.frontend(),
			}},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            services,
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: none},
		PublicClient:      config.PublicClient{HostPort: o.frontend()},
	}
}

// hosts tell the services where the others are, so that they need no membership protocol between them.
func hosts(o Options, internal map[primitives.ServiceName]int) map[primitives.ServiceName]static.Hosts {
	m := map[primitives.ServiceName]static.Hosts{primitives.FrontendService: static.SingleLocalHost(o.frontend())}
	for name, port := range internal {
		m[name] = static.SingleLocalHost(net.JoinHostPort("127.0.0.1", fmt.Sprint(port)))
	}
	return m
}
