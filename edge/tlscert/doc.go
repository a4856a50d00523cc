// Package tlscert gives the edge its certificates: certmagic behind our config, an authority of our own for development
// (issuer "internal"), or files that an operator keeps (issuer "files").
//
// A handshake asks GetCertificate with the name of its SNI. With "internal" certmagic looks in memory, then in
// DataDir/certs, then lets our root sign; renewal is begun by a handshake in the last third of a certificate's life, behind
// it. Only names that belong to a site (Options.Allowed), localhost, and the address that the connection itself reached get
// one.
//
// Names are chosen by whoever connects, so under a site with the host "*" or "*.x" they are bounded twice: a number of
// distinct certificates (Options.MaxNames) and a rate of new ones (newNames). Names one label below a wildcard host share
// one certificate. A name beyond these bounds has its handshake refused; those that have a certificate are not touched by
// it.
//
// certmagic has tables by name for the whole process, in which one handshake waits for another's certificate: a process
// should have one Certs. Several for the same names work, but a handshake of one may get what the other made, or wait for
// it.
package tlscert
