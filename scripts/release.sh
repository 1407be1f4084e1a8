#!/usr/bin/env bash
# Builds what is shipped, into $DIST, in place of what it built before. make packages and make release
# run it.
#
#   scripts/release.sh packages    a deb and an rpm for each of $ARCHS
#   scripts/release.sh release     these, an archive for each of $TARGETS, an SBOM, SHA256SUMS of all
#
# The same commit, Go and make variables come to the same bytes again. $BUILD, $VERSION, $NFPM and
# $CYCLONEDX are those of the Makefile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

: "${DIST:?}" "${VERSION:?}" "${BUILD:?}" "${NFPM:?}" "${CYCLONEDX:?}" "${ARCHS:?}" "${TARGETS:?}"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
PACKAGE_VERSION=$(scripts/package-version.sh "$VERSION")
STAGE=$(mktemp -d)
trap 'rm -rf "$STAGE"' EXIT
export SOURCE_DATE_EPOCH PACKAGE_VERSION STAGE LC_ALL=C TZ=UTC
umask 022

# binary builds for GOOS and GOARCH, and says where that is.
binary() {
  local file=$STAGE/bin/$1-$2/httpdhs
  [[ $1 != windows ]] || file+=.exe
  if [[ ! -e $file ]]; then
    # -s -w: no symbols for debuggers, a third less to fetch. Go's own stay, for stacks and profiles.
    GOOS=$1 GOARCH=$2 $BUILD -ldflags "-s -w -X main.version=$VERSION" -o "$file" ./cmd/httpdhs >&2
  fi
  echo "$file"
}

# documents writes what the binary says of itself: manual pages and completion scripts.
documents() {
  local host shell
  host=$(binary "$(go env GOHOSTOS)" "$(go env GOHOSTARCH)")
  mkdir -p "$STAGE/man" "$STAGE/completion"
  "$host" man --date="$(date -u -d "@$SOURCE_DATE_EPOCH" +%F)" "$STAGE/man"
  for shell in bash zsh fish; do
    "$host" completion "$shell" >"$STAGE/completion/httpdhs.$shell"
  done
}

packages() {
  local arch format
  mkdir -p "$STAGE/packed"
  for page in "$STAGE"/man/*.1 CHANGELOG.md; do
    gzip -9n <"$page" >"$STAGE/packed/${page##*/}.gz"
  done
  for arch in $ARCHS; do
    BINARY=$(binary linux "$arch")
    for format in deb rpm; do
      ARCH=$arch BINARY=$BINARY $NFPM package --config deploy/package/nfpm.yaml --packager "$format" --target "$DIST/"
    done
  done
}

# archive packs the binary of a target with what belongs to it, below one directory.
archive() {
  local name=httpdhs_${PACKAGE_VERSION}_$1_$2 file dir
  dir=$STAGE/archive/$name file=$(binary "$1" "$2")
  mkdir -p "$dir/man" "$dir/completion"
  install -m 755 "$file" "$dir/"
  install -m 644 LICENSE README.md CHANGELOG.md "$dir/"
  install -m 644 "$STAGE"/man/* "$dir/man/"
  install -m 644 "$STAGE"/completion/* "$dir/completion/"
  find "$dir" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  if [[ $1 == windows ]]; then
    (cd "$dir/.." && find "$name" | sort | zip -q -X -@ "$DIST/$name.zip")
  else
    tar -C "$dir/.." --format=ustar --sort=name --owner=0 --group=0 --numeric-owner -cf - "$name" | gzip -9n >"$DIST/$name.tar.gz"
  fi
}

mkdir -p "$DIST"
DIST=$(cd "$DIST" && pwd)
rm -f "$DIST"/httpdhs[_-]* "$DIST/SHA256SUMS"
documents
packages
if [[ $1 == release ]]; then
  for target in $TARGETS; do
    archive "${target%/*}" "${target#*/}"
  done
  # Of the module as a whole: the version of the commit would come from git, and name another.
  $CYCLONEDX app -json -licenses -std -noserial -notimestamp -main cmd/httpdhs -output "$DIST/httpdhs_${PACKAGE_VERSION}_sbom.cdx.json" .
  (cd "$DIST" && sha256sum -- httpdhs[_-]* >"$STAGE/sums" && mv "$STAGE/sums" SHA256SUMS)
fi
ls -l "$DIST"
