//! Who says so: passkey items and logins, with a software authenticator and with a real Chromium's.

mod support;

#[path = "identity/chromium.rs"]
mod chromium;
#[path = "identity/claim.rs"]
mod claim;
#[path = "identity/keyset.rs"]
mod keyset;
#[path = "identity/life.rs"]
mod life;
#[path = "identity/passkey.rs"]
mod passkey;
#[path = "identity/provider.rs"]
mod provider;
