package server

import (
	"bytes"
)

var (
	formPrefix    = []byte("value=")
	typeForm      = []byte("application/x-www-form-urlencoded")
	typeMultipart = []byte("multipart/form-data")
)

// mediaType is a Content-Type without its parameters.
func mediaType(contentType []byte) []byte {
	if i := bytes.IndexByte(contentType, ';'); i >= 0 {
		contentType = contentType[:i]
	}
	return bytes.TrimSpace(contentType)
}

// isURLForm says whether a Content-Type is that of curl -d.
func isURLForm(contentType []byte) bool {
	return len(contentType) >= len(typeForm) && bytes.EqualFold(mediaType(contentType), typeForm)
}

// isForm says whether a Content-Type is of a form: it is what the client's
// tool sends by default and says nothing of the value, so it is not kept.
func isForm(contentType []byte) bool {
	return isURLForm(contentType) || bytes.EqualFold(mediaType(contentType), typeMultipart)
}

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
