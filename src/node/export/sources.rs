//! What sources brought of her, as it was kept when the checkpoint had not yet that many entries.

use std::io::Write;

use crate::node::Error;
use crate::node::deposit::Deposited;
use crate::node::deposit::hex;
use crate::node::export::Export;
use crate::portability;
use crate::portability::Archive;
use crate::portability::Completeness;
use crate::portability::Item;
use crate::portability::ItemKind;
use crate::portability::Reason;
use crate::portability::Withheld;
use crate::portability::source::SOURCES;

/// Sees one deposit.
type See<'a> = dyn FnMut(&[u8; 16], &Deposited) -> Result<(), Error> + 'a;

/// Heads read at a time.
const PAGE: usize = 256;

impl Export {
    /// The list of them first, then originals and their forms, one after the other.
    pub(in crate::node::export) fn sources(
        &self,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(), Error> {
        archive.begin(SOURCES)?;
        self.each_source(&mut |record, head| {
            let text = hex(record);
            Ok(writeln!(archive, "{}", head.origin(&text).row()).map_err(portability::Error::from)?)
        })?;
        self.each_source(&mut |record, head| {
            let text = hex(record);
            let origin = head.origin(&text);
            let path = origin.original();
            archive.file(&path, &self.node.part_of(&self.loaded, b'o', record)?)?;
            if let Some(form) = origin.form() {
                archive.file(&form, &self.node.part_of(&self.loaded, b'f', record)?)?;
            }
            complete.exported.push(Item { kind: ItemKind::Deposit, id: text, path });
            Ok(())
        })?;
        let what = format!("items that sources brought from entry {} on", self.covering.size);
        complete.withheld.push(Withheld::new(ItemKind::Deposit, what, Reason::AfterCheckpoint));
        Ok(())
    }

    /// Every deposit the checkpoint covers, a page of heads in memory at a time.
    fn each_source(&self, see: &mut See<'_>) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = self.node.deposited(&self.loaded, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            for (record, head) in page.iter().filter(|(_, head)| head.size < self.covering.size) {
                see(record, head)?;
            }
        }
    }
}
