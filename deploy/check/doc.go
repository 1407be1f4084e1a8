// Package check holds the tests of the chart in deploy/helm, and of what is beside it.
//
// It is a module of its own. It decodes what the chart renders with the types of Kubernetes and of
// the Prometheus operator, and the dashboard with those of Grafana. These bring modules along that
// no user of httpdhs needs.
package check
