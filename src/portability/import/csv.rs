//! A table: its first row names the columns, every further row is an item.
//!
//! What a column means is not guessed: all cells are labels. Lacks: other
//! separators than the comma, rows of unequal length.

use super::Item;
use super::Kind;
use super::Label;
use super::MAX_ITEMS;
use super::Refused;

/// Most columns.
const MAX_COLUMNS: usize = 512;

/// The rows of a table.
pub(super) fn items(text: &str) -> Result<Vec<Item>, Refused> {
    let shape = || Refused::Lies { what: "its rows are not all as long as the first" };
    let mut reader = ::csv::ReaderBuilder::new().has_headers(true).from_reader(text.as_bytes());
    let heads = reader.headers().map_err(|_| shape())?.clone();
    if heads.is_empty() || heads.iter().all(str::is_empty) {
        return Err(Refused::Lies { what: "its first row names no columns" });
    }
    if heads.len() > MAX_COLUMNS {
        return Err(Refused::TooMuch);
    }
    let mut items = Vec::new();
    for (number, row) in (1..).zip(reader.records()) {
        let row = row.map_err(|_| shape())?;
        if items.len() == MAX_ITEMS {
            return Err(Refused::TooMuch);
        }
        let mut item = Item::new(Kind::Row, format!("row:{number}"));
        let cells = heads.iter().zip(row.iter()).filter(|(_, cell)| !cell.is_empty());
        item.labels = cells.map(|(name, cell)| Label { name: name.into(), text: cell.into() }).collect();
        items.push(item);
    }
    Ok(items)
}
