package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"httpdhs/disk"
)

var (
	diskBytes    = newDesc("disk_bytes", "What the log in --data-dir takes.")
	diskLive     = newDesc("disk_live_bytes", "Of that, about what the records take that are held.")
	diskUnsynced = newDesc("disk_unsynced_bytes", "What was written to the log and is not synced yet.")
	diskMax      = newDesc("disk_limit_bytes", "The bound of --max-disk; 0 is none.")
	diskSegments = newDesc("disk_segments", "Files that the log has.")
	diskFault    = newDesc("disk_fault", "Whether writes are refused, since the disk fails or is full.")
	diskFaults   = newDesc("disk_faults_total", "How often that has begun.")
	diskWritten  = newDesc("disk_written_bytes_total", "Bytes written to the log.")
	diskChanged  = newDesc("disk_changed_bytes_total", "Of these, what the changes took; the rest is what cleaning copies.")
	diskCopied   = newDesc("disk_copied_records_total", "Records that cleaning has written again.")
	diskCleaned  = newDesc("disk_cleaned_segments_total", "Files that cleaning has removed.")
	diskBehind   = newDesc("disk_cleaning_behind_bytes", "How far the log is above what cleaning keeps it at.")
	diskDamaged  = newDesc("disk_damaged_total", "Parts of the log that were found damaged.")
	diskSync     = newDesc("disk_sync_seconds", "Time of the syncs of the log.")
	diskSyncMost = newDesc("disk_longest_sync_seconds", "The longest of them since the start.")
	diskLoaded   = newDesc("disk_loaded_records", "Records that were read from the log at the start.")
	diskLoadTime = newDesc("disk_load_seconds", "How long that took.")

	diskDescs = []*prometheus.Desc{
		diskBytes, diskLive, diskUnsynced, diskMax, diskSegments, diskFault, diskFaults, diskWritten, diskChanged, diskCopied,
		diskCleaned, diskBehind, diskDamaged, diskSync, diskSyncMost, diskLoaded, diskLoadTime,
	}
)

func (e emitter) disk(s disk.Stats) {
	e.gauge(diskBytes, s.Bytes)
	e.gauge(diskLive, s.Live)
	e.gauge(diskUnsynced, s.Unsynced)
	e.gauge(diskMax, s.Max)
	e.gauge(diskSegments, int64(s.Segments))
	e.gauge(diskFault, oneIf(s.Fault))
	e.counter(diskFaults, s.Faults)
	e.counter(diskWritten, s.Written)
	e.counter(diskChanged, s.Changed)
	e.counter(diskCopied, s.Copied)
	e.counter(diskCleaned, s.Cleaned)
	e.gauge(diskBehind, s.Behind)
	e.counter(diskDamaged, s.Damaged)
	e <- prometheus.MustNewConstSummary(diskSync, uint64(s.Syncs), s.SyncTime.Seconds(), nil)
	e <- prometheus.MustNewConstMetric(diskSyncMost, prometheus.GaugeValue, s.SyncLongest.Seconds())
	e.gauge(diskLoaded, s.Loaded)
	e <- prometheus.MustNewConstMetric(diskLoadTime, prometheus.GaugeValue, s.LoadTime.Seconds())
}
