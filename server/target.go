package server

import (
	"bytes"
)

// splitTarget takes a request target apart as it was sent: nothing is decoded
// or tidied. An absolute target (http://host/path) counts from its path.
func splitTarget(target []byte) (path, query []byte) {
	if len(target) > 0 && target[0] != '/' {
		if _, rest, ok := bytes.Cut(target, []byte("://")); ok {
			if i := bytes.IndexAny(rest, "/?"); i >= 0 {
				target = rest[i:]
			} else {
				target = []byte("/")
			}
		}
	}
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i+1:]
	}
	return target, nil
}
