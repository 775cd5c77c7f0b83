{{/* The Jobs that the Sensor creates. It fills in arguments 1 and 3 of both from the event; nothing else from the event gets here. */}}
{{- define "nautobot-token.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  generateName: {{ include "nautobot-token.generateName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
  labels:
    {{- include "nautobot-token.jobLabels" (list . "job") | nindent 4 }}
  {{- with .Values.job.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  backoffLimit: {{ .Values.job.backoffLimit }}
  activeDeadlineSeconds: {{ .Values.job.activeDeadlineSeconds }}
  ttlSecondsAfterFinished: {{ .Values.job.ttlSecondsAfterFinished }}
  podFailurePolicy:
    {{- include "nautobot-token.podFailurePolicy" (list "FailJob" "provision") | nindent 4 }}
  template:
    metadata:
      labels:
        {{- include "nautobot-token.podLabels" (list . "job" .Values.job.podLabels) | nindent 8 }}
      {{- with .Values.job.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      # The ResourceQuota counts a Pod until it ends, so one that is stuck must not run forever.
      activeDeadlineSeconds: {{ .Values.job.podDeadlineSeconds | default (add 300 (include "nautobot-token.seconds" .Values.timeout)) }}
      {{- include "nautobot-token.podSpec" (list . (list "provision" "" "--namespace" "") "job" .Values.timeout) | nindent 6 }}
{{- end -}}

{{/* It waits until the Secret has been gone for `settle`. Its Pod has no deadline, so it does not count towards the ResourceQuota: while it waits, it holds up no other Job. */}}
{{- define "nautobot-token.revokeJob" -}}
{{- $settle := include "nautobot-token.seconds" .Values.revoke.settle | int -}}
{{- $args := list "revoke" "" "--namespace" "" (printf "--settle=%s" .Values.revoke.settle) (printf "--limit=%d" (int .Values.revoke.limit)) -}}
apiVersion: batch/v1
kind: Job
metadata:
  generateName: {{ include "nautobot-token.generateName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
  labels:
    {{- include "nautobot-token.jobLabels" (list . "revoke") | nindent 4 }}
  {{- with .Values.job.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  backoffLimit: {{ .Values.job.backoffLimit }}
  activeDeadlineSeconds: {{ add .Values.job.activeDeadlineSeconds $settle }}
  ttlSecondsAfterFinished: {{ .Values.job.ttlSecondsAfterFinished }}
  podFailurePolicy:
    {{- include "nautobot-token.podFailurePolicy" (list "FailJob" "revoke") | nindent 4 }}
  template:
    {{- $timeout := printf "%ds" (add $settle (include "nautobot-token.seconds" .Values.timeout)) }}
    {{- include "nautobot-token.podTemplate" (list . $args "job" $timeout) | nindent 4 }}
{{- end -}}

{{/* The Job of a CronJob: (list . ARGUMENTS). Its Pods have no deadline, so they do not wait for the ResourceQuota. */}}
{{- define "nautobot-token.syncJob" -}}
{{- $args := index . 1 -}}
{{- with index . 0 -}}
{{- $shards := int .Values.sync.shards -}}
activeDeadlineSeconds: {{ include "nautobot-token.syncDeadline" . }}
{{- if gt $shards 1 }}
completionMode: Indexed
completions: {{ $shards }}
parallelism: 2
backoffLimitPerIndex: 2
{{- $args = append $args (printf "--shard=$(JOB_COMPLETION_INDEX)/%d" $shards) }}
{{- else }}
backoffLimit: 2
{{- end }}
podFailurePolicy:
  {{- include "nautobot-token.podFailurePolicy" (list (ternary "FailIndex" "FailJob" (gt $shards 1)) "sync") | nindent 2 }}
template:
  {{- include "nautobot-token.podTemplate" (list . $args "sync" .Values.sync.timeout) | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* How long the Job of a CronJob may take, in seconds: its shards run two at a time. */}}
{{- define "nautobot-token.syncDeadline" -}}
{{- $rounds := div (add 1 .Values.sync.shards) 2 -}}
{{- .Values.sync.activeDeadlineSeconds | default (add 300 (mul $rounds (include "nautobot-token.seconds" .Values.sync.timeout))) -}}
{{- end -}}

{{/* Labels of a Job: (list . COMPONENT). Not app.kubernetes.io/instance: Argo CD would take the Job for part of its application, and prune it. */}}
{{- define "nautobot-token.jobLabels" -}}
{{- $root := index . 0 -}}
{{- $own := dict "app.kubernetes.io/name" (include "nautobot-token.name" $root) "app.kubernetes.io/component" (index . 1) -}}
{{- merge $own (omit ($root.Values.commonLabels | default dict) "app.kubernetes.io/instance") | toYaml -}}
{{- end -}}

{{/* What is not retried, and what does not count as a failure: (list ACTION CONTAINER). */}}
{{- define "nautobot-token.podFailurePolicy" -}}
rules:
  - action: {{ index . 0 }} # 2: mistake in the settings, 3: refused. Another try cannot help.
    onExitCodes:
      containerName: {{ index . 1 }}
      operator: In
      values: [2, 3]
  - action: Ignore # evicted or drained: not our failure
    onPodConditions:
      - type: DisruptionTarget
        status: "True"
{{- end -}}

{{/* The Pod of a Job: (list . ARGUMENTS ACCOUNT TIMEOUT). */}}
{{- define "nautobot-token.podTemplate" -}}
{{- $root := index . 0 -}}
metadata:
  labels:
    {{- include "nautobot-token.podLabels" (list $root (index . 1 | first) $root.Values.job.podLabels) | nindent 4 }}
  {{- with $root.Values.job.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "nautobot-token.podSpec" . | nindent 2 }}
{{- end -}}

{{/* What the Pods of all Jobs and that of `helm test` have in common: (list . ARGUMENTS ACCOUNT TIMEOUT). The container is named after the command. */}}
{{- define "nautobot-token.podSpec" -}}
{{- $args := index . 1 -}}
{{- $account := index . 2 -}}
{{- $timeout := index . 3 -}}
{{- with index . 0 -}}
restartPolicy: Never
enableServiceLinks: false
serviceAccountName: {{ include "nautobot-token.serviceAccountName" (list . $account) | quote }}
automountServiceAccountToken: true
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "nautobot-token.scheduling" .Values.job }}
containers:
  - name: {{ first $args }}
    image: {{ include "nautobot-token.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: {{ toJson $args }}
    env:
      {{- include "nautobot-token.env" (list . $timeout) | nindent 6 }}
    {{- with .Values.job.extraEnvFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    terminationMessagePolicy: FallbackToLogsOnError
    {{- with .Values.securityContext }}
    securityContext:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.job.resources }}
    resources:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    volumeMounts:
      - name: policy
        mountPath: /etc/nautobot-token/policy
        readOnly: true
      {{- if or .Values.nautobot.caBundle.configMap .Values.nautobot.caBundle.secret }}
      - name: ca
        mountPath: /etc/nautobot-token/ca
        readOnly: true
      {{- end }}
      {{- with .Values.job.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
volumes:
  - name: policy
    configMap:
      name: {{ include "nautobot-token.part" (list . "policy") | quote }}
  {{- with .Values.nautobot.caBundle.configMap }}
  - name: ca
    configMap:
      name: {{ . | quote }}
  {{- end }}
  {{- with .Values.nautobot.caBundle.secret }}
  - name: ca
    secret:
      secretName: {{ . | quote }}
  {{- end }}
  {{- with .Values.job.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* The environment: (list . TIMEOUT). */}}
{{- define "nautobot-token.env" -}}
{{- $timeout := index . 1 -}}
{{- with index . 0 -}}
- name: NAUTOBOT_URL
  value: {{ .Values.nautobot.url | quote }}
{{- if .Values.nautobot.insecureHTTP }}
- name: NAUTOBOT_INSECURE_HTTP
  value: "true"
{{- end }}
{{- with .Values.nautobot.hostnames }}
- name: NAUTOBOT_HOSTNAMES
  value: {{ join "," . | quote }}
{{- end }}
{{- if or .Values.nautobot.caBundle.configMap .Values.nautobot.caBundle.secret }}
- name: NAUTOBOT_CA_FILE
  value: {{ printf "/etc/nautobot-token/ca/%s" .Values.nautobot.caBundle.key | quote }}
{{- end }}
- name: NAUTOBOT_SUPERUSER_SECRET
  value: {{ printf "%s/%s" (include "nautobot-token.superuserNamespace" .) .Values.superuserSecret.name | quote }}
{{- with .Values.superuserSecret.key }}
- name: NAUTOBOT_SUPERUSER_SECRET_KEY
  value: {{ . | quote }}
{{- end }}
- name: NAUTOBOT_TOKEN_POLICY
  value: /etc/nautobot-token/policy/policy.yaml
{{- with .Values.cluster }}
- name: CLUSTER_NAME
  value: {{ . | quote }}
{{- end }}
- name: ROTATION_GRACE
  value: {{ .Values.rotationGrace | quote }}
- name: TIMEOUT
  value: {{ $timeout | quote }}
- name: LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
- name: LOG_FORMAT
  value: json
{{- $given := list -}}
{{- range .Values.job.extraEnv }}{{ $given = append $given (upper .name) }}{{ end -}}
{{- if and (or (has "HTTPS_PROXY" $given) (has "HTTP_PROXY" $given)) (not (has "NO_PROXY" $given)) }}
- name: NO_PROXY # the API server and Services, which a proxy cannot reach
  value: $(KUBERNETES_SERVICE_HOST),.svc,.cluster.local
{{- end }}
{{- with .Values.job.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- end -}}
