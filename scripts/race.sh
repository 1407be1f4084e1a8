#!/usr/bin/env bash
# All tests with the race detector: scripts/race.sh PACKAGES.
#
# The detector itself crashes now and then under testing/synctest ("ThreadSanitizer: CHECK failed", golang/go#78156; seen
# once in some thirty runs of package replicate). So does the runtime, when a select of a bubble runs a timer that is due:
# it calls the detector without a thread (SIGSEGV under runtime.(*timer).maybeRunChan; once in some thirty runs of package
# topology). That says nothing about the code, so a run that failed of this alone is made again, three times at most;
# packages that passed are cached. Any test that fails, or any race, fails at once.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
for try in 1 2 3; do
  CGO_ENABLED=1 go test -race -timeout 15m "$@" 2>&1 | tee "$log" && exit 0
  grep -qE 'ThreadSanitizer: CHECK failed|^runtime\.\(\*timer\)\.maybeRunChan' "$log" || exit 1
  grep -qE '^ *--- FAIL|WARNING: DATA RACE|^panic:|\[build failed\]|\[setup failed\]' "$log" && exit 1
  echo "the race detector crashed (see above), try $try of 3"
done
exit 1
