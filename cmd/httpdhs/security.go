package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"httpdhs/node"
)

// securityFlags of a node: who may speak to it, and over what.
type securityFlags struct {
	AuthTokenFile     string `placeholder:"FILE" help:"File with the token that clients have to send."`
	ClusterSecretFile string `placeholder:"FILE" help:"File with the secret that the nodes of a cluster share; it is never sent."`
	TLSCert           string `name:"tls-cert" placeholder:"FILE" help:"Certificate chain (PEM) to serve with."`
	TLSKey            string `name:"tls-key" placeholder:"FILE" help:"Its private key (PEM)."`
	TLSCA             string `name:"tls-ca" placeholder:"FILE" help:"Authorities (PEM) for the certificates of other nodes. By default the system's."`
}

func (f *securityFlags) check() error {
	switch {
	case (f.TLSCert == "") != (f.TLSKey == ""):
		return errors.New("--tls-cert and --tls-key go together: give both, or neither")
	case f.TLSCA != "" && f.TLSCert == "":
		return errors.New("--tls-ca needs --tls-cert and --tls-key")
	}
	return nil
}

// apply reads the files into cfg.
func (f *securityFlags) apply(cfg *node.Config) (err error) {
	if cfg.AuthToken, err = readSecret("--auth-token-file", f.AuthTokenFile); err != nil {
		return err
	}
	if cfg.ClusterSecret, err = readSecret("--cluster-secret-file", f.ClusterSecretFile); err != nil {
		return err
	}
	if f.TLSCert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.TLSCert, f.TLSKey)
	if err != nil {
		return fmt.Errorf("cannot use --tls-cert %s with --tls-key %s: %w", f.TLSCert, f.TLSKey, err)
	}
	cfg.ServerTLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	cfg.ClientTLS, err = clientTLS(f.TLSCA)
	return err
}

// clientTLS trusts the authorities of a file, or those of the system.
func clientTLS(file string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read --tls-ca: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--tls-ca %s holds no certificate in PEM: give the file of the CA (it begins with -----BEGIN CERTIFICATE-----)", file)
	}
	return cfg, nil
}

// readSecret reads a file that holds one secret; white space around it, such
// as the newline that editors add, is not part of it. No file, no secret.
func readSecret(flag, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", flag, err)
	}
	secret := strings.TrimSpace(string(data))
	if secret == "" {
		return "", fmt.Errorf("%s %s is empty: write one line into it", flag, file)
	}
	if strings.ContainsAny(secret, "\r\n") {
		return "", fmt.Errorf("%s %s has more than one line: leave one in it", flag, file)
	}
	return secret, nil
}
