# Makes the namespace, or sets its retention: the time for which upgrades that have ended are kept.
set -eu
if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" > /dev/null 2>&1; then
  exec temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
fi
exec temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION" \
  --description "Upgrades of Kubernetes clusters by pawl"
