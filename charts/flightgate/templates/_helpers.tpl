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

{{/* The gateways that the operator looks after, with nothing left out: as JSON. */}}
{{- define "flightgate.gateways" -}}
{{- $gateways := list -}}
{{- range $i, $it := .Values.gateways -}}
{{- $gateway := dict "name" ($it.name | default "default") "namespace" ($it.namespace | default $.Release.Namespace) -}}
{{- $isOwn := and $.Values.gateway.enabled (not $it.configMap) -}}
{{- if $isOwn -}}
{{- $selector := include "flightgate.gateway.selector" $ | fromYaml -}}
{{- $labels := list -}}
{{- range $key, $value := $selector -}}
{{- $labels = append $labels (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- $_ := set $gateway "configMap" (include "flightgate.gateway.name" $) -}}
{{- $_ := set $gateway "selector" ($it.selector | default (join "," $labels)) -}}
{{- $_ := set $gateway "adminPort" (int ($it.adminPort | default (include "flightgate.gateway.port" (list $ "admin")))) -}}
{{- else -}}
{{- $_ := set $gateway "configMap" $it.configMap -}}
{{- with $it.selector }}{{ $_ := set $gateway "selector" . }}{{ end -}}
{{- with $it.adminPort }}{{ $_ := set $gateway "adminPort" (int .) }}{{ end -}}
{{- end -}}
{{- with $it.addresses }}{{ $_ := set $gateway "addresses" . }}{{ end -}}
{{- $gateways = append $gateways $gateway -}}
{{- end -}}
{{- toJson $gateways -}}
{{- end -}}

{{/* Their namespaces, each once, as JSON. */}}
{{- define "flightgate.gateways.namespaces" -}}
{{- $namespaces := list -}}
{{- range include "flightgate.gateways" . | fromJsonArray -}}
{{- $namespaces = append $namespaces .namespace -}}
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

{{- define "flightgate.gateway.name" -}}
{{- printf "%s-gateway" (.Release.Name | trunc 44 | trimSuffix "-") -}}
{{- end -}}

{{- define "flightgate.gateway.selector" -}}
app.kubernetes.io/name: flightgate-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "flightgate.gateway.labels" -}}
{{ include "flightgate.gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: flightgate
{{- end -}}

{{/* gateway.yaml: what the pod gives it, and over that what the values say. */}}
{{- define "flightgate.gateway.config" -}}
{{- $issuer := printf "https://%s.%s.svc:%v" (include "flightgate.gateway.name" .) .Release.Namespace .Values.gateway.service.port -}}
{{- $listen := dict "public" "0.0.0.0:8443" "admin" "0.0.0.0:9900" "internal" "127.0.0.1:9901" -}}
{{- $tls := dict "selfSigned" true -}}
{{- if .Values.gateway.tls.secretName -}}
{{- $tls = dict "certificate" "/etc/flightgate-tls/tls.crt" "key" "/etc/flightgate-tls/tls.key" -}}
{{- end -}}
{{- if hasKey .Values.gateway.config "tls" -}}
{{- $tls = dict -}}
{{- end -}}
{{- $config := dict
  "issuer" $issuer
  "listen" $listen
  "tls" $tls
  "keys" (dict "path" "/var/lib/flightgate/keys")
  "store" (dict "sled" (dict "path" "/var/lib/flightgate/store"))
-}}
{{- mergeOverwrite $config (deepCopy .Values.gateway.config) | toYaml -}}
{{- end -}}

{{/* The port of a listener: (list $ "public"), "admin" or "internal". */}}
{{- define "flightgate.gateway.port" -}}
{{- $config := include "flightgate.gateway.config" (index . 0) | fromYaml -}}
{{- get $config.listen (index . 1) | splitList ":" | last -}}
{{- end -}}
