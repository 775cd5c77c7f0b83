{{- define "nautobot-token.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The release's name, with the chart's in it. */}}
{{- define "nautobot-token.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of a part: (list . SUFFIX). It has 63 characters at most, and keeps its suffix. */}}
{{- define "nautobot-token.part" -}}
{{- $suffix := index . 1 -}}
{{- printf "%s-%s" (include "nautobot-token.fullname" (index . 0) | trunc (int (sub 62 (len $suffix))) | trimSuffix "-") $suffix -}}
{{- end -}}

{{/* Jobs are called this and 5 more characters; a Job's name is a label too, so 63 in all. */}}
{{- define "nautobot-token.generateName" -}}
{{- printf "%s-" (include "nautobot-token.fullname" . | trunc 57 | trimSuffix "-") -}}
{{- end -}}

{{/* The StatefulSet of a bus adds 23 characters to its name in a label. */}}
{{- define "nautobot-token.eventBusName" -}}
{{- if .Values.eventBus.name -}}
{{- .Values.eventBus.name -}}
{{- else -}}
{{- include "nautobot-token.fullname" . | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "nautobot-token.selectorLabels" -}}
app.kubernetes.io/name: {{ include "nautobot-token.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Labels of an object: (list . COMPONENT). */}}
{{- define "nautobot-token.labels" -}}
{{- $root := index . 0 -}}
{{- with omit $root.Values.commonLabels "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" }}{{ toYaml . }}
{{ end -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "nautobot-token.selectorLabels" $root }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: nautobot-token
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{- end -}}

{{/* Labels of a Pod: (list . COMPONENT LABELS). No versions: they would start long-running Pods anew. */}}
{{- define "nautobot-token.podLabels" -}}
{{- $root := index . 0 -}}
{{- $own := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" -}}
{{- $labels := merge (dict) (index . 2) $root.Values.commonLabels -}}
{{- range $own }}{{ $labels = omit $labels . }}{{ end -}}
{{- with $labels }}{{ toYaml . }}
{{ end -}}
{{ include "nautobot-token.selectorLabels" $root }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Where Pods run: the keys of Kubernetes' and of Argo's Pod templates alike. */}}
{{- define "nautobot-token.scheduling" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "nautobot-token.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of a ServiceAccount: (list . PART). */}}
{{- define "nautobot-token.serviceAccountName" -}}
{{- $root := index . 0 -}}
{{- $account := get $root.Values.serviceAccounts (index . 1) -}}
{{- $account.name | default (include "nautobot-token.part" .) -}}
{{- end -}}

{{- define "nautobot-token.superuserNamespace" -}}
{{- .Values.superuserSecret.namespace | default .Release.Namespace -}}
{{- end -}}

{{/* The namespaces of all rules, each once, as JSON. */}}
{{- define "nautobot-token.namespaces" -}}
{{- $namespaces := list -}}
{{- range .Values.rules }}{{ $namespaces = append $namespaces .namespace }}{{ end -}}
{{- $namespaces | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* The names of the Secrets that the rules of a namespace allow: (list . NAMESPACE), as JSON. None where a glob allows any. */}}
{{- define "nautobot-token.secretNames" -}}
{{- $names := list -}}
{{- $any := false -}}
{{- $namespace := index . 1 -}}
{{- range (index . 0).Values.rules -}}
{{- if eq .namespace $namespace -}}
{{- range .secrets | default (list "*") -}}
{{- $names = append $names . -}}
{{- if regexMatch `[*?\[\\]` . }}{{ $any = true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- ternary (list) ($names | uniq | sortAlpha) $any | toJson -}}
{{- end -}}

{{/* The port of Nautobot, from its URL. */}}
{{- define "nautobot-token.nautobotPort" -}}
{{- $url := urlParse .Values.nautobot.url -}}
{{- if regexMatch `:[0-9]+$` $url.host -}}
{{- regexFind `[0-9]+$` $url.host -}}
{{- else -}}
{{- ternary 80 443 (eq $url.scheme "http") -}}
{{- end -}}
{{- end -}}

{{/* What the EventSource's and the Sensor's Pod have in common: (list . VALUES). */}}
{{- define "nautobot-token.argoPod" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
container:
  securityContext:
    {{- toYaml $root.Values.securityContext | nindent 4 }}
  {{- with $values.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- with $root.Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "nautobot-token.scheduling" $values }}
{{- end -}}
