package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dev is a cluster in one process, that says where it is and what to try, and
// that Ctrl-C ends.
func TestDev(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 3)
	p, err := launch(t.TempDir(), nil, "dev", fmt.Sprintf("--port=%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s%s", &p.out, &p.err)
		}
	})
	c := &cluster{ports: []int{port, port + 1, port + 2}, nodes: []*process{p, p, p}}
	if err := c.awaitReady(); err != nil {
		t.Fatal(err)
	}
	if a := c.do(0, "PUT", "/db/greeting", "hello"); a.status != 201 || a.header.Get("X-Dht-Acks") != "2/2" {
		t.Errorf("PUT: %d %v", a.status, a.header)
	}
	wantValues(t, c, map[string]string{"greeting": "hello"}, 0, 1, 2)
	for i := range 3 {
		if out := p.out.String(); !strings.Contains(out, c.url(i)) || !strings.Contains(out, "curl ") {
			t.Errorf("dev says\n%s", out)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if status, err := p.wait(); status != 0 || err != nil {
		t.Errorf("Ctrl-C: %d %v", status, err)
	}
}

// With certificates and a secret in files, nodes speak TLS to each other and
// to clients that trust the authority.
func TestSecureFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("between nodes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := newCluster(dir, "--tls-cert="+cert, "--tls-key="+key, "--tls-ca="+cert, "--cluster-secret-file="+secret)
	if c == nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.close()
		c.showIfFailed(t)
	})
	if err != nil {
		t.Fatal(err)
	}
	ca := "--tls-ca=" + cert
	if status, _, stderr := run(t, nil, "put", "--w=all", "secure", "value", c.to(), ca); status != 0 {
		t.Errorf("put: %d %s", status, stderr)
	}
	for i := range 3 {
		if status, stdout, stderr := run(t, nil, "get", "secure", "--to=https://"+c.addr(i), ca); status != 0 || stdout != "value" {
			t.Errorf("get: %d %q %s", status, stdout, stderr)
		}
	}
	if status, stdout, stderr := run(t, nil, "get", "secure", "--to=https://"+c.addr(0)); status != 1 || stdout != "" || !strings.Contains(stderr, "certificate") {
		t.Errorf("get without the authority: %d %q %s", status, stdout, stderr)
	}
}

// certificate writes a certificate for this machine, and its key, to files.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "httpdhs test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}
