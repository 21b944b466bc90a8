package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pawl-dev/pawl/internal/eks"
	"github.com/pawl-dev/pawl/internal/fault"
	"github.com/pawl-dev/pawl/internal/upgrade"
)

const definition = `name: lab
provider: kubeadm
kubeconfig: ./admin.conf          # paths relative to this file
ssh:
  user: root
  keyFile: ./id_ed25519
  knownHostsFile: /etc/ssh/known_hosts
  hosts: {w1: {address: 10.77.0.21}}
packages:
  repository: http://10.77.0.1/core:/stable:   # the mirror
kubeadm: {ignorePreflightErrors: [SystemVerification]}
workers: {strategy: rolling, maxUnavailable: 2}
drain: {timeout: 10m}
retry: {timeout: 2h}
verify: {timeout: 15m}
windows:
  timeZone: Europe/Zurich
  open:
    - {days: [sat, first sun], start: 22:00, duration: 6h}
    - {start: "02:30", duration: 90m}
  except: [2026-12-24, 2026-12-31/2027-01-02]
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o600))
	return dir
}

func TestLoad(t *testing.T) {
	dir := write(t, "lab", definition)
	c, err := Load(dir, "lab")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "admin.conf"), c.Kubeconfig)
	require.Equal(t, "/etc/ssh/known_hosts", c.SSH.KnownHostsFile)
	require.Equal(t, "10.77.0.21", c.SSH.Hosts["w1"].Address)
	s := c.Settings()
	require.Equal(t, "http://10.77.0.1/core:/stable:", s.Repository)
	require.Equal(t, []string{"SystemVerification"}, s.IgnorePreflightErrors)
	require.Equal(t, upgrade.AtMost(2), s.MaxUnavailable)
	require.Equal(t, 10*time.Minute, s.Drain.Timeout.Std())
	require.Equal(t, 2*time.Hour, s.Retry.Timeout.Std())
	require.Equal(t, 15*time.Minute, s.Verify.Timeout.Std())
	require.Equal(t, upgrade.Windows{
		TimeZone: "Europe/Zurich",
		Open: []upgrade.Window{{Days: []string{"sat", "first sun"}, Start: "22:00", Duration: upgrade.Duration(6 * time.Hour)},
			{Start: "02:30", Duration: upgrade.Duration(90 * time.Minute)}},
		Except: []string{"2026-12-24", "2026-12-31/2027-01-02"},
	}, s.Windows, "times and days may stand without quotes")
}

func TestLoadFillsInDefaults(t *testing.T) {
	c, err := Load(write(t, "a", "kubeconfig: k\nssh: {knownHostsFile: h}"), "a")
	require.NoError(t, err)
	require.Equal(t, "a", c.Name)
	require.Equal(t, "root", c.SSH.User)
	require.Equal(t, defaultRepository, c.Packages.Repository)
	require.Equal(t, upgrade.AtMost(1), c.Workers.MaxUnavailable)
	require.Equal(t, []upgrade.PoolSettings{{Name: upgrade.DefaultPool, Strategy: upgrade.Rolling, MaxUnavailable: upgrade.AtMost(1), Order: upgrade.ByName}}, c.Settings().Pools)
	require.Equal(t, upgrade.FewestDrains, c.Settings().WorkerPath)
	require.Equal(t, defaultDrainTimeout, c.Drain.Timeout.Std())
	require.Equal(t, 90*time.Minute, c.Retry.Timeout.Std())
	require.Equal(t, 10*time.Minute, c.Verify.Timeout.Std())
	require.False(t, c.Settings().Windows.Defined())
}

func TestEKSNeedsNoHosts(t *testing.T) {
	c, err := Load(write(t, "prod", "provider: eks\nkubeconfig: k\neks: {region: eu-north-1, restartFargate: true}\ncontrolPlane: {bake: 30m}\n"), "prod")
	require.NoError(t, err)
	require.Equal(t, eks.Config{Name: "prod", Region: "eu-north-1"}, c.EKS.Config)
	require.True(t, c.Settings().RestartFargate)
	require.Equal(t, upgrade.ProviderEKS, c.Settings().Provider)
	require.True(t, c.Settings().Managed())
	require.Equal(t, 30*time.Minute, c.Settings().Bake.Std())
}

func TestRepositoryMayBeWrittenBare(t *testing.T) {
	for _, line := range []string{
		"packages:\n  repository: https://x/core:/stable:",
		"packages:\n  repository: https://x/core:/stable:\r",
		"packages:\n  repository: https://x/core:/stable: # why",
		"packages: {repository: https://x/core:/stable:}",
		"packages: {repository: 'https://x/core:/stable:'}",
		"packages:\n  repository: \"https://x/core:/stable:\"",
	} {
		c, err := parse([]byte(line + "\nname: a\n"))
		require.NoError(t, err, line)
		require.Equal(t, "https://x/core:/stable:", c.Packages.Repository, line)
		require.Equal(t, "a", c.Name)
	}
}

func TestBadDefinitionsSayWhatWasWanted(t *testing.T) {
	const good = "kubeconfig: k\nssh: {knownHostsFile: h}\n"
	const byHand = "kubeconfig: k\nssh: {knownHostsFile: h, hosts: {cp1: {address: 10.0.0.1}}}\nprovider: binaries\n"
	for name, c := range map[string]struct{ text, want string }{
		"unknown field":    {good + "maxUnavailable: 1", `unknown field "maxUnavailable"`},
		"twice":            {good + "kubeconfig: k", `line 3: key "kubeconfig" is there twice, wanted once`},
		"other name":       {good + "name: b", `name: is "b", wanted "a" like the file`},
		"provider":         {good + "provider: gke", `provider: is "gke", wanted kubeadm, eks or binaries`},
		"eks of kubeadm":   {good + "eks: {name: prod}", "eks: is for provider: eks"},
		"no hosts":         {good + "provider: binaries", "binaries.controlPlane: is missing"},
		"no address":       {good + "provider: binaries\nbinaries: {controlPlane: [cp1]}", "ssh.hosts.cp1.address: is missing"},
		"binaries":         {good + "binaries: {controlPlane: [cp1]}", "binaries: is for provider: binaries"},
		"runc":             {good + "binaries: {runc: {version: v1.3.3}}", "binaries: is for provider: binaries"},
		"mirror alone":     {byHand + "binaries: {controlPlane: [cp1], runc: {mirror: 'https://m'}}", "binaries.runc.version: is missing"},
		"no mirror":        {byHand + "binaries: {controlPlane: [cp1], cni: {version: v1.9.1, mirror: m}}", `binaries.cni.mirror: is "m", wanted a URL like https://mirror.example.com/cni`},
		"no version":       {byHand + "binaries: {controlPlane: [cp1], containerd: {version: v2.3}}", `binaries.containerd.version: is "v2.3", wanted one like v2.3.7`},
		"etcd twice":       {byHand + "binaries: {controlPlane: [cp1], etcdVersions: [v3.7.0]}\netcd: {versions: [v3.7.0]}", "binaries.etcdVersions: is what etcd.versions says, too; leave it out"},
		"etcd mirrors":     {byHand + "binaries: {controlPlane: [cp1], etcdMirror: 'https://m'}\netcd: {mirror: 'https://m'}", "binaries.etcdMirror: is what etcd.mirror says, too; leave it out"},
		"etcd's version":   {byHand + "binaries: {controlPlane: [cp1]}\netcd: {versions: [v3.7]}", `etcd.versions: is "v3.7", wanted one like v3.7.0`},
		"no etcd hosts":    {good + "etcd: {versions: [v3.7.0]}", "etcd.hosts: is missing, wanted the hosts of an external etcd"},
		"unknown hosts":    {good + "etcd: {hosts: [e1]}", "ssh.hosts.e1.address: is missing, wanted the address of a host of etcd"},
		"etcd of eks":      {good + "provider: eks\netcd: {hosts: [e1]}", "etcd: is for provider: kubeadm or binaries"},
		"bake":             {good + "controlPlane: {bake: -1m}", "controlPlane.bake: is -1m0s"},
		"in place":         {good + "provider: eks\nworkers: {pools: [{name: a, selector: a=b}]}", "workers.pools[0].strategy: is \"rolling\", wanted addNewNodes"},
		"rest in place":    {good + "provider: eks\nworkers: {strategy: allAtOnce}", `workers.strategy: is "allAtOnce", wanted addNewNodes: nobody works on the machines of a managed cluster`},
		"no kubeconfig":    {"ssh: {knownHostsFile: h}", "kubeconfig: is missing"},
		"no known hosts":   {"kubeconfig: k", "ssh.knownHostsFile: is missing"},
		"strategy":         {good + "workers: {strategy: yolo}", `workers.strategy: is "yolo", wanted one of rolling, allAtOnce, addNewNodes`},
		"way of workers":   {good + "workers: {path: shortest}", `workers.path: is "shortest", wanted fewestDrains or everyMinor`},
		"max unavailable":  {good + "workers: {maxUnavailable: -1}", `workers.maxUnavailable: is "-1", wanted a number from 1, or a percentage like 25%`},
		"too many percent": {good + "workers: {maxUnavailable: 101%}", `workers.maxUnavailable: is "101%", wanted a number from 1`},
		"order":            {good + "workers: {order: size}", `workers.order: is "size", wanted one of name, zone, age, listed`},
		"nothing listed":   {good + "workers: {order: listed}", "workers.nodes: wanted names of nodes"},
		"selects the rest": {good + "workers: {selector: a=b}", "workers.selector: is \"a=b\", wanted none"},
		"names the rest":   {good + "workers: {name: batch}", `workers.name: is "batch", wanted none: it is for workers.pools`},
		"pool's name":      {good + "workers: {pools: [{name: A, selector: a=b}]}", `workers.pools[0].name: is "A"`},
		"name twice":       {good + "workers: {pools: [{name: a, selector: a=b}, {name: a, selector: a=c}]}", `workers.pools[1].name: "a" is taken`},
		"no selector":      {good + "workers: {pools: [{name: a}]}", "workers.pools[0].selector: is missing"},
		"bad selector":     {good + "workers: {pools: [{name: a, selector: 'a in b'}]}", "workers.pools[0].selector: "},
		"drain":            {good + "workers: {drain: true}", "workers.drain: is for strategy: allAtOnce"},
		"surge":            {good + "workers: {maxSurge: 1}", "workers: maxSurge, joinTimeout and provider are for strategy: addNewNodes"},
		"no provider":      {good + "workers: {strategy: addNewNodes}", "workers.provider: wanted one of asg, ec2, command and webhook"},
		"provider's":       {good + "workers: {strategy: addNewNodes, provider: {webhook: {}}}", "workers.provider.webhook: wanted one of url"},
		"duration":         {good + "drain: {timeout: soon}", `drain.timeout: "soon" is not a duration, wanted one like 10m or 1h30m`},
		"negative timeout": {good + "drain: {timeout: -1m}", "drain.timeout: is -1m0s"},
		"negative retry":   {good + "retry: {timeout: -1m}", "retry.timeout: is -1m0s, wanted a positive duration"},
		"negative verify":  {good + "verify: {timeout: -1m}", "verify.timeout: is -1m0s, wanted a positive duration"},
		"verify too long":  {good + "verify: {timeout: 2h}", "verify.timeout: is 2h0m0s, wanted at most retry.timeout (1h30m0s)"},
		"repository":       {good + "packages: {repository: pkgs}", "packages.repository: is \"pkgs\""},
		"windows":          {good + "windows: {timeZone: UTC, open: [{days: [someday], start: '22:00', duration: 1h}]}", `windows.open[0].days: is "someday", wanted one like sat, mon-fri`},
		"no time zone":     {good + "windows: {open: [{start: '22:00', duration: 1h}]}", `windows.timeZone: is "", wanted a name like Europe/Zurich`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, "a", c.text)
			_, err := Load(dir, "a")
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "a.yaml")
			require.Equal(t, fault.InvalidInput, fault.KindOf(err))
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestWhatHasVersionsOfItsOwn(t *testing.T) {
	settings := func(text string) upgrade.BinarySettings {
		c, err := Load(write(t, "a", "kubeconfig: k\nssh: {knownHostsFile: h, hosts: {cp1: {address: 10.0.0.1}, e1: {address: 10.0.0.2}}}\n"+text), "a")
		require.NoError(t, err)
		return c.Settings().Binaries
	}
	of := func(component, version string) upgrade.ComponentVersion {
		return upgrade.ComponentVersion{Component: component, Version: upgrade.MustVersion(version)}
	}
	etcd := []upgrade.Version{upgrade.MustVersion("v3.6.16"), upgrade.MustVersion("v3.7.0")}

	all := settings("provider: binaries\nbinaries: {controlPlane: [cp1], mirror: 'https://m/k8s', cni: {version: v1.9.1}, runc: {version: v1.3.3, mirror: 'https://m/runc'}, containerd: {version: v2.3.7}}\n" +
		"etcd: {hosts: [e1], versions: [v3.6.16, v3.7.0], mirror: 'https://m/etcd'}")
	require.Equal(t, upgrade.BinarySettings{ControlPlane: []string{"cp1"}, EtcdHosts: []string{"e1"}, Etcd: etcd,
		Source:  upgrade.BinarySource{Kubernetes: "https://m/k8s", Etcd: "https://m/etcd", Runc: "https://m/runc"},
		Runtime: []upgrade.ComponentVersion{of(upgrade.Containerd, "v2.3.7"), of(upgrade.Runc, "v1.3.3"), of(upgrade.CNIPlugins, "v1.9.1")}}, all)

	first := settings("provider: binaries\nbinaries: {controlPlane: [cp1], etcdMirror: 'https://m/etcd', etcdVersions: [v3.6.16, v3.7.0]}")
	require.Equal(t, upgrade.BinarySettings{ControlPlane: []string{"cp1"}, Etcd: etcd, Source: upgrade.BinarySource{Etcd: "https://m/etcd"}}, first, "as it was written first")

	external := settings("etcd: {hosts: [e1], versions: [v3.6.16, v3.7.0]}")
	require.Equal(t, upgrade.BinarySettings{EtcdHosts: []string{"e1"}, Etcd: etcd}, external)
}

func TestUnknownClusterNamesTheKnownOnes(t *testing.T) {
	dir := write(t, "lab", definition)
	_, err := Load(dir, "prod")
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	require.ErrorContains(t, err, "it knows: lab")
}

func TestClusterNamesAreNoPaths(t *testing.T) {
	for _, name := range []string{"../lab", "a/b", "", "Lab", "-a", "a.b"} {
		_, err := Load(t.TempDir(), name)
		require.Equal(t, fault.InvalidInput, fault.KindOf(err), name)
	}
}
