{{- define "nautobot-token.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A name of at most MOST characters: (list NAME MOST). A longer one ends in a hash, so that no two become the same. */}}
{{- define "nautobot-token.cut" -}}
{{- $name := index . 0 -}}
{{- $most := int (index . 1) -}}
{{- if le (len $name) $most -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" (regexReplaceAll "-+$" (trunc (int (sub $most 9)) $name) "") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- end -}}

{{/* The release's name, with the chart's in it. A release can have a dot in its name, but a Service of the bus cannot. */}}
{{- define "nautobot-token.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $release := replace "." "-" .Release.Name -}}
{{- $full := ternary $release (printf "%s-%s" $release $name) (contains $name $release) -}}
{{- include "nautobot-token.cut" (list (default $full .Values.fullnameOverride) 63) -}}
{{- end -}}

{{/* The name of a part: (list . SUFFIX). It has 63 characters at most, and keeps its suffix. */}}
{{- define "nautobot-token.part" -}}
{{- $suffix := index . 1 -}}
{{- printf "%s-%s" (include "nautobot-token.cut" (list (include "nautobot-token.fullname" (index . 0)) (sub 62 (len $suffix)))) $suffix -}}
{{- end -}}

{{/* The name of a Role: (list . SUFFIX NAMESPACE). Another namespace may have Roles of other releases, so the name includes the release's namespace. */}}
{{- define "nautobot-token.roleName" -}}
{{- $root := index . 0 -}}
{{- if eq (index . 2) $root.Release.Namespace -}}
{{- include "nautobot-token.part" (list $root (index . 1)) -}}
{{- else -}}
{{- printf "%s.%s.%s" $root.Release.Namespace (include "nautobot-token.fullname" $root) (index . 1) -}}
{{- end -}}
{{- end -}}

{{/* A Job's name is this and 5 more characters; it is also a label, so 63 in all. */}}
{{- define "nautobot-token.generateName" -}}
{{- printf "%s-" (include "nautobot-token.cut" (list (include "nautobot-token.fullname" .) 57)) -}}
{{- end -}}

{{/* The StatefulSet of a bus adds 23 characters to its name in a label. */}}
{{- define "nautobot-token.eventBusName" -}}
{{- .Values.eventBus.name | default (include "nautobot-token.cut" (list (include "nautobot-token.fullname" .) 40)) -}}
{{- end -}}

{{/* The trigger of a namespace: (list ACTION NAMESPACE). It becomes a label of the Jobs. A renamed trigger loses the events that wait for it. */}}
{{- define "nautobot-token.triggerName" -}}
{{- include "nautobot-token.cut" (list (join "-" .) 63) -}}
{{- end -}}

{{- define "nautobot-token.selectorLabels" -}}
app.kubernetes.io/name: {{ include "nautobot-token.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | trunc 63 | trimSuffix "-" | quote }}
{{- end -}}

{{/* Labels of an object: (list . COMPONENT). */}}
{{- define "nautobot-token.labels" -}}
{{- $root := index . 0 -}}
{{- $own := dict
      "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
      "app.kubernetes.io/component" (index . 1)
      "app.kubernetes.io/version" $root.Chart.AppVersion
      "app.kubernetes.io/managed-by" $root.Release.Service
-}}
{{- $part := dict "app.kubernetes.io/part-of" "nautobot-token" -}}
{{- merge $own (include "nautobot-token.selectorLabels" $root | fromYaml) ($root.Values.commonLabels | default dict) $part | toYaml -}}
{{- end -}}

{{/* Labels of a Pod: (list . COMPONENT LABELS). No versions: they would restart long-running Pods. */}}
{{- define "nautobot-token.podLabels" -}}
{{- $root := index . 0 -}}
{{- $own := dict "app.kubernetes.io/component" (index . 1) -}}
{{- merge $own (include "nautobot-token.selectorLabels" $root | fromYaml) (index . 2 | default dict) ($root.Values.commonLabels | default dict) | toYaml -}}
{{- end -}}

{{/* Where Pods run: the keys that the Pod templates of Kubernetes and Argo share. */}}
{{- define "nautobot-token.scheduling" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
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

{{/* A ServiceAccount from the values: (list . PART). A section that a later version added is absent after an upgrade with --reuse-values. */}}
{{- define "nautobot-token.serviceAccount" -}}
{{- get (index . 0).Values.serviceAccounts (index . 1) | default (dict "create" true) | toYaml -}}
{{- end -}}

{{/* The name of a ServiceAccount: (list . PART). */}}
{{- define "nautobot-token.serviceAccountName" -}}
{{- (include "nautobot-token.serviceAccount" . | fromYaml).name | default (include "nautobot-token.part" (list (index . 0) (index . 1 | lower))) -}}
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

{{/* The namespaces with a rule that says `revoke`, each once, as JSON. */}}
{{- define "nautobot-token.revocable" -}}
{{- $namespaces := list -}}
{{- range .Values.rules }}{{ if .revoke }}{{ $namespaces = append $namespaces .namespace }}{{ end }}{{ end -}}
{{- $namespaces | uniq | sortAlpha | toJson -}}
{{- end -}}

{{/* The names of the Secrets in a namespace for which a rule says `revoke`: (list . NAMESPACE), as a regular expression. */}}
{{- define "nautobot-token.revocableNames" -}}
{{- $names := list -}}
{{- $namespace := index . 1 -}}
{{- range (index . 0).Values.rules -}}
{{- if and .revoke (eq .namespace $namespace) -}}
{{- range .secrets | default (list "*") -}}
{{- $names = append $names (. | replace "." "[.]" | replace "+" "[+]" | replace "*" ".*" | replace "?" ".") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- printf "^(%s)$" ($names | uniq | sortAlpha | join "|") -}}
{{- end -}}

{{/* The namespaces in which a deleted Secret starts a Job, as JSON. */}}
{{- define "nautobot-token.gone" -}}
{{- if (.Values.revoke | default dict).enabled }}{{ include "nautobot-token.revocable" . }}{{ else }}[]{{ end -}}
{{- end -}}

{{/* Whether `sync` ends accounts: "true", or nothing. */}}
{{- define "nautobot-token.prunes" -}}
{{- with .Values.sync -}}
{{- if and .enabled (.prune | default dict).enabled }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* The CronJobs, as YAML: their names and when they run. A Job's name is the CronJob's and 11 more characters, so 52 are left. The minute,
and the hour of the night, are derived from the names of cluster and release, so that not all clusters call Nautobot at the same time. */}}
{{- define "nautobot-token.cronJobs" -}}
{{- if (.Values.sync | default dict).enabled -}}
{{- $hash := printf "%s/%s/%s" .Values.cluster .Release.Namespace .Release.Name | adler32sum | int64 -}}
{{- $minute := mod $hash 60 -}}
{{- $schedules := dict
      "sync" (.Values.sync.schedule | default (printf "%d %d * * *" $minute (mod (div $hash 60) 5)))
      "sync-quick" (.Values.sync.quickSchedule | default (printf "%d * * * *" (mod (add $minute 30) 60)))
-}}
{{- range $suffix, $schedule := $schedules }}
{{- if ne $schedule "-" }}
- name: {{ printf "%s-%s" (include "nautobot-token.cut" (list (include "nautobot-token.fullname" $) (sub 51 (len $suffix)))) $suffix | quote }}
  schedule: {{ $schedule | quote }}
  quick: {{ eq $suffix "sync-quick" }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* The names of the Secrets that the rules of a namespace allow: (list . NAMESPACE), as JSON. None if a glob allows any. */}}
{{- define "nautobot-token.secretNames" -}}
{{- $names := list -}}
{{- $any := false -}}
{{- $namespace := index . 1 -}}
{{- range (index . 0).Values.rules -}}
{{- if eq .namespace $namespace -}}
{{- range .secrets | default (list "*") -}}
{{- $names = append $names . -}}
{{- if regexMatch `[*?]` . }}{{ $any = true }}{{ end -}}
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

{{/* A duration as whole seconds, rounded up. */}}
{{- define "nautobot-token.seconds" -}}
{{- $seconds := 0.0 -}}
{{- range regexFindAll `[0-9.]+(ms|s|m|h)` . -1 -}}
{{- $unit := get (dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0) (regexFind `[a-z]+` .) -}}
{{- $seconds = addf $seconds (mulf (regexFind `[0-9.]+` . | float64) $unit) -}}
{{- end -}}
{{- ceil $seconds | int -}}
{{- end -}}

{{/* What the Pods of the EventSource and the Sensor have in common: (list . VALUES). */}}
{{- define "nautobot-token.argoPod" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
container:
  {{- with $root.Values.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
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
