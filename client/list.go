package client

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"strconv"
	"unicode/utf8"
)

// KeysOptions of a listing; nil takes the defaults.
type KeysOptions struct {
	Prefix []byte
	Values bool // fetch the values too
	Page   int  // keys a request; 0: 1000
}

const defaultPage = 1000

// Item is a key of a listing.
type Item struct {
	Key   []byte
	Value []byte // only with KeysOptions.Values
}

// Keys lists the cluster's keys in no order that means anything, page by page
// while it is ranged over. A key that exists throughout is listed exactly
// once, whatever else changes meanwhile. An error ends the listing.
func (c *Client) Keys(ctx context.Context, opts *KeysOptions) iter.Seq2[Item, error] {
	if opts == nil {
		opts = &KeysOptions{}
	}
	return func(yield func(Item, error) bool) {
		cursor := ""
		for {
			page, err := c.keysPage(ctx, opts, cursor)
			if err != nil {
				yield(Item{}, err)
				return
			}
			for _, item := range page.Keys {
				if !yield(Item(item), nil) {
					return
				}
			}
			switch page.Cursor {
			case "":
				return
			case cursor:
				yield(Item{}, errors.New("the listing does not get on: the node returned the cursor that it was given"))
				return
			}
			cursor = page.Cursor
		}
	}
}

// keysPage is the document of GET /db.
type keysPage struct {
	Keys   []listedItem `json:"keys"`
	Cursor string       `json:"cursor"`
}

func (c *Client) keysPage(ctx context.Context, opts *KeysOptions, cursor string) (*keysPage, error) {
	limit := opts.Page
	if limit <= 0 {
		limit = defaultPage
	}
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if len(opts.Prefix) > 0 {
		query.Set("prefix", string(opts.Prefix))
	}
	if opts.Values {
		query.Set("values", "1")
	}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	page := new(keysPage)
	return page, c.getJSON(ctx, c.current(ctx).forAny(), "/db?"+query.Encode(), page)
}

// listedItem reads a key of a page: a string, or an object where the value
// comes with it or where the key is not UTF-8 and so cannot be a string.
type listedItem Item

func (i *listedItem) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var key string
		err := json.Unmarshal(data, &key)
		i.Key = []byte(key)
		return err
	}
	var doc struct {
		Key         *string `json:"key"`
		KeyBase64   []byte  `json:"key_base64"`
		Value       *string `json:"value"`
		ValueBase64 []byte  `json:"value_base64"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	i.Key, i.Value = doc.KeyBase64, doc.ValueBase64
	if doc.Key != nil {
		i.Key = []byte(*doc.Key)
	}
	if doc.Value != nil {
		i.Value = []byte(*doc.Value)
	}
	return nil
}

// AppendPrintable appends key for a line of text: as it is if it is UTF-8
// without control characters and is not in quotes, else as a quoted Go string.
// So what starts with a quote is always quoted, and every line can be read
// back.
func AppendPrintable(dst, key []byte) []byte {
	plain := utf8.Valid(key) && len(key) > 0 && key[0] != '"'
	for _, r := range string(key) {
		plain = plain && strconv.IsPrint(r)
	}
	if plain {
		return append(dst, key...)
	}
	return strconv.AppendQuote(dst, string(key))
}
