{{/* What the schema cannot say, or not so that it helps. */}}
{{- define "nautobot-token.check" -}}
{{- include "nautobot-token.checkNautobot" . -}}
{{- include "nautobot-token.checkRules" . -}}
{{- include "nautobot-token.checkTexts" . -}}
{{- if and (not .Values.eventBus.create) (not .Values.eventBus.name) -}}
{{- fail (printf "eventBus.name is missing: with eventBus.create=false it says which EventBus of namespace %s to use (Argo's own default is called default)" .Release.Namespace) -}}
{{- end -}}
{{- range $part, $account := .Values.serviceAccounts -}}
{{- if and (not $account.create) (not $account.name) -}}
{{- fail (printf "serviceAccounts.%s.name is missing: with serviceAccounts.%s.create=false it says which ServiceAccount of namespace %s to use" $part $part $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "nautobot-token.checkNautobot" -}}
{{- with .Values.nautobot -}}
{{- if not .url -}}
{{- fail "nautobot.url is missing: give the URL of Nautobot, such as --set nautobot.url=https://nautobot.example.com" -}}
{{- end -}}
{{- if not (regexMatch `^https?://[^/?#@\s]+(/[^?#\s]*)?$` .url) -}}
{{- fail "nautobot.url: want https://HOST[:PORT][/PATH], without user, query or fragment" -}}
{{- end -}}
{{- $host := regexReplaceAll `:[0-9]*$` (urlParse .url).host "" | lower -}}
{{- if and (hasPrefix "http:" .url) (not .insecureHTTP) (not (has $host (list "localhost" "127.0.0.1" "[::1]"))) -}}
{{- fail (printf "nautobot.url: %s shows passwords and tokens on the way: use https, or set nautobot.insecureHTTP=true for a Service inside the cluster" .url) -}}
{{- end -}}
{{- range .hostnames -}}
{{- if not (regexMatch `^[A-Za-z0-9.:\[\]-]+$` .) -}}
{{- fail (printf "nautobot.hostnames: %q: want a host name or HOST:PORT, without https:// and path" .) -}}
{{- end -}}
{{- end -}}
{{- if and .caBundle.configMap .caBundle.secret -}}
{{- fail "nautobot.caBundle: configMap and secret are both set: give one" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "nautobot-token.checkRules" -}}
{{- if not .Values.rules -}}
{{- fail "rules is empty, so nothing would be watched and every Secret refused: give at least one rule, such as --set-json 'rules=[{\"namespace\":\"openstack\",\"usernames\":[\"*-openstack\"]}]'" -}}
{{- end -}}
{{- range $i, $rule := .Values.rules -}}
{{- if not (and (regexMatch `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$` .namespace) (le (len .namespace) 63)) -}}
{{- fail (printf "rules[%d].namespace: %q: want the name of one namespace; a rule for several is written once for each" $i .namespace) -}}
{{- end -}}
{{- if not .usernames -}}
{{- fail (printf "rules[%d].usernames is missing: say what the Secrets of namespace %s may call their accounts, such as [\"*-%s\"]; [\"*\"] allows any" $i .namespace .namespace) -}}
{{- end -}}
{{- if and (hasKey . "secrets") (not .secrets) -}}
{{- fail (printf "rules[%d].secrets is an empty list, so the rule is for no Secret: name some, or leave it out for all" $i) -}}
{{- end -}}
{{- range .secrets -}}
{{- if not (regexMatch `^[a-z0-9.*?\[\]^-]+$` .) -}}
{{- fail (printf "rules[%d].secrets: %q: want names of Secrets, or globs with * ? and [ ]" $i .) -}}
{{- end -}}
{{- end -}}
{{- range .groups -}}
{{- if not (regexMatch `^\S(.{0,148}\S)?$` .) -}}
{{- fail (printf "rules[%d].groups: %q: want names of groups in Nautobot, with 1 to 150 characters and no white space around them" $i .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Texts that would be refused only by the API server, by Argo Events or by the Job. */}}
{{- define "nautobot-token.checkTexts" -}}
{{- $name := list `^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$` "want a name of lower-case letters, digits, - and ." -}}
{{- $label := list `^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$` "want a name of at most 63 lower-case letters, digits and -" -}}
{{- $key := list `^[A-Za-z0-9._-]*$` "want a key of letters, digits, - _ and ." -}}
{{- $duration := list `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$` "want a duration such as 90s, 30m or 1h30m; the largest unit is h" -}}
{{- $texts := dict
      "nautobot.caBundle.configMap" $name
      "nautobot.caBundle.secret" $name
      "nautobot.caBundle.key" $key
      "superuserSecret.namespace" $label
      "superuserSecret.name" (list `^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$` "want the name of the Secret with the superuser token")
      "superuserSecret.key" $key
      "cluster" $name
      "managedGroup" (list `^\S(.{0,148}\S)?$` "want a name of 1 to 150 characters with no white space around it")
      "rotationGrace" $duration
      "timeout" (list `^([0-9]+(\.[0-9]+)?(ms|s|m|h))*[1-9][0-9]*(\.[0-9]+)?(ms|s|m|h)$` "want a duration of more than 0, such as 90s, 2m or 1m30s")
      "image.repository" (list `^[a-z0-9][a-z0-9.:/_-]*$` "want REGISTRY/PATH, without a tag")
      "image.tag" (list `^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$` "want a tag without colon, or nothing for the chart's appVersion")
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
      "nameOverride" $label
      "fullnameOverride" $label
-}}
{{- range $path, $want := $texts -}}
{{- $value := $.Values -}}
{{- range splitList "." $path }}{{ $value = get ($value | default dict) . }}{{ end -}}
{{- if not (regexMatch (index $want 0) (toString ($value | default ""))) -}}
{{- fail (printf "%s: %q: %s" $path $value (index $want 1)) -}}
{{- end -}}
{{- end -}}
{{- range .Values.imagePullSecrets -}}
{{- if not (regexMatch (printf "%s" (index $name 0)) .name) -}}
{{- fail (printf "imagePullSecrets: %q: %s" .name (index $name 1)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
