package resource

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"strings"

	"millrace/internal/fieldcrypt"
)

// checkSSL checks the certificates of an ssl with their keys.
func checkSSL(doc map[string]any, w *World) error {
	if _, has := doc["ocsp_stapling"]; has && !w.Plugins.Has(StaplingPlugin) {
		return Invalid("invalid configuration: additional properties forbidden, found ocsp_stapling")
	}
	if err := checkStoredPair(text(doc, "cert"), text(doc, "key"), w.Keyring); err != nil {
		return err
	}
	if text(doc, "type") == "client" {
		return nil
	}
	if err := checkACME(doc); err != nil {
		return err
	}
	certs, _ := doc["certs"].([]any)
	keys, _ := doc["keys"].([]any)
	if len(certs) != len(keys) {
		return Invalid("mismatched number of certs and keys")
	}
	for i := range certs {
		if err := checkStoredPair(fmt.Sprint(certs[i]), fmt.Sprint(keys[i]), w.Keyring); err != nil {
			return invalidf("failed to handle cert-key pair[%d]: %s", i+1, err)
		}
	}
	client, _ := doc["client"].(map[string]any)
	if ca := text(client, "ca"); ca != "" && !isReference(ca) {
		if block, _ := pem.Decode([]byte(ca)); block == nil {
			return Invalid("failed to validate client_cert: failed to parse cert: " + msgBadCert)
		}
	}
	return nil
}

// checkACME refuses names for which no certificate can come, where there is no other.
func checkACME(doc map[string]any) error {
	if doc["acme"] != true || text(doc, "cert") != "" {
		return nil
	}
	names, _ := doc["snis"].([]any)
	for _, name := range append(names, doc["sni"]) {
		if name, _ := name.(string); strings.HasPrefix(name, "*") {
			return invalidf("acme: there is no way to get a certificate for %s: give cert and key", name)
		}
	}
	return nil
}

// The words of OpenSSL, which clients know.
const (
	msgBadCert = "PEM_read_bio_X509_AUX() failed"
	msgBadKey  = "PEM_read_bio_PrivateKey() failed"
)

// checkStoredPair is checkKeyPair for a key that may come encrypted as the store
// keeps it.
func checkStoredPair(cert, key string, ring *fieldcrypt.Keyring) error {
	if ring != nil && !isPEM(key) && !isReference(key) {
		plain := ring.Decrypt(key)
		if !isPEM(plain) && isParsableCert(cert) {
			return Invalid("failed to decrypt previous encrypted key")
		}
		key = plain
	}
	return checkKeyPair(cert, key)
}

// isPEM reports whether a key is in the clear.
func isPEM(key string) bool { return strings.HasPrefix(key, "---") }

func isParsableCert(cert string) bool {
	block, _ := pem.Decode([]byte(cert))
	return block != nil || isReference(cert)
}

// checkKeyPair checks a PEM certificate with its key, in the words of OpenSSL.
func checkKeyPair(cert, key string) error {
	if cert == "" || isReference(cert) {
		return nil
	}
	if !isParsableCert(cert) {
		return Invalid("failed to parse cert: " + msgBadCert)
	}
	if isReference(key) {
		return nil
	}
	if block, _ := pem.Decode([]byte(key)); block == nil {
		return Invalid("failed to parse key: " + msgBadKey)
	}
	if _, err := tls.X509KeyPair([]byte(cert), []byte(key)); err != nil {
		return Invalid("failed to parse key: the certificate and the key do not make a pair")
	}
	return nil
}
