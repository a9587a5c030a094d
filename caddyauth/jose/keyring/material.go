package keyring

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"math/big"
)

const (
	minRSABits = 2048 // RFC 7518 section 3.3
	maxRSABits = 8192 // verifying with a larger key takes too long
)

// check refuses a public key the algorithm must not be used with and returns
// the one length, in bytes, its signatures have.
func (a *algorithm) check(public crypto.PublicKey) (signatureSize int, err error) {
	if !a.fits(public) {
		return 0, fmt.Errorf("algorithm %s does not fit a key of %s", a.name, describe(public))
	}
	switch k := public.(type) {
	case *rsa.PublicKey:
		return (k.N.BitLen() + 7) / 8, checkRSA(k)
	case *ecdsa.PublicKey:
		if _, err := k.Bytes(); err != nil {
			return 0, fmt.Errorf("point is not on curve %s", k.Params().Name)
		}
		return 2 * ((k.Params().BitSize + 7) / 8), nil
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return 0, fmt.Errorf("ed25519 key is %d bytes, not %d", len(k), ed25519.PublicKeySize)
		}
		return ed25519.SignatureSize, nil
	}
	return 0, fmt.Errorf("key of %s is not supported", describe(public))
}

// checkRSA refuses RSA keys that are short, oversized, or known to be weak.
func checkRSA(k *rsa.PublicKey) error {
	switch bits := k.N.BitLen(); {
	case bits < minRSABits:
		return fmt.Errorf("RSA key is %d bits, at least %d are needed", bits, minRSABits)
	case bits > maxRSABits:
		return fmt.Errorf("RSA key is %d bits, at most %d are allowed", bits, maxRSABits)
	case k.N.Sign() <= 0 || k.N.Bit(0) == 0:
		return errors.New("RSA modulus is not an odd positive number")
	case k.E < 3 || k.E&1 == 0 || int64(k.E) > math.MaxInt32:
		return fmt.Errorf("RSA exponent %d is not an odd number from 3 to 2^31-1", k.E)
	case isROCA(k.N):
		return errors.New("RSA key was made by a generator with a known flaw (CVE-2017-15361)")
	}
	return nil
}

// rocaPrimes are the small primes by which moduli of the flawed generator of CVE-2017-15361 are
// recognised.
var rocaPrimes = []int64{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157}

// isROCA reports whether the modulus is a power of 65537 modulo each of the
// marker primes. An honest key is one by chance once in about 10^8.
func isROCA(n *big.Int) bool {
	var rest, prime big.Int
	for _, p := range rocaPrimes {
		rest.Mod(n, prime.SetInt64(p))
		if !isPowerOf65537(rest.Int64(), p) {
			return false
		}
	}
	return true
}

// isPowerOf65537 reports whether x is in the group that 65537 generates
// modulo the prime p.
func isPowerOf65537(x, p int64) bool {
	g := 65537 % p
	for v := g; ; v = v * g % p {
		if v == x {
			return true
		}
		if v == 1 {
			return false
		}
	}
}
