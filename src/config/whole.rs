//! What is wrong with a configuration as a whole: keys that need one another, or contradict.

use crate::config::Config;
use crate::config::Draft;
use crate::config::Engine;
use crate::config::Error;

impl Draft {
    pub(super) fn finish(mut self) -> Result<Config, Error> {
        let config = self.config.clone();
        if !self.has_origin {
            self.fault("origin", "is missing; `naru init` writes it into naru.toml");
        }
        if config.anchor.is_none() && !config.danger_no_anchor {
            self.fault(
                "anchor",
                "is missing: name a file outside the data folder, or say `danger_no_anchor = true`",
            );
        }
        if config.anchor.as_ref().is_some_and(|anchor| anchor.starts_with(&config.data)) {
            self.fault("anchor", "lies inside `data`, so it would go back together with it");
        }
        if config.tick_ms == 0 || config.queue == 0 || config.use_batch_ms == 0 {
            self.fault("tick_ms, queue, use_batch_ms", "must not be 0");
        }
        if config.tls_cert.is_some() != config.tls_key.is_some() {
            self.fault("tls", "`cert` and `key` come together");
        }
        if config.outbound_cert.is_some() != config.outbound_key.is_some() {
            self.fault("outbound", "`cert` and `key` come together");
        }
        self.security(&config);
        self.receive(&config);
        match config.engine {
            Engine::Fjall => {}
            Engine::Memory if config.danger_forget_everything => {}
            Engine::Memory => {
                self.fault("store.engine", "`memory` needs `store.danger_forget_everything = true`");
            }
            Engine::Sled if !cfg!(feature = "store-sled") => {
                self.fault("store.engine", "this build has no sled; build with `--features store-sled`");
            }
            Engine::Sled if config.danger_accept_power_loss => {}
            Engine::Sled => {
                self.fault("store.engine", "`sled` needs `store.danger_accept_power_loss = true`");
            }
        }
        if self.faults.is_empty() { Ok(config) } else { Err(Error { faults: self.faults }) }
    }
}

impl Draft {
    /// Whoever receives must know who delivers, and be able to sign what came.
    fn receive(&mut self, config: &Config) {
        let (party, signer) = (config.receive_party.is_some(), config.receive_signer.is_some());
        let (keys, from) = (!config.receive_keys.is_empty(), !config.receive_from.is_empty());
        if (party || signer || keys || from) && !(party && signer && from) {
            self.fault("receive", "`party`, `signer` and `from` come together");
        } else if party && (config.tls_cert.is_none() || !config.tls_ask_clients) {
            self.fault(
                "receive",
                "needs `tls.cert`, and `tls.ask_clients`: a log is known by the certificate it shows",
            );
        }
    }

    /// RFC 9116 sections 2.5.3 and 2.5.5: contacts are URIs, and the date is there once.
    fn security(&mut self, config: &Config) {
        let schemes = ["mailto:", "https://", "tel:"];
        let uri = |contact: &String| {
            contact.bytes().all(|b| b.is_ascii_graphic()) && schemes.iter().any(|s| contact.starts_with(s))
        };
        if !config.security_contact.iter().all(uri) {
            self.fault("security.contact", "must be `mailto:`, `https://` or `tel:` URIs");
        }
        let wanted = !config.security_contact.is_empty();
        if wanted == config.security_expires.is_empty() {
            self.fault("security", "`contact` and `expires` come together");
        } else if wanted && !is_instant(&config.security_expires) {
            self.fault("security.expires", "must be an instant such as `2027-06-30T00:00:00Z`");
        }
    }
}

/// Whether a text has the form `2027-06-30T00:00:00Z` (RFC 3339, in UTC).
fn is_instant(text: &str) -> bool {
    let form = "0000-00-00T00:00:00Z";
    let fits = |(mark, byte): (u8, u8)| if mark == b'0' { byte.is_ascii_digit() } else { byte == mark };
    let part = |range| text.get(range).and_then(|digits: &str| digits.parse::<u32>().ok()).unwrap_or(99);
    text.len() == form.len()
        && form.bytes().zip(text.bytes()).all(fits)
        && (1..=12).contains(&part(5..7))
        && (1..=31).contains(&part(8..10))
        && part(11..13) < 24
        && part(14..16) < 60
        && part(17..19) < 61
}
