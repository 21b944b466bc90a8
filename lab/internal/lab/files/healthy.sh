# Each component of a control plane by its own word.
healthy() {
	etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/ca.crt --cert=/etc/etcd/etcd.crt --key=/etc/etcd/etcd.key endpoint health --cluster &&
	kubectl get --raw /readyz &&
	curl -kfsS https://127.0.0.1:10257/healthz &&
	curl -kfsS https://127.0.0.1:10259/readyz
}
END=$((SECONDS + 180))
until SAID=$(healthy 2>&1); do
	if [ "$SECONDS" -ge "$END" ]; then
		echo "$SAID"
		exit 1
	fi
	sleep 0.5
done
