package token

import "github.com/caddyauth/gateway/caddyauth/domain/revocation"

// RevocationSubject returns what the token says about itself, as far as it can be revoked by it.
func (t *Token) RevocationSubject() revocation.Subject {
	return revocation.Subject{
		Issuer:   t.Issuer(),
		TokenID:  t.ID,
		Family:   t.Session,
		Project:  t.Project,
		Subject:  t.Subject,
		ClientID: t.ClientID,
		Epoch:    t.Epoch,
		Foreign:  !t.Own(),
	}
}
