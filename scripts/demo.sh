#!/usr/bin/env bash
# Shows the point of httpdhs in a few seconds: three nodes, a key that goes in at one and comes out at another, and
# that is still there after a node was killed. Usage: scripts/demo.sh bin/httpdhs
set -euo pipefail

binary=$1
dir=$(mktemp -d)
declare -A node # port -> process

cleanup() {
  for port in "${!node[@]}"; do kill "${node[$port]}" 2>/dev/null || true; done
  wait
  rm -rf "$dir"
}
trap cleanup EXIT

say() { printf '\n# %s\n' "$*"; }

run() {
  printf '$ %s\n' "$*"
  "$@"
  echo
}

say "Three nodes, two copies of every key."
for port in 1234 1235 1236; do
  start=("$binary" server "--port=$port" --replicas=2 --conf=httpdhs.conf)
  printf '$ %s &\n' "${start[*]}"
  "${start[@]}" 2>"$dir/$port.log" &
  node[$port]=$!
done

for port in 1234 1235 1236; do
  for ((try = 0; ; try++)); do
    curl -fs -o "$dir/ready" "localhost:$port/readyz" && kill -0 "${node[$port]}" 2>/dev/null && break
    if ! kill -0 "${node[$port]}" 2>/dev/null || ((try == 100)); then
      echo "the node on port $port did not get ready:" >&2
      cat "$dir/$port.log" >&2
      exit 1
    fi
    sleep 0.1
  done
done

say "In at one node ..."
run curl -fsS -i -XPUT -dvalue=myvalue http://localhost:1234/db/mykey

say "... and out at another."
run curl -fsS http://localhost:1235/db/mykey

say "Kill a node without a word of warning: the key is still there."
printf '$ kill -9 %s\n' "${node[1234]}"
{ kill -9 "${node[1234]}" && wait "${node[1234]}"; } 2>/dev/null || true
unset 'node[1234]'
run curl -fsS http://localhost:1236/db/mykey

say "That was the demo; the nodes are being stopped. \`make cluster\` runs three until Ctrl-C."
