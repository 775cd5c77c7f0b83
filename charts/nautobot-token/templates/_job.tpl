{{/* The Job that the Sensor creates. Its arguments 1 and 3 are filled in from the event; nothing else from it gets here. */}}
{{- define "nautobot-token.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  generateName: {{ include "nautobot-token.generateName" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
  labels: # not app.kubernetes.io/instance: Argo CD would take the Job for a part of its application, and prune it
    {{- $own := dict "app.kubernetes.io/name" (include "nautobot-token.name" .) "app.kubernetes.io/component" "job" }}
    {{- merge $own (omit (.Values.commonLabels | default dict) "app.kubernetes.io/instance") | toYaml | nindent 4 }}
  {{- with .Values.job.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  backoffLimit: {{ .Values.job.backoffLimit }}
  activeDeadlineSeconds: {{ .Values.job.activeDeadlineSeconds }}
  ttlSecondsAfterFinished: {{ .Values.job.ttlSecondsAfterFinished }}
  podFailurePolicy:
    rules:
      - action: FailJob # 2: mistake in the settings, 3: refused. Another try cannot help.
        onExitCodes:
          containerName: provision
          operator: In
          values: [2, 3]
      - action: Ignore # evicted or drained: not our failure
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
  template:
    metadata:
      labels:
        {{- include "nautobot-token.podLabels" (list . "job" .Values.job.podLabels) | nindent 8 }}
      {{- with .Values.job.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      # The ResourceQuota counts the Pod while it has not ended: one that is stuck makes room for others.
      activeDeadlineSeconds: {{ .Values.job.podDeadlineSeconds | default (add 300 (include "nautobot-token.seconds" .Values.timeout)) }}
      {{- include "nautobot-token.podSpec" (list . (list "provision" "" "--namespace" "")) | nindent 6 }}
{{- end -}}

{{/* What the Job's Pod and that of `helm test` have in common: (list . ARGUMENTS). */}}
{{- define "nautobot-token.podSpec" -}}
{{- $args := index . 1 -}}
{{- with index . 0 -}}
restartPolicy: Never
enableServiceLinks: false
serviceAccountName: {{ include "nautobot-token.serviceAccountName" (list . "job") | quote }}
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
  - name: provision
    image: {{ include "nautobot-token.image" . | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: {{ toJson $args }}
    env:
      {{- include "nautobot-token.env" . | nindent 6 }}
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

{{- define "nautobot-token.env" -}}
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
  value: {{ .Values.timeout | quote }}
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
