package bench

import (
	"strconv"

	"httpdhs/internal/format"
	"httpdhs/kv"
)

// template is a piece of a request made ahead: to send it is to copy it and to
// patch the key and, where the run is verified, the start of the value.
type template struct {
	text  []byte
	key   int // where it goes
	value int
}

// append appends the template with its key.
func (t *template) append(dst []byte, key uint32, keySize int) []byte {
	at := len(dst) + t.key
	dst = append(dst, t.text...)
	putDecimal(dst[at:at+keySize], uint64(key))
	return dst
}

// templates are those of the requests to one node.
type templates struct {
	get, put, del, incr template // whole requests

	bulk   template // HTTP: head of a request with many operations; key is where its length goes
	rowGet template
	rowPut template
}

// lengthDigits is room for the length of a body, padded with zeros.
const lengthDigits = 10

func (overHTTP) templates(c *Config, host string) *templates {
	common := "Host: " + host + "\r\n"
	if c.Token != "" {
		common += "Authorization: Bearer " + c.Token + "\r\n"
	}
	key, value := filler(c.KeySize), valueOf(c)
	single := func(method, query, body string) template {
		before := method + " /db/"
		text := before + key + query + " HTTP/1.1\r\n" + common
		if method == "PUT" || method == "POST" {
			text += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
		}
		text += "\r\n"
		return template{text: []byte(text + body), key: len(before), value: len(text)}
	}
	t := &templates{
		get: single("GET", "", ""), put: single("PUT", "", value), del: single("DELETE", "", ""), incr: single("POST", "?incr=1", ""),
	}
	t.bulk = bulkHead(c, common)
	t.rowGet, t.rowPut = rows(c, key, value)
	return t
}

func bulkHead(c *Config, common string) template {
	target, kind := "/load-data", format.TypeBinary
	if c.Workload == Batch {
		target = "/batch"
	}
	switch {
	case c.Format == FormatRecords:
	case c.Workload == Batch:
		kind = format.TypeNDJSON
	default:
		kind = format.TypeTSV
	}
	text := "POST " + target + " HTTP/1.1\r\n" + common + "Content-Type: " + kind + "\r\nContent-Length: "
	return template{text: []byte(text + zeros(lengthDigits) + "\r\n\r\n"), key: len(text)}
}

// rows are the operations of a bulk request.
func rows(c *Config, key, value string) (get, put template) {
	switch {
	case c.Format == FormatRecords:
		text := format.AppendGet(nil, []byte(key))
		get = template{text: text, key: len(text) - len(key)}
		text = kv.AppendRecord(nil, &kv.Record{Key: []byte(key), Entry: kv.Entry{Value: []byte(value)}})
		put = template{text: text, key: len(text) - len(key) - len(value), value: len(text) - len(value)}
	case c.Workload == Batch:
		before, between := `{"op":"get","key":"`, `","value":"`
		get = template{text: []byte(before + key + "\"}\n"), key: len(before)}
		before = `{"op":"put","key":"`
		put = template{
			text: []byte(before + key + between + value + "\"}\n"),
			key:  len(before), value: len(before) + len(key) + len(between),
		}
	default:
		put = template{text: []byte(key + "\t" + value + "\n"), value: len(key) + 1}
	}
	return get, put
}

// valueOf is the value that is put; that of a counter is where it begins.
func valueOf(c *Config) string {
	if c.Workload == Incr {
		return "0"
	}
	return filler(c.ValueSize)
}

// filler is text that needs no escaping in any of the formats.
func filler(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	text := make([]byte, n)
	for i := range text {
		text[i] = letters[i%len(letters)]
	}
	return string(text)
}

func zeros(n int) string {
	text := make([]byte, n)
	putDecimal(text, 0)
	return string(text)
}
