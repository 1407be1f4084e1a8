{{/* The bytes of size .size, by what .units says of the letters behind the number. */}}
{{- define "httpdhs.bytes" -}}
{{- mulf (regexFind "^[0-9.]+" .size | float64) (get .units (regexFind "[A-Za-z]*$" .size) | default 1) -}}
{{- end -}}

{{/* What the schema cannot say: values that do not go together. */}}
{{- define "httpdhs.check" -}}
{{- if regexMatch "^[^a-z]" (include "httpdhs.fullname" .) -}}
{{- fail (printf "services would be called %s, and have to begin with a letter: set fullnameOverride" (include "httpdhs.fullname" .)) -}}
{{- end -}}
{{- $ports := dict (toString .Values.port) "port" -}}
{{- range $name, $port := dict "resp.port" (ternary .Values.resp.port 0 .Values.resp.enabled) "metrics.port" .Values.metrics.port -}}
{{- with get $ports (toString $port) -}}
{{- fail (printf "%s and %s are both %v: give each a port of its own" . $name $port) -}}
{{- end -}}
{{- if $port -}}{{- $_ := set $ports (toString $port) $name -}}{{- end -}}
{{- end -}}
{{- $node := include "httpdhs.nodeLabels" . | fromYaml -}}
{{- $own := include "httpdhs.labels" . | fromYaml -}}
{{- $metrics := .Values.metrics -}}
{{- range $labels := list (list "podLabels" .Values.podLabels $node) (list "service.labels" .Values.service.labels $own) (list "metrics.serviceMonitor.labels" $metrics.serviceMonitor.labels $own) (list "metrics.prometheusRule.labels" $metrics.prometheusRule.labels $own) -}}
{{- range $label, $_ := index $labels 1 -}}
{{- if hasKey (index $labels 2) $label -}}
{{- fail (printf "%s has %s, which the chart sets itself: leave it out" (index $labels 0) $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $bounded := or .Values.maxMemory (dig "limits" "memory" "" (.Values.resources | default dict)) -}}
{{- if and (eq .Values.eviction "s3-fifo") (or (not $bounded) (eq .Values.maxMemory "0")) -}}
{{- fail "eviction s3-fifo makes room at a bound: set resources.limits.memory or maxMemory" -}}
{{- end -}}
{{- with .Values.persistence -}}
{{- if and .enabled .maxDisk -}}
{{- $k := 1024 -}}{{- $m := mul $k $k -}}{{- $g := mul $m $k -}}{{- $t := mul $g $k -}}
{{- $log := dict "k" $k "K" $k "KiB" $k "M" $m "MiB" $m "G" $g "GiB" $g "T" $t "TiB" $t "kB" 1e3 "MB" 1e6 "GB" 1e9 "TB" 1e12 -}}
{{- $volume := dict "Ki" $k "Mi" $m "Gi" $g "Ti" $t "Pi" (mul $t $k) "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 -}}
{{- $most := include "httpdhs.bytes" (dict "size" .maxDisk "units" $log) | float64 -}}
{{- $size := include "httpdhs.bytes" (dict "size" .size "units" $volume) | float64 -}}
{{- if ge $most $size -}}
{{- fail (printf "persistence.maxDisk is %s, want less than persistence.size, %s" .maxDisk .size) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
