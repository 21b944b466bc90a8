{{- define "pawl-worker.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "pawl-worker.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pawl-worker.labels" -}}
{{ include "pawl-worker.selector" . }}
app.kubernetes.io/part-of: pawl
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "pawl-worker.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "pawl-worker.name" .) }}{{ else }}{{ required "serviceAccount.name: wanted the name of the account to use, since serviceAccount.create is false" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- /* What the worker is told by its environment. */ -}}
{{- define "pawl-worker.env" -}}
- {name: PAWL_CLUSTERS, value: /etc/pawl/clusters}
- {name: PAWL_LISTEN, value: ":8080"}
- {name: PAWL_TASK_QUEUE, value: {{ join "," .Values.taskQueues | quote }}}
- {name: TEMPORAL_ADDRESS, value: {{ .Values.temporal.address | quote }}}
- {name: TEMPORAL_NAMESPACE, value: {{ .Values.temporal.namespace | quote }}}
{{- with .Values.temporal.ui }}
- {name: PAWL_TEMPORAL_UI, value: {{ . | quote }}}
{{- end }}
{{- with .Values.temporal.tls }}
{{- if .enabled }}
- {name: TEMPORAL_TLS, value: "true"}
{{- with .serverName }}
- {name: TEMPORAL_TLS_SERVER_NAME, value: {{ . | quote }}}
{{- end }}
{{- if .caSecret }}
- {name: TEMPORAL_TLS_SERVER_CA_CERT_PATH, value: /etc/pawl/temporal-ca/ca.crt}
{{- end }}
{{- if .clientSecret }}
- {name: TEMPORAL_TLS_CLIENT_CERT_PATH, value: /etc/pawl/temporal-client/tls.crt}
- {name: TEMPORAL_TLS_CLIENT_KEY_PATH, value: /etc/pawl/temporal-client/tls.key}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.temporal.apiKeySecret }}
{{- if .name }}
- name: TEMPORAL_API_KEY
  valueFrom:
    secretKeyRef: {name: {{ .name }}, key: {{ .key }}}
{{- end }}
{{- end }}
{{- with .Values.encryption }}
{{- if .secret }}
- {name: PAWL_ENCRYPTION_KEYS, value: /etc/pawl/encryption/{{ .key }}}
{{- end }}
{{- end }}
{{- end }}

{{- /* Folders that are one Secret each, as name: secret. */ -}}
{{- define "pawl-worker.secrets" -}}
{{- with .Values.temporal.tls }}
{{- if and .enabled .caSecret }}
temporal-ca: {{ .caSecret }}
{{- end }}
{{- if and .enabled .clientSecret }}
temporal-client: {{ .clientSecret }}
{{- end }}
{{- end }}
{{- with .Values.encryption.secret }}
encryption: {{ . }}
{{- end }}
{{- end }}

{{- /* What an upgrade of the own cluster needs in kube-system. */ -}}
{{- define "pawl-worker.systemRules" }}
# kubeadm's configuration; etcd's health, status and snapshot; who leads, and the lock.
- {apiGroups: [""], resources: [configmaps], verbs: [get]}
- {apiGroups: [""], resources: [pods/exec], verbs: [create, get]} # a web socket begins as a get
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create]}
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [pawl], verbs: [update]}
{{- if .Values.ownCluster.rbac.addNewNodes }}
# Bootstrap tokens, whose names nobody knows before.
- {apiGroups: [""], resources: [secrets], verbs: [create, get, delete]}
{{- end }}
{{- end }}
