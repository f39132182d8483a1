{{- define "flightgate.operator.name" -}}
{{- printf "%s-operator" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "flightgate.operator.selector" -}}
app.kubernetes.io/name: flightgate-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "flightgate.operator.labels" -}}
{{ include "flightgate.operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: flightgate
{{- end -}}

{{/* The operator's ServiceAccount, as the subject of a binding. */}}
{{- define "flightgate.operator.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "flightgate.operator.name" . }}
    namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The gateways' namespaces, each once, as JSON. */}}
{{- define "flightgate.gateway.namespaces" -}}
{{- $namespaces := list -}}
{{- range .Values.gateways -}}
{{- $namespaces = append $namespaces (.namespace | default $.Release.Namespace) -}}
{{- end -}}
{{- $namespaces | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* What the operator may do where applications and their credentials are. */}}
{{- define "flightgate.operator.credentialsRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
