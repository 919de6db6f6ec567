// Package apikeys keeps the API keys of the HTTP gateway: for which tenant and source a key publishes, which types of
// events, whether it may read, and until when it holds.
//
// A key is composerp_ID_SECRET. The ID names it everywhere and is no secret; the secret is 256 random bits that are
// shown once, when the key is made. The database has their SHA-256: random bits need no slower hash.
//
// # Invariants
//
//   - No function returns a secret but Create, and the operator log has none.
//   - What a key may do never changes: another key is made, and the old one revoked.
//   - A revoked key stays revoked, and its row stays: the log's events name its source.
//   - Whether a key has expired is decided by the database's clock.
//
// # What a crash leaves, step by step
//
//	before the commit of Create, Expire or Revoke   nothing, and no entry in the operator log
//	after that of Create, before the secret is      a key whose secret is lost: `composerp keys list` shows it, revoke it
//	shown
package apikeys
