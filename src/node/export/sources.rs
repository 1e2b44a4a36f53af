//! What sources brought of her, as it was kept when the checkpoint had not yet that many entries.

use std::collections::BTreeMap;

use crate::model::id::PartyId;
use crate::node::Error;
use crate::node::deposit::Deposited;
use crate::node::deposit::hex;
use crate::node::export::Export;
use crate::portability::Archive;
use crate::portability::Completeness;
use crate::portability::ItemKind;
use crate::portability::Reason;
use crate::portability::Withheld;
use crate::portability::parcel::Parcels;
use crate::portability::source::BY_SOURCE;
use crate::portability::source::folder_of;

/// Sees one deposit.
type See<'a> = dyn FnMut(&[u8; 16], &Deposited) -> Result<(), Error> + 'a;

/// Heads read at a time.
const PAGE: usize = 256;

impl Export {
    /// Folder by folder: origins in lists, originals and their forms in the parcels beside them.
    pub(in crate::node::export) fn sources(
        &self,
        archive: &mut Archive<'_>,
        complete: &mut Completeness,
    ) -> Result<(), Error> {
        // Two parties whose items happen to begin alike take turns: each goes on where it was. Of each its
        // name and a number stay in memory, and one parcel of all.
        let mut next: BTreeMap<PartyId, u64> = BTreeMap::new();
        let mut open: Option<PartyId> = None;
        let mut parcels = Parcels::new(ItemKind::Deposit, BY_SOURCE);
        self.each_source(&mut |record, head| {
            if open.as_ref() != Some(&head.party) {
                complete.lists.extend(parcels.write(archive)?);
                if let Some(before) = open.replace(head.party.clone()) {
                    next.insert(before, parcels.number());
                }
                parcels.turn_to(&folder_of(&head.party), next.get(&head.party).copied().unwrap_or(1));
            }
            if parcels.is_full() {
                complete.lists.extend(parcels.write(archive)?);
            }
            let text = hex(record);
            let origin = head.origin(&text);
            let row = origin.row(&|name| parcels.within(name));
            parcels.row(&row)?;
            parcels.file(&origin.original(), &self.node.part_of(&self.loaded, b'o', record)?)?;
            if let Some(form) = origin.form() {
                parcels.file(&form, &self.node.part_of(&self.loaded, b'f', record)?)?;
            }
            Ok(())
        })?;
        complete.lists.extend(parcels.write(archive)?);
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
