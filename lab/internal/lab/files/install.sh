set -e
KEYRING=/etc/apt/keyrings/kubernetes-apt-keyring.gpg
mkdir -p /etc/apt/keyrings
curl -fsSL "$REPOSITORY/Release.key" | gpg --dearmor --yes -o "$KEYRING"
echo "deb [signed-by=$KEYRING] $REPOSITORY/ /" > /etc/apt/sources.list.d/kubernetes.list
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y install kubelet="$VERSION" kubeadm="$VERSION" kubectl="$VERSION" > /var/log/kubernetes-install.log
apt-mark hold kubelet kubeadm kubectl > /dev/null
systemctl -q enable kubelet
