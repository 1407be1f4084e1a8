package client

const upperHex = "0123456789ABCDEF"

// appendKey appends key to a request target so that one percent-decoding gives exactly its bytes
// back.
//
// Slashes are escaped although a node takes them as they are: proxies merge "//" and resolve
// "a/../b", and do neither with %2F. For the same reason a key that is "." or ".." has its dots
// escaped.
func appendKey(dst []byte, key string) []byte {
	dots := key == "." || key == ".."
	for i := range len(key) {
		b := key[i]
		if unreserved(b) && (b != '.' || !dots) {
			dst = append(dst, b)
			continue
		}
		dst = append(dst, '%', upperHex[b>>4], upperHex[b&15])
	}
	return dst
}

// unreserved is RFC 3986, section 2.3: what never needs escaping.
func unreserved(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		return true
	}
	return b == '-' || b == '.' || b == '_' || b == '~'
}
