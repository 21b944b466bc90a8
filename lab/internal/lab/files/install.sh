set -e
systemctl -q is-active containerd
# An earlier attempt may still be under way, or may have been cut off.
exec 9> /run/lock/pawl-lab-install
flock 9
export DEBIAN_FRONTEND=noninteractive
dpkg --configure -a
KEYRING=/etc/apt/keyrings/kubernetes-apt-keyring.gpg
mkdir -p /etc/apt/keyrings
curl -fsSL "$REPOSITORY/Release.key" | gpg --dearmor --yes -o "$KEYRING"
echo "deb [signed-by=$KEYRING] $REPOSITORY/ /" > /etc/apt/sources.list.d/kubernetes.list
apt-get -qq update
apt-get -qq -y --allow-change-held-packages install kubelet="$VERSION" kubeadm="$VERSION" kubectl="$VERSION" > /var/log/kubernetes-install.log
apt-mark hold kubelet kubeadm kubectl > /dev/null
systemctl -q enable kubelet
