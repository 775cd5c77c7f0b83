{{/* What the schema cannot express, or not helpfully. What the program would refuse is already refused here. */}}
{{- define "nautobot-token.check" -}}
{{- include "nautobot-token.checkNautobot" . -}}
{{- include "nautobot-token.checkRules" . -}}
{{- include "nautobot-token.checkTexts" . -}}
{{- include "nautobot-token.checkJob" . -}}
{{- include "nautobot-token.checkSync" . -}}
{{- include "nautobot-token.checkRevoke" . -}}
{{- include "nautobot-token.checkEventBus" . -}}
{{- include "nautobot-token.checkServiceAccounts" . -}}
{{- end -}}

{{/* The part of a URL before its path, and the form of host names: a host or an IPv6 address in brackets, and a port. */}}
{{- define "nautobot-token.hostPattern" -}}
(\[[0-9A-Fa-f:.]+\]|[^][/?#@:,<>"^|{}\\%\x60\x00-\x20\x7f]+)(:0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?
{{- end -}}

{{- define "nautobot-token.checkNautobot" -}}
{{- $host := include "nautobot-token.hostPattern" . -}}
{{- with .Values.nautobot -}}
{{- if not .url -}}
{{- fail "nautobot.url is missing: give the URL of Nautobot, such as --set nautobot.url=https://nautobot.example.com" -}}
{{- end -}}
{{- if not (regexMatch (printf `^(?i:https?)://%s(/([^?#%%\x00-\x1f\x7f]|%%[0-9A-Fa-f]{2})*)?$` $host) .url) -}}
{{- fail "nautobot.url: want https://HOST[:PORT][/PATH], without user, query or fragment" -}}
{{- end -}}
{{- $plain := hasPrefix "http:" (lower .url) -}}
{{- if and $plain (not .insecureHTTP) (not (regexMatch `^(?i:http://)((?i:localhost)|127\.[0-9.]+|\[::1\])(:[0-9]+)?(/|$)` .url)) -}}
{{- fail (printf "nautobot.url: %s exposes passwords and tokens in transit: use https, or set nautobot.insecureHTTP=true for a Service inside the cluster" .url) -}}
{{- end -}}
{{- range $i, $name := .hostnames -}}
{{- if not (regexMatch (printf `^%s$` $host) $name) -}}
{{- fail (printf "nautobot.hostnames[%d]: %q: want HOST or HOST:PORT, without https:// and path" $i $name) -}}
{{- end -}}
{{- end -}}
{{- if and .caBundle.configMap .caBundle.secret -}}
{{- fail "nautobot.caBundle: configMap and secret are both set: give one" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "nautobot-token.checkRules" -}}
{{- $glob := `[A-Za-z0-9@.+_*?-]+` -}}
{{- $secret := `[a-z0-9*?]([a-z0-9*?-]*[a-z0-9*?])?(\.[a-z0-9*?]([a-z0-9*?-]*[a-z0-9*?])?)*` -}}
{{- $group := `^[^\s\pZ\p{Cc}]([^\p{Cc}]{0,148}[^\s\pZ\p{Cc}])?$` -}}
{{- if not .Values.rules -}}
{{- fail "rules is empty, so nothing would be watched and every Secret refused: give at least one rule, such as --set-json 'rules=[{\"namespace\":\"openstack\",\"usernames\":[\"*-openstack\"]}]'" -}}
{{- end -}}
{{- range $i, $rule := .Values.rules -}}
{{- if not (and (regexMatch `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$` .namespace) (le (len .namespace) 63)) -}}
{{- fail (printf "rules[%d].namespace: %q: want the name of a single namespace; for several, write one rule for each" $i .namespace) -}}
{{- end -}}
{{- if not .usernames -}}
{{- fail (printf "rules[%d].usernames is missing: say what the Secrets of namespace %s may call their accounts, such as [\"*-%s\"]; [\"*\"] allows any" $i .namespace .namespace) -}}
{{- end -}}
{{- if and (hasKey . "secrets") (not .secrets) -}}
{{- fail (printf "rules[%d].secrets is an empty list, so the rule is for no Secret: name some, or leave it out for all" $i) -}}
{{- end -}}
{{- if and (hasKey . "groups") (not .groups) -}}
{{- fail (printf "rules[%d].groups is an empty list: name some, or leave it out for none" $i) -}}
{{- end -}}
{{- range $key := list "secrets" "usernames" -}}
{{- range index $rule $key -}}
{{- if not (regexMatch (printf `^%s$` $glob) .) -}}
{{- fail (printf "rules[%d].%s: %q is not a glob: want letters, digits, @ . + - _, and * and ? in their usual meaning" $i $key .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .secrets -}}
{{- if or (not (regexMatch (printf `^%s$` $secret) .)) (gt (len .) 253) -}}
{{- fail (printf "rules[%d].secrets: %q is not a valid Secret name: want lower-case letters, digits, - and ., with a letter or digit at both ends" $i .) -}}
{{- end -}}
{{- end -}}
{{- range .adoptFrom -}}
{{- if not (regexMatch (printf `^%s(/%s){1,2}$` $glob $glob) .) -}}
{{- fail (printf "rules[%d].adoptFrom: %q is not an owner: want NAMESPACE/NAME or CLUSTER/NAMESPACE/NAME, as in the last name of the account" $i .) -}}
{{- end -}}
{{- end -}}
{{- range .groups -}}
{{- if not (regexMatch $group .) -}}
{{- fail (printf "rules[%d].groups: want the name of a group: 1 to 150 characters, without white space around it or control characters" $i) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch $group .Values.managedGroup) -}}
{{- fail "managedGroup: want the name of a group: 1 to 150 characters, without white space around it or control characters" -}}
{{- end -}}
{{- if hasSuffix "-provisioners" .Values.managedGroup -}}
{{- fail "managedGroup: the groups of provisioners end in -provisioners: choose another name" -}}
{{- end -}}
{{- end -}}

{{/* Strings that would otherwise be refused only by the API server, Argo Events or the Job. */}}
{{- define "nautobot-token.checkTexts" -}}
{{- $label := `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?` -}}
{{- $subdomain := `[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*` -}}
{{- $name := list (printf `^(%s)?$` $subdomain) "want a name of lower-case letters, digits, - and ." -}}
{{- $short := list (printf `^(%s)?$` $label) "want a name of at most 63 lower-case letters, digits and -" -}}
{{- $key := list `^[A-Za-z0-9._-]*$` "want a key of letters, digits, - _ and ." -}}
{{- $duration := list `^(0|([0-9]{1,6}(\.[0-9]{1,9})?(ns|us|ms|s|m|h))+)$` "want a duration such as 90s, 30m or 1h; a day is 24h" -}}
{{- $maybe := list (printf `^(%s)?$` (index $duration 0)) (index $duration 1) -}}
{{- $texts := dict
      "nautobot.caBundle.configMap" $name
      "nautobot.caBundle.secret" $name
      "nautobot.caBundle.key" $key
      "superuserSecret.namespace" $short
      "superuserSecret.name" (list (printf `^%s$` $subdomain) "want the name of the Secret with the superuser token")
      "superuserSecret.key" $key
      "cluster" $name
      "rotationGrace" $duration
      "timeout" $duration
      "image.repository" (list `^[a-z0-9][a-z0-9.:/_-]*$` "want REGISTRY/PATH, without a tag")
      "image.tag" (list `^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$` "want a tag without a colon, or nothing for the chart's appVersion")
      "image.digest" (list `^(sha256:[0-9a-f]{64})?$` "want sha256: and 64 hexadecimal digits")
      "job.priorityClassName" $name
      "watcher.priorityClassName" $name
      "sensor.priorityClassName" $name
      "sensor.retryStrategy.duration" $duration
      "eventBus.name" (list `^([a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?)?$` "want a name of at most 40 lower-case letters, digits and -")
      "eventBus.version" (list `^(latest|[0-9]+\.[0-9]+\.[0-9]+.*)$` "want a version that the Argo Events controller knows, such as 2.10.29")
      "eventBus.maxAge" (list `^([1-9][0-9]*h|([5-9]|[1-9][0-9]+)m)$` "want minutes (at least 5m) or hours, such as 24h")
      "eventBus.persistence.storageClassName" $name
      "eventBus.persistence.size" (list `^[1-9][0-9]*(Mi|Gi|Ti|M|G|T)$` "want a size such as 5Gi")
      "eventBus.priorityClassName" $name
      "serviceAccounts.watcher.name" $name
      "serviceAccounts.sensor.name" $name
      "serviceAccounts.job.name" $name
      "serviceAccounts.eventBus.name" $name
      "serviceAccounts.sync.name" $name
      "sync.timeout" $maybe
      "sync.timeZone" (list `^([A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*)?$` "want the name of a time zone, such as Europe/Berlin or Etc/UTC")
      "sync.prune.settle" $maybe
      "revoke.settle" $maybe
      "test.secret" (list (printf `^(%s/%s)?$` $label $subdomain) "want NAMESPACE/NAME of a labelled Secret, or nothing")
      "nameOverride" $short
      "fullnameOverride" $short
-}}
{{- range $path, $want := $texts -}}
{{- $value := $.Values -}}
{{- range splitList "." $path }}{{ $value = get ($value | default dict) . }}{{ end -}}
{{- $text := toString ($value | default "") -}}
{{- if or (not (regexMatch (index $want 0) $text)) (gt (len $text) 253) -}}
{{- fail (printf "%s: %q: %s" $path $value (index $want 1)) -}}
{{- end -}}
{{- end -}}
{{- range .Values.imagePullSecrets -}}
{{- if not (regexMatch (printf `^%s$` $subdomain) .name) -}}
{{- fail (printf "imagePullSecrets: %q: %s" .name (index $name 1)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "nautobot-token.checkJob" -}}
{{- $timeout := include "nautobot-token.seconds" .Values.timeout | int -}}
{{- if eq $timeout 0 -}}
{{- fail (printf "timeout: %q: want a duration of more than 0, such as 90s, 2m or 1m30s" .Values.timeout) -}}
{{- end -}}
{{- with .Values.job.podDeadlineSeconds -}}
{{- if le (int .) $timeout -}}
{{- fail (printf "job.podDeadlineSeconds: %d: want more than timeout (%s), or 0 for timeout and five minutes" (int .) $.Values.timeout) -}}
{{- end -}}
{{- end -}}
{{- $names := list "policy" "ca" -}}
{{- range .Values.job.extraVolumes -}}
{{- if has .name $names -}}
{{- fail (printf "job.extraVolumes: %q: there is already a volume with that name" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $paths := list "/etc/nautobot-token/policy" "/etc/nautobot-token/ca" -}}
{{- range .Values.job.extraVolumeMounts -}}
{{- if has .mountPath $paths -}}
{{- fail (printf "job.extraVolumeMounts: %q: something is already mounted there" .mountPath) -}}
{{- end -}}
{{- if not (has .name $names) -}}
{{- fail (printf "job.extraVolumeMounts: %q: there is no volume with that name in job.extraVolumes" .name) -}}
{{- end -}}
{{- $paths = append $paths .mountPath -}}
{{- end -}}
{{- end -}}

{{/* What the API server would otherwise refuse in a CronJob, only at install time. */}}
{{- define "nautobot-token.checkSync" -}}
{{- with .Values.sync -}}
{{- if .enabled -}}
{{- $number := dict "minute" `[0-5]?[0-9]` "hour" `([01]?[0-9]|2[0-3])` "day" `([1-9]|0[1-9]|[12][0-9]|3[01])`
      "month" `(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))` "weekday" `([0-6]|(?i:sun|mon|tue|wed|thu|fri|sat))` -}}
{{- $fields := list -}}
{{- range list "minute" "hour" "day" "month" "weekday" -}}
{{- $item := printf `([*?]|%s(-%s)?)(/0*[1-9][0-9]*)?` (get $number .) (get $number .) -}}
{{- $fields = append $fields (printf `%s(,%s)*` $item $item) -}}
{{- end -}}
{{- $pattern := printf `^(-|@(yearly|annually|monthly|weekly|daily|midnight|hourly)|%s)?$` (join " +" $fields) -}}
{{- range $key := list "schedule" "quickSchedule" -}}
{{- $schedule := get $.Values.sync $key | default "" -}}
{{- if not (regexMatch $pattern $schedule) -}}
{{- fail (printf "sync.%s: %q: want five cron fields, such as \"30 2 * * *\", or @daily and the like, - for never, or nothing for a time that the chart chooses" $key $schedule) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .schedule "-") (eq .quickSchedule "-") -}}
{{- fail "sync.schedule and sync.quickSchedule are both -, so nothing would run: set sync.enabled=false" -}}
{{- end -}}
{{- if eq .timeZone "Local" -}}
{{- fail "sync.timeZone: \"Local\": want the name of a time zone, such as Europe/Berlin or Etc/UTC" -}}
{{- end -}}
{{- $timeout := include "nautobot-token.seconds" .timeout | int -}}
{{- if eq $timeout 0 -}}
{{- fail (printf "sync.timeout: %q: want a duration of more than 0, such as 50m" .timeout) -}}
{{- end -}}
{{- with .activeDeadlineSeconds -}}
{{- if le (int .) $timeout -}}
{{- fail (printf "sync.activeDeadlineSeconds: %d: want more than sync.timeout (%s), or 0 for a limit that fits it" (int .) $.Values.sync.timeout) -}}
{{- end -}}
{{- end -}}
{{- if and (gt (int .shards) 1) (not (semverCompare ">=1.29-0" $.Capabilities.KubeVersion.Version)) -}}
{{- fail (printf "sync.shards: %d: Jobs that retry each shard need Kubernetes 1.29 or newer, and this is %s: set sync.shards=1" (int .shards) $.Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Accounts may be ended only if it is known whose they are, and if a rule says so. */}}
{{- define "nautobot-token.checkRevoke" -}}
{{- $on := list -}}
{{- with .Values.revoke }}{{ if .enabled }}{{ $on = append $on "revoke" }}{{ end }}{{ end -}}
{{- with .Values.sync }}{{ if (.prune | default dict).enabled }}{{ $on = append $on "sync.prune" }}{{ end }}{{ end -}}
{{- range $part := $on -}}
{{- $values := $.Values -}}
{{- range splitList "." $part }}{{ $values = get $values . }}{{ end -}}
{{- if not $.Values.cluster -}}
{{- fail (printf "%s.enabled needs cluster: without the cluster's name, another cluster's accounts could be mistaken for those of Secrets that are gone" $part) -}}
{{- end -}}
{{- if not (fromJsonArray (include "nautobot-token.revocable" $)) -}}
{{- fail (printf "%s.enabled needs a rule with revoke: true: without one no account may be taken out of service" $part) -}}
{{- end -}}
{{- if eq (include "nautobot-token.seconds" $values.settle) "0" -}}
{{- fail (printf "%s.settle: %q: want a duration of more than 0, such as 2m: a Secret that is deleted and made again is gone for a moment" $part $values.settle) -}}
{{- end -}}
{{- end -}}
{{- if has "sync.prune" $on -}}
{{- with .Values.sync -}}
{{- if or (not .enabled) (eq .schedule "-") -}}
{{- fail "sync.prune.enabled: the full sync does it, so it needs sync.enabled=true and a sync.schedule other than -" -}}
{{- end -}}
{{- if ge (include "nautobot-token.seconds" .prune.settle | int) (include "nautobot-token.seconds" .timeout | int) -}}
{{- fail (printf "sync.prune.settle: %q: want less than sync.timeout (%s)" .prune.settle .timeout) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "nautobot-token.checkEventBus" -}}
{{- with .Values.eventBus -}}
{{- if and (not .create) (not .name) -}}
{{- fail (printf "eventBus.name is missing: with eventBus.create=false it says which EventBus of namespace %s to use (Argo's own default is called default)" $.Release.Namespace) -}}
{{- end -}}
{{- if and .create (eq (int .replicas) 1) (not .persistence.enabled) -}}
{{- fail "eventBus.replicas: 1 without eventBus.persistence.enabled: whenever its only Pod is replaced, the bus is empty, and nothing works until the Pods of the Sensor and the EventSource are replaced too: set eventBus.persistence.enabled=true, or eventBus.replicas=3" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "nautobot-token.checkServiceAccounts" -}}
{{- $names := dict -}}
{{- range $part, $account := .Values.serviceAccounts -}}
{{- if and (not $account.create) (not $account.name) -}}
{{- fail (printf "serviceAccounts.%s.name is missing: with serviceAccounts.%s.create=false it says which ServiceAccount of namespace %s to use" $part $part $.Release.Namespace) -}}
{{- end -}}
{{- $name := include "nautobot-token.serviceAccountName" (list $ $part) -}}
{{- if and $account.create (hasKey $names $name) -}}
{{- fail (printf "serviceAccounts: %s and %s are both called %q: each needs rights of its own" (get $names $name) $part $name) -}}
{{- end -}}
{{- $_ := set $names $name $part -}}
{{- end -}}
{{- end -}}

{{/* An EventSource or a Sensor too large for its Pod to start: (list KIND TEXT). Argo Events passes it as base64 in one environment variable, which Linux limits to 128 KiB. */}}
{{- define "nautobot-token.checkSize" -}}
{{- $size := index . 1 | fromYaml | toJson | b64enc | len -}}
{{- if gt $size 130000 -}}
{{- fail (printf "rules name more namespaces than one %s can hold (%d of 130000 bytes): move some of the rules to another release of the chart" (index . 0) $size) -}}
{{- end -}}
{{- end -}}
