// Package check holds the tests of the chart in deploy/helm.
//
// It is a module of its own. It decodes what the chart renders with the types of Kubernetes and of
// the Prometheus operator, and these bring modules along that no user of httpdhs needs.
package check
