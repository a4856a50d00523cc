package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"

	"levee/edge/tlscert"
)

type trustCmd struct {
	Data string `placeholder:"DIR" help:"The node's data folder (default: the XDG data folder)."`
	PEM  bool   `name:"pem" help:"Print the certificate itself."`
}

func (c trustCmd) Run(s *std) error {
	data, err := dataDir(c.Data)
	if err != nil {
		return err
	}
	certs, err := tlscert.Open(context.Background(), tlscert.Options{
		Issuer: tlscert.Internal, DataDir: data, Allowed: func(string) bool { return false }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer certs.Close()
	if c.PEM {
		pem, err := os.ReadFile(certs.RootPath())
		if err != nil {
			return err
		}
		_, err = s.out.Write(pem)
		return err
	}
	root := certs.Root()
	fmt.Fprintf(s.out, `The root certificate of this node's internal CA:
  file         %[1]s
  name         %[2]s
  valid until  %[3]s
  sha256       %[4]x

Only who trusts it accepts the certificates of "issuer: internal". Its key stays in the same folder.
  curl             curl --cacert %[1]s https://...
  Debian, Ubuntu   sudo cp %[1]s /usr/local/share/ca-certificates/levee.crt && sudo update-ca-certificates
  Fedora, RHEL     sudo trust anchor %[1]s
  macOS            sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain %[1]s
  Chromium, Linux  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n levee -i %[1]s
  Firefox          Settings, Privacy & Security, View Certificates, Authorities, Import
`, certs.RootPath(), root.Subject.CommonName, root.NotAfter.UTC().Format("2006-01-02"), sha256.Sum256(root.Raw))
	return nil
}
