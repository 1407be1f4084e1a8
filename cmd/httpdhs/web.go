package main

import "httpdhs/node"

// webFlags say which web pages, and which names, lead to a node.
type webFlags struct {
	CORSOrigins []string `name:"cors-origins" placeholder:"ORIGIN" sep:"," help:"Origins of the web pages that may read and write, such as https://app.example; repeatable. * is all. By default the node's own console alone."`
	Hosts       []string `placeholder:"NAME" sep:"," help:"Names by which clients call the node, beside its own, such as kv.example or *.kv.example; repeatable. It answers to no other then. * is any. By default any, but on the loopback its own alone."`
}

func (f *webFlags) config() node.WebConfig {
	return node.WebConfig{Origins: f.CORSOrigins, Hosts: f.Hosts}
}

func (f *webFlags) check() error {
	cfg := f.config()
	return cfg.Check()
}
