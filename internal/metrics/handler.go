package metrics

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"
)

var textFormat = expfmt.NewFormat(expfmt.TypeTextPlain)

// Handler answers a scrape in the Prometheus text format. When something
// cannot be gathered, the answer is 500 with the reason: half of the metrics
// would look like a node that has lost the other half.
func Handler(from prometheus.Gatherer) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		body, err := scrape(from)
		if err != nil {
			ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
			return
		}
		ctx.SetContentType(string(textFormat))
		ctx.Response.SetBodyRaw(body)
	}
}

// Page is Handler for net/http.
func Page(from prometheus.Gatherer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		body, err := scrape(from)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", string(textFormat))
		_, _ = w.Write(body) // who has gone does not hear of it
	})
}

func scrape(from prometheus.Gatherer) ([]byte, error) {
	families, err := from.Gather()
	if err != nil {
		return nil, fmt.Errorf("cannot gather metrics: %w", err)
	}
	var body bytes.Buffer
	enc := expfmt.NewEncoder(&body, textFormat)
	for _, family := range families {
		if err := enc.Encode(family); err != nil {
			return nil, fmt.Errorf("cannot write metrics: %w", err)
		}
	}
	return body.Bytes(), nil
}
