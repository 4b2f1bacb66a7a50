package plugin

import (
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strings"
	"time"

	"millrace/internal/expr"
)

// tlsVar is ssl_NAME: what TLS has settled for the client's connection.
func (c *Context) tlsVar(name string) expr.Value {
	state := c.Conn.TLS
	if state == nil {
		return expr.Value{}
	}
	switch name {
	case "server_name":
		return present(state.ServerName)
	case "protocol":
		return expr.Text(strings.Replace(tls.VersionName(state.Version), " ", "v", 1))
	case "cipher":
		return expr.Text(cipherName(state.CipherSuite))
	case "alpn_protocol":
		return present(state.NegotiatedProtocol)
	case "curve":
		return present(curveName(state.CurveID))
	case "early_data":
		return expr.Text("") // none is taken
	case "client_verify":
		return c.verified()
	case "session_reused":
		if state.DidResume {
			return expr.Text("r")
		}
		return expr.Text(".")
	}
	if rest, ok := strings.CutPrefix(name, "client_"); ok && len(state.PeerCertificates) > 0 {
		return clientCertVar(state.PeerCertificates[0], rest)
	}
	return expr.Value{}
}

// verified is what came of checking the certificate that the client has shown.
func (c *Context) verified() expr.Value {
	switch {
	case len(c.Conn.TLS.PeerCertificates) == 0:
		return expr.Text("NONE")
	case c.Stream != nil: // what fails there is the end of the connection
		return expr.Text("SUCCESS")
	case c.Conn.Client == nil:
		return expr.Text("NONE")
	}
	if err := c.Conn.Client.CheckCertificate(); err != nil {
		return expr.Text("FAILED:" + err.Error())
	}
	return expr.Text("SUCCESS")
}

// curveName is OpenSSL's name of the group that the keys were exchanged in.
func curveName(id tls.CurveID) string {
	switch id {
	case 0:
		return ""
	case tls.CurveP256:
		return "prime256v1"
	case tls.CurveP384:
		return "secp384r1"
	case tls.CurveP521:
		return "secp521r1"
	}
	return id.String()
}

// clientCertVar is ssl_client_NAME, of the certificate that the client has shown.
func clientCertVar(cert *x509.Certificate, name string) expr.Value {
	switch name {
	case "s_dn":
		return expr.Text(cert.Subject.String())
	case "i_dn":
		return expr.Text(cert.Issuer.String())
	case "serial":
		return expr.Text(strings.ToUpper(hex.EncodeToString(cert.SerialNumber.Bytes())))
	case "fingerprint":
		sum := sha1.Sum(cert.Raw)
		return expr.Text(hex.EncodeToString(sum[:]))
	case "raw_cert":
		return expr.Text(certPEM(cert))
	case "escaped_cert":
		return expr.Text(strings.ReplaceAll(url.QueryEscape(certPEM(cert)), "+", "%20"))
	case "cert": // so that it may stand in a header
		return expr.Text(strings.ReplaceAll(strings.TrimSuffix(certPEM(cert), "\n"), "\n", "\n\t"))
	case "v_start":
		return expr.Text(certTime(cert.NotBefore))
	case "v_end":
		return expr.Text(certTime(cert.NotAfter))
	case "v_remain":
		return number(max(0, int64(time.Until(cert.NotAfter)/(24*time.Hour))))
	}
	return expr.Value{}
}

func certPEM(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

// certTime writes a time as OpenSSL does.
func certTime(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }

// cipherName is OpenSSL's name of a cipher suite, which differs before TLS 1.3.
func cipherName(id uint16) string {
	name := tls.CipherSuiteName(id)
	exchange, cipher, ok := strings.Cut(strings.TrimPrefix(name, "TLS_"), "_WITH_")
	if !ok {
		return name
	}
	if exchange != "RSA" {
		cipher = exchange + "_" + cipher
	}
	return strings.NewReplacer("AES_128", "AES128", "AES_256", "AES256", "_CBC", "", "POLY1305_SHA256", "POLY1305", "_", "-").Replace(cipher)
}
