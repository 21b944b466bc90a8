package ssh

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/pawl-dev/pawl/internal/fault"
)

// certify offers the certificate, where there is one, before the key that it was signed for. A file that the
// configuration names must be good; one that only lies beside the key is left out when its time is over, since the host
// may know the key itself. Files are read at every connection: short-lived certificates are replaced all the time.
func (k keys) certify(cfg Config) (keys, error) {
	file, named := cfg.CertificateFile, cfg.CertificateFile != ""
	if !named && cfg.KeyFile != "" {
		file = cfg.KeyFile + "-cert.pub" // where ssh looks for it: ssh_config(5), CertificateFile
	}
	if file == "" {
		return k, nil
	}
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) && !named {
		return k, nil
	}
	if err != nil {
		return k, fault.Wrap(fault.InvalidInput, "read SSH certificate", file, withoutPath(err), "")
	}
	cert, err := parseCertificate(text)
	if err != nil {
		return k, fault.Wrap(fault.Unauthorized, "read SSH certificate", file, err, "name the file that the SSH CA signed")
	}
	if why := outOfTime(cert, time.Now()); why != "" {
		if !named {
			k.from += "; its certificate " + file + " was left out: it " + why
			return k, nil
		}
		return k, fault.New(fault.Unauthorized, "connect to", cfg.target(), fmt.Sprintf("the certificate %s %s", file, why),
			"have the CA sign a new one; the file is read again at the next attempt")
	}
	for _, signer := range k.signers {
		if !bytes.Equal(signer.PublicKey().Marshal(), cert.Key.Marshal()) {
			continue
		}
		certified, err := gossh.NewCertSigner(cert, signer)
		if err != nil {
			return k, fault.Wrap(fault.Unauthorized, "read SSH certificate", file, err, "")
		}
		k.signers = append([]gossh.Signer{certified}, k.signers...)
		k.from += " with certificate " + file
		k.remedy = fmt.Sprintf("check that the host trusts the CA %s (TrustedUserCAKeys in sshd_config) and lets the certificate's principals (%s) log in as %s",
			gossh.FingerprintSHA256(cert.SignatureKey), strings.Join(cert.ValidPrincipals, ", "), cfg.User)
		return k, nil
	}
	return k, fault.New(fault.Unauthorized, "read SSH certificate", file, "it was signed for another key than "+k.from,
		"have the CA sign this key's public half")
}

func parseCertificate(text []byte) (*gossh.Certificate, error) {
	public, _, _, _, err := gossh.ParseAuthorizedKey(text)
	if err != nil {
		return nil, err
	}
	cert, ok := public.(*gossh.Certificate)
	switch {
	case !ok:
		return nil, fmt.Errorf("it holds a public key (%s), wanted a certificate", public.Type())
	case cert.CertType != gossh.UserCert:
		return nil, fmt.Errorf("it is the certificate of a host, wanted one of a user")
	}
	return cert, nil
}

// outOfTime says why the certificate is not valid now, or "".
func outOfTime(cert *gossh.Certificate, now time.Time) string {
	at := func(seconds uint64) string { return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339) }
	unix := uint64(now.Unix())
	switch {
	case unix < cert.ValidAfter:
		return "is not valid before " + at(cert.ValidAfter)
	case cert.ValidBefore != gossh.CertTimeInfinity && unix >= cert.ValidBefore:
		return "expired at " + at(cert.ValidBefore)
	}
	return ""
}
