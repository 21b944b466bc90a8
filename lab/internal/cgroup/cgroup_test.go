package cgroup

import (
	"reflect"
	"testing"
)

func TestParseMountinfo(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []Hierarchy
	}{
		{
			name: "version 2",
			text: "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
			want: []Hierarchy{{Mount: "/sys/fs/cgroup", Version: 2}},
		},
		{
			name: "version 1 with the unified tree beside it",
			text: "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
				"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n" +
				"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" +
				"42 31 0:29 / /other/cpu rw - cgroup cgroup rw,cpu\n",
			want: []Hierarchy{
				{Mount: "/sys/fs/cgroup/cpu,cpuacct", Version: 1, Options: "cpu,cpuacct"},
				{Mount: "/sys/fs/cgroup/systemd", Version: 1, Options: "name=systemd"},
				{Mount: "/sys/fs/cgroup/unified", Version: 2},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parseMountinfo(c.text); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}
