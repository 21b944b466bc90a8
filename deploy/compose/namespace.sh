# Makes the namespace, or sets its retention: the time for which upgrades that have ended are kept.
set -eu
# The port is open a little before the server behind it serves.
tries=0
until temporal operator cluster health > /dev/null 2>&1 || [ "$tries" -ge 60 ]; do
  tries=$((tries + 1))
  sleep 2
done
if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" > /dev/null 2>&1; then
  exec temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi
exec temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION" \
  --description "Upgrades of Kubernetes clusters by pawl"
