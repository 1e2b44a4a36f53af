//! From configuration and files to what a receiver of transfers needs: its party, keys, and who delivers.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use crate::cli::open;
use crate::cli::say::Fail;
use crate::config::Config;
use crate::http::Carrier;
use crate::model::id::PartyId;
use crate::node::arrival::Receiving;
use crate::vault::opener::Opener;

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Fail> {
    fs::read(path).map(Zeroizing::new).map_err(|cause| Fail::file(path, cause))
}

/// As whom the service receives, if it does.
pub(in crate::cli) fn receiving(config: &Config) -> Result<Option<Receiving>, Fail> {
    let Some((name, signer)) = config.receive_party.as_ref().zip(config.receive_signer.as_ref()) else {
        return Ok(None);
    };
    let party = PartyId::parse(name)
        .ok_or_else(|| Fail::usage(format!("`receive.party`: `{name}` is no party's name")))?;
    let signer = open::signer(signer)?;
    let keys = config.receive_keys.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let opener = if keys.is_empty() { None } else { Some(Opener::of_pems(&keys)) };
    let opener = opener.transpose().map_err(|cause| {
        let next = "`naru keygen --alg p256 --out FILE` makes one";
        Fail::new("`receive.keys` cannot be used").why(cause).next(next)
    })?;
    let logs = config.receive_from.iter().map(|(log, _)| log.clone()).collect();
    Ok(Some(Receiving { party, signer, opener, logs }))
}

/// The logs that may deliver, each by the certificates it shows.
pub(in crate::cli) fn carriers(config: &Config) -> Result<Vec<Carrier>, Fail> {
    let mut all: Vec<Carrier> = Vec::new();
    for (log, file) in &config.receive_from {
        let read = Carrier::of_file(log, file).map_err(|cause| Fail::file(file, cause))?;
        let twice = |new: &Carrier| {
            all.iter().any(|old| old.certificate == new.certificate && old.origin != new.origin)
        };
        if read.iter().any(twice) {
            return Err(Fail::usage("`receive.from`: two logs have the same certificate"));
        }
        all.extend(read);
    }
    Ok(all)
}
