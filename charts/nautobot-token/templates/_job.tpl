{{/* The Job that the Sensor creates. Its arguments 1 and 3 are filled in from the event; nothing else of it gets here. */}}
{{- define "nautobot-token.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  generateName: {{ include "nautobot-token.generateName" . }}
  namespace: {{ .Release.Namespace }}
  labels: # not app.kubernetes.io/instance: Argo CD would take the Job for a part of its application, and prune it
    {{- with omit .Values.commonLabels "app.kubernetes.io/instance" "app.kubernetes.io/name" "app.kubernetes.io/component" }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    app.kubernetes.io/name: {{ include "nautobot-token.name" . }}
    app.kubernetes.io/component: job
  annotations:
    {{- with .Values.job.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    nautobot-token/resource-version: "" # of what changed, by the Sensor
    nautobot-token/uid: ""
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
      restartPolicy: Never
      enableServiceLinks: false
      serviceAccountName: {{ include "nautobot-token.serviceAccountName" (list . "job") }}
      automountServiceAccountToken: true
      {{- if .Values.job.maxRunning }}
      activeDeadlineSeconds: {{ .Values.job.activeDeadlineSeconds }} # makes the Pod count for the ResourceQuota
      {{- end }}
      {{- with .Values.podSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with include "nautobot-token.scheduling" .Values.job | trim }}
      {{- . | nindent 6 }}
      {{- end }}
      containers:
        - name: provision
          image: {{ include "nautobot-token.image" . }}
          imagePullPolicy: {{ .Values.image.pullPolicy }}
          args: [provision, "", --namespace, ""]
          env:
            {{- include "nautobot-token.env" . | nindent 12 }}
          {{- with .Values.job.extraEnvFrom }}
          envFrom:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          terminationMessagePolicy: FallbackToLogsOnError
          {{- with .Values.securityContext }}
          securityContext:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .Values.job.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
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
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: policy
          configMap:
            name: {{ include "nautobot-token.part" (list . "policy") }}
        {{- with .Values.nautobot.caBundle.configMap }}
        - name: ca
          configMap:
            name: {{ . }}
        {{- end }}
        {{- with .Values.nautobot.caBundle.secret }}
        - name: ca
          secret:
            secretName: {{ . }}
        {{- end }}
        {{- with .Values.job.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
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
{{- with .Values.job.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
