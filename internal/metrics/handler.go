package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/valyala/fasthttp"
)

// Handler answers a scrape in the Prometheus text format. When something
// cannot be gathered, the answer is 500 with the reason: half of the metrics
// would look like a node that has lost the other half.
func Handler(from prometheus.Gatherer) fasthttp.RequestHandler {
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	return func(ctx *fasthttp.RequestCtx) {
		families, err := from.Gather()
		if err != nil {
			ctx.Error("cannot gather metrics: "+err.Error(), fasthttp.StatusInternalServerError)
			return
		}
		ctx.SetContentType(string(format))
		enc := expfmt.NewEncoder(ctx.Response.BodyWriter(), format)
		for _, family := range families {
			if err := enc.Encode(family); err != nil {
				ctx.Error("cannot write metrics: "+err.Error(), fasthttp.StatusInternalServerError)
				return
			}
		}
	}
}
