package server

import "bytes"

var formPrefix = []byte("value=")

// formRawMax is the most bytes that a value of n takes as a form's first
// field.
func formRawMax(n int) int { return len(formPrefix) + 3*n }

var errFormFields = badRequest("the form has more fields than value, and only one value can be stored: nothing was. If the rest belongs to the value, " +
	"percent-encode it (curl --data-urlencode 'value=…'), or send it raw with another type (curl -H 'Content-Type: text/plain' --data-raw '…')")

// formValue decodes, in place, the only field of a form, whose name is "value".
// It is not ok for a body that begins with another.
func formValue(body []byte) (value []byte, ok bool, err error) {
	if !bytes.HasPrefix(body, formPrefix) {
		return nil, false, nil
	}
	field := body[len(formPrefix):]
	if bytes.IndexByte(field, '&') >= 0 {
		return nil, true, errFormFields
	}
	value, err = unescape(field[:0], field, true)
	if err != nil {
		return nil, true, badRequest("the form's value has a bad percent-encoding: " +
			"use curl --data-urlencode, or send the value raw with another Content-Type")
	}
	return value, true, nil
}
