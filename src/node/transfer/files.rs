//! What a carrier keeps: one folder a demand, `transfers/<demand>`.
//!
//! | file | what | when durable |
//! |---|---|---|
//! | `since` | when the demand came, ms | before the demand's entry |
//! | `run` | how far its newest run is, sealed | after each step |
//! | `told` | what the receiver was told of the demand's end, sealed | after each telling |
//! | `item-<n>` | an item between fetching and the end of the run, sealed | before the step that fetched it is noted |
//!
//! Sealed under the person's key: of whoever is erased nothing opens. The name of a folder is the
//! id of a statement and says no more than the log's own rows. A folder without a demand is
//! harmless. Lacks any meaning of a run. Trusted: nothing that is read.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use crate::ledger::cbor;
use crate::ledger::hash;
use crate::model::id::StatementId;
use crate::model::id::Timestamp;
use crate::model::statement::Statement;
use crate::node::Error;
use crate::node::Inner;
use crate::node::folder;
use crate::node::folder::io_at;
use crate::node::intake::Prepared;
use crate::node::intake::Target;
use crate::node::people::Loaded;
use crate::node::transfer::carrier::Told;
use crate::portability::transfer::run::Run;
use crate::vault::Sealed;

const FOLDER: &str = "transfers";
const SINCE: &str = "since";
const RUN: &str = "run";
const TOLD: &str = "told";

/// The record an item is sealed as.
fn item_record(demand: &StatementId, run: u64, number: usize) -> [u8; 32] {
    let number = u64::try_from(number).unwrap_or(u64::MAX);
    hash::sha256(&[b"transfer-item", &demand.0, &run.to_be_bytes(), &number.to_be_bytes()])
}

/// The record that what was told is sealed as.
fn told_record(demand: &StatementId) -> [u8; 32] {
    hash::sha256(&[b"transfer-told", &demand.0])
}

impl Inner {
    /// What must be durable before the entries of a commit are: new persons' keys, and that demands are to be carried.
    pub(in crate::node) fn make_ready<'a>(
        &self,
        new_slots: bool,
        prepared: impl Iterator<Item = &'a Prepared>,
    ) -> Result<(), Error> {
        let mut keys = new_slots;
        for one in prepared {
            keys |= matches!(one.target, Target::Person { new: true, .. });
            if let Statement::TransferDemand(_) = one.verified.value() {
                self.mark_transfer(&one.verified.id())?;
            }
        }
        if keys { Ok(self.vault.sync()?) } else { Ok(()) }
    }

    fn transfer_folder(&self, demand: &StatementId) -> PathBuf {
        self.settings.data.join(FOLDER).join(demand.to_string())
    }

    fn mark_transfer(&self, demand: &StatementId) -> Result<(), Error> {
        let folder = self.transfer_folder(demand);
        let root = self.settings.data.join(FOLDER);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(io_at(&folder))?;
        folder::put(&folder, SINCE, &self.now().0.to_be_bytes())?;
        folder::sync(&root)?;
        folder::sync(&self.settings.data)
    }

    /// Since when a demand is known; without its date it counts as new: it is kept a while longer.
    pub(in crate::node::transfer) fn transfer_since(&self, demand: &StatementId) -> Result<Timestamp, Error> {
        let since =
            folder::read(&self.transfer_folder(demand).join(SINCE))?.and_then(|bytes| bytes.try_into().ok());
        Ok(since.map_or(self.now(), |bytes| Timestamp(u64::from_be_bytes(bytes))))
    }

    /// The demands that may have to be carried.
    pub(in crate::node::transfer) fn marked_transfers(&self) -> Result<Vec<StatementId>, Error> {
        let mut found = Vec::new();
        for folder in folder::list(&self.settings.data.join(FOLDER))? {
            found.extend(folder?.file_name().to_str().and_then(StatementId::from_hex));
        }
        Ok(found)
    }

    /// How far the newest run is; none if none began, or what stands there does not open.
    pub(in crate::node::transfer) fn read_run(
        &self,
        demand: &StatementId,
        of: &Loaded,
    ) -> Result<Option<Run>, Error> {
        let Some(sealed) = folder::read(&self.transfer_folder(demand).join(RUN))? else { return Ok(None) };
        let plain = match of.key.open(Sealed::Transfer, &of.who.subject, &demand.0, &sealed) {
            Ok(plain) => plain,
            Err(error) => {
                // What was signed stands in the log: the run begins again from there.
                tracing::warn!(cause = %error, "the state of a transfer does not open; its run begins again");
                return Ok(None);
            }
        };
        Ok(cbor::decode(&plain).ok())
    }

    pub(in crate::node::transfer) fn write_run(
        &self,
        demand: &StatementId,
        of: &Loaded,
        run: &Run,
    ) -> Result<(), Error> {
        let sealed = of.key.seal(Sealed::Transfer, &of.who.subject, &demand.0, &cbor::encode(run)?)?;
        folder::put(&self.transfer_folder(demand), RUN, &sealed)
    }

    /// What its receiver was told of its end; none if nothing was, or what stands there does not open.
    pub(in crate::node::transfer) fn read_told(
        &self,
        demand: &StatementId,
        of: &Loaded,
    ) -> Result<Option<Told>, Error> {
        let Some(sealed) = folder::read(&self.transfer_folder(demand).join(TOLD))? else { return Ok(None) };
        let plain = of.key.open(Sealed::Transfer, &of.who.subject, &told_record(demand), &sealed);
        Ok(plain.ok().and_then(|plain| cbor::decode(&plain).ok()))
    }

    pub(in crate::node::transfer) fn write_told(
        &self,
        demand: &StatementId,
        of: &Loaded,
        told: &Told,
    ) -> Result<(), Error> {
        let plain = cbor::encode(told)?;
        let sealed = of.key.seal(Sealed::Transfer, &of.who.subject, &told_record(demand), &plain)?;
        folder::put(&self.transfer_folder(demand), TOLD, &sealed)
    }

    /// It is carried again: its next end is told anew.
    pub(in crate::node::transfer) fn forget_told(&self, demand: &StatementId) -> Result<(), Error> {
        let path = self.transfer_folder(demand).join(TOLD);
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(io_at(&path)(cause)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether anything of a demand is still to be done here.
    pub(in crate::node::transfer) fn is_marked(&self, demand: &StatementId) -> Result<bool, Error> {
        let folder = self.transfer_folder(demand);
        folder.try_exists().map_err(io_at(&folder))
    }

    pub(in crate::node::transfer) fn keep_item(
        &self,
        demand: &StatementId,
        of: &Loaded,
        (run, number): (u64, usize),
        bytes: &[u8],
    ) -> Result<(), Error> {
        let record = item_record(demand, run, number);
        let sealed = of.key.seal(Sealed::Transfer, &of.who.subject, &record, bytes)?;
        folder::put(&self.transfer_folder(demand), &format!("item-{number}"), &sealed)
    }

    /// An item as it was fetched; none if it is gone or damaged.
    pub(in crate::node::transfer) fn kept_item(
        &self,
        demand: &StatementId,
        of: &Loaded,
        (run, number): (u64, usize),
    ) -> Result<Option<Vec<u8>>, Error> {
        let path = self.transfer_folder(demand).join(format!("item-{number}"));
        let Some(sealed) = folder::read(&path)? else { return Ok(None) };
        let record = item_record(demand, run, number);
        Ok(of.key.open(Sealed::Transfer, &of.who.subject, &record, &sealed).ok())
    }

    /// Removes what was fetched: nothing of hers is kept longer than it is carried.
    pub(in crate::node::transfer) fn drop_items(&self, demand: &StatementId) -> Result<(), Error> {
        let folder = self.transfer_folder(demand);
        for file in folder::list(&folder)? {
            let file = file?;
            if file.file_name().to_str().is_some_and(|name| name.starts_with("item-")) {
                fs::remove_file(file.path()).map_err(io_at(&folder))?;
            }
        }
        Ok(())
    }

    /// Removes a demand that is not carried any more.
    pub(in crate::node::transfer) fn drop_transfer(&self, demand: &StatementId) -> Result<(), Error> {
        let folder = self.transfer_folder(demand);
        match fs::remove_dir_all(&folder) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(io_at(&folder)(cause)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
