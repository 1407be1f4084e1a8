{{- define "httpdhs.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A pod's name, with its number behind it, is a DNS label: 63 characters at most. */}}
{{- define "httpdhs.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "httpdhs.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "httpdhs.headless" -}}
{{- include "httpdhs.fullname" . }}-headless
{{- end -}}

{{/* What all pods are found by. */}}
{{- define "httpdhs.domain" -}}
{{- printf "%s.%s.svc.%s" (include "httpdhs.headless" .) .Release.Namespace .Values.clusterDomain -}}
{{- end -}}

{{/* How many nodes begin a cluster: more than half, so that no others begin one, too. */}}
{{- define "httpdhs.expect" -}}
{{- $nodes := int .Values.replicaCount -}}
{{- $expect := min (int .Values.cluster.expect) $nodes -}}
{{- if le (mul 2 $expect) $nodes -}}
{{- fail (printf "cluster.expect is %d, want more than half of replicaCount, %d" $expect $nodes) -}}
{{- end -}}
{{- $expect -}}
{{- end -}}

{{- define "httpdhs.selectorLabels" -}}
app.kubernetes.io/name: {{ include "httpdhs.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The pods of the nodes, and not those of tests. */}}
{{- define "httpdhs.nodeLabels" -}}
{{ include "httpdhs.selectorLabels" . }}
app.kubernetes.io/component: node
{{- end -}}

{{- define "httpdhs.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "httpdhs.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "httpdhs.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "httpdhs.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "httpdhs.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "httpdhs.scheme" -}}
{{- if .Values.tls.existingSecret -}}HTTPS{{- else -}}HTTP{{- end -}}
{{- end -}}

{{/* Where the service for clients is. */}}
{{- define "httpdhs.clientAddr" -}}
{{- printf "%s.%s.svc.%s:%d" (include "httpdhs.fullname" .) .Release.Namespace .Values.clusterDomain (int .Values.port) -}}
{{- end -}}

{{/* The environment that the node shares with the commands that run in its pod. */}}
{{- define "httpdhs.clientEnv" -}}
{{- if .Values.auth.existingSecret }}
- name: HTTPDHS_AUTH_TOKEN_FILE
  value: /etc/httpdhs/auth/token
{{- end }}
{{- if .Values.tls.existingSecret }}
- name: HTTPDHS_TLS_CA
  value: /etc/httpdhs/tls/ca.crt
{{- end }}
{{- end -}}

{{- define "httpdhs.clientMounts" -}}
{{- if .Values.auth.existingSecret }}
- name: auth
  mountPath: /etc/httpdhs/auth
  readOnly: true
{{- end }}
{{- if .Values.tls.existingSecret }}
- name: tls
  mountPath: /etc/httpdhs/tls
  readOnly: true
{{- end }}
{{- end -}}

{{/* Key .key of secret .secret, as file .file of volume .name. */}}
{{- define "httpdhs.secretVolume" -}}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      - key: {{ .key }}
        path: {{ .file }}
{{- end -}}

{{- define "httpdhs.authVolume" -}}
{{- with .Values.auth }}
{{- if .existingSecret }}
{{ include "httpdhs.secretVolume" (dict "name" "auth" "secret" .existingSecret "key" .key "file" "token") }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A container that runs the command .args against the service for clients. */}}
{{- define "httpdhs.testContainer" -}}
- name: {{ .name }}
  image: {{ include "httpdhs.image" .top }}
  imagePullPolicy: {{ .top.Values.image.pullPolicy }}
  args:
    {{- toYaml .args | nindent 4 }}
  env:
    - name: HTTPDHS_TO
      value: {{ include "httpdhs.clientAddr" .top }}
    {{- include "httpdhs.clientEnv" .top | nindent 4 }}
  resources:
    requests: {cpu: 10m, memory: 32Mi}
    limits: {memory: 64Mi}
  securityContext:
    {{- toYaml .top.Values.securityContext | nindent 4 }}
  volumeMounts:
    {{- include "httpdhs.clientMounts" .top | nindent 4 }}
{{- end -}}
