package sudoerstest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pawl-dev/pawl/internal/sudoers"
)

// User is who asks the real sudo.
const User = "pawl"

// ErrLacking is when the real sudo cannot be asked here.
var ErrLacking = errors.New("the real sudo was not asked: it takes root, sudo 1.9.10 or later, and overlays that can be mounted")

// ask runs in mounts of its own: this machine's /etc and /usr under a layer in memory, with a user more, the table's file
// as the only one of sudo, and programs that this machine lacks, which are never run. It prints the numbers of the
// commands that this user may run as root.
const ask = `set -e
mount -t tmpfs tmpfs "$1/layers"
for folder in etc usr opt; do
  mkdir "$1/layers/$folder" "$1/layers/$folder.work"
  mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$1/layers/$folder,workdir=$1/layers/$folder.work" /$folder
done
echo 'pawl:x:7531:7531::/nonexistent:/bin/sh' >> /etc/passwd
echo 'pawl:x:7531:' >> /etc/group
echo 'pawl:*:19000:0:99999:7:::' >> /etc/shadow
rm -rf /etc/sudoers.d
install -d -m 750 /etc/sudoers.d
install -m 440 "$1/file" /etc/sudoers.d/pawl
printf '@includedir /etc/sudoers.d\n' > /etc/sudoers
visudo -c -q
while read -r program; do
  test -e "$program" || { mkdir -p "${program%/*}"; ln -s /bin/true "$program"; }
done < "$1/programs"
ask() {
  while read -r i; do
    if setpriv --reuid=7531 --regid=7531 --clear-groups xargs -0 -a "$1/commands/$i" env -i LC_ALL=C PATH=/usr/bin:/bin sudo -n -l -- >/dev/null 2>&1; then
      echo "$i"
    fi
  done
}
ls "$1/commands" | split -n r/4 -d - "$1/part."
for part in "$1"/part.*; do
  ask "$1" < "$part" > "$part.may" &
done
wait
cat "$1"/part.*.may`

// Ask asks the real sudo which of the commands a user may run as root who has the table's file and nothing else.
func Ask(t sudoers.Table, commands [][]string) ([]bool, error) {
	if _, err := exec.LookPath("sudo"); err != nil || os.Getuid() != 0 {
		return nil, ErrLacking
	}
	dir, err := os.MkdirTemp("", "pawl-sudo")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := write(dir, t, commands); err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", ask, "sh", dir)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %w: %s", ErrLacking, err, said.String())
	}
	may := make([]bool, len(commands))
	for _, word := range strings.Fields(out.String()) {
		i, err := strconv.Atoi(word)
		if err != nil || i >= len(may) {
			return nil, fmt.Errorf("sudo answered %q", out.String())
		}
		may[i] = true
	}
	return may, nil
}

// write puts down what the script reads, where everybody can read it.
func write(dir string, t sudoers.Table, commands [][]string) error {
	file, err := t.File(User)
	if err != nil {
		return err
	}
	errs := []error{
		os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "layers"), 0o755), os.Mkdir(filepath.Join(dir, "commands"), 0o755),
		os.WriteFile(filepath.Join(dir, "file"), []byte(file), 0o600),
		os.WriteFile(filepath.Join(dir, "programs"), []byte(strings.Join(t.Programs(), "\n")+"\n"), 0o600),
	}
	for i, argv := range commands {
		name := filepath.Join(dir, "commands", strconv.Itoa(i))
		errs = append(errs, os.WriteFile(name, []byte(strings.Join(argv, "\x00")+"\x00"), 0o644))
	}
	return errors.Join(errs...)
}
