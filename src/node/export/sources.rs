//! What sources brought of her, as it was kept when the checkpoint had not yet that many entries.

use std::collections::BTreeMap;

use crate::model::id::PartyId;
use crate::node::Error;
use crate::node::deposit::Deposited;
use crate::node::deposit::hex;
use crate::node::deposit::name;
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

/// An original, and its form if there is one.
type Content = (Vec<u8>, Option<Vec<u8>>);

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
        let (mut over, now) = (0, self.node.now());
        self.each_source(&mut |record, head| {
            let (head, content) = self.content(record, head.clone().told_at(now))?;
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
            let Some((original, form)) = content else {
                over += 1;
                return Ok(());
            };
            parcels.file(&origin.original(), &original)?;
            if let (Some(name), Some(form)) = (origin.form(), form) {
                parcels.file(&name, &form)?;
            }
            Ok(())
        })?;
        complete.lists.extend(parcels.write(archive)?);
        if over > 0 {
            let what = "contents of items whose list says that they are over: their demand lets them be kept no longer";
            complete.withheld.push(Withheld::many(ItemKind::Deposit, over, what, Reason::RetentionExpired));
        }
        let what = format!("items that sources brought from entry {} on", self.covering.size);
        complete.withheld.push(Withheld::new(ItemKind::Deposit, what, Reason::AfterCheckpoint));
        Ok(())
    }

    /// Original and form of an item; none of one that is over, or is meanwhile.
    fn content(&self, record: &[u8; 16], head: Deposited) -> Result<(Deposited, Option<Content>), Error> {
        let lost = || Error::Damaged("a part of a deposit is missing".into());
        let part = |part| self.node.part_of(&self.loaded, part, record);
        if head.over.is_some() {
            return Ok((head, None));
        }
        let Some(original) = part(b'o')? else {
            let now = self.node.head(&self.loaded, &name(b'h', record))?;
            return Ok((now.filter(|head| head.over.is_some()).ok_or_else(lost)?, None));
        };
        // They go together: one that is there when the other is not was read before they went.
        let form = if head.form.is_some() { part(b'f')? } else { None };
        if form.is_none() && head.form.is_some() {
            let now = self.node.head(&self.loaded, &name(b'h', record))?;
            return Ok((now.filter(|head| head.over.is_some()).ok_or_else(lost)?, None));
        }
        Ok((head, Some((original, form))))
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
