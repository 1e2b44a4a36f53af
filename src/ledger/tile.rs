//! C2SP tlog-tiles v0.1: paths, entry bundles, and the source proofs are made from.
//!
//! Lacks I/O: a [`Hashes`] is whatever hands out tile bytes. Nothing a source
//! answers is trusted; a proof made from wrong tiles does not verify.

use std::fmt;
use std::str::FromStr;

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u16 = 256;
/// Bytes of a full tile.
pub const FULL: usize = 256 * 32;
/// Highest tile level.
pub const MAX_LEVEL: u8 = 63;

/// Why a path, a bundle or a source's answer is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not the canonical path of a tile or bundle.
    #[error("not a canonical tile path")]
    Path,
    /// An entry that does not fit its 16-bit length.
    #[error("entry {position} of the bundle has {length} bytes, more than 65535")]
    EntryLength {
        /// Position in the bundle.
        position: usize,
        /// Its length.
        length: usize,
    },
    /// More than 256 entries.
    #[error("bundle of more than 256 entries")]
    BundleWidth,
    /// The bundle ends inside an entry.
    #[error("bundle ends inside entry {position}")]
    Truncated {
        /// Position in the bundle.
        position: usize,
    },
    /// The source does not have the tile.
    #[error("tile level {level} index {index} width {width} is missing")]
    Missing {
        /// Level.
        level: u8,
        /// Index in the level.
        index: u64,
        /// Hashes asked for.
        width: u16,
    },
    /// The source answered with another number of bytes.
    #[error("tile level {level} index {index} has {length} bytes")]
    TileLength {
        /// Level.
        level: u8,
        /// Index in the level.
        index: u64,
        /// Bytes answered.
        length: usize,
    },
    /// The source failed.
    #[error("tile source failed: {0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Hands out the hashes of a log, tile by tile.
pub trait Hashes {
    /// The first `width` hashes (1 to 256) of a tile: `width` × 32 bytes exactly.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] if it is not there, [`Error::Source`] if reading failed.
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, Error>;
}

impl<T: Hashes + ?Sized> Hashes for &T {
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<u8>, Error> {
        (**self).tile(level, index, width)
    }
}

/// Path of a tile or an entry bundle below the log's prefix.
///
/// ```text
/// tile/<L>/<N>[.p/<W>]         hashes
/// tile/entries/<N>[.p/<W>]     entries
/// ```
///
/// `L` 0 to 63; `N` in groups of three digits, all but the last with an `x`
/// before it; `W` 1 to 255, absent if the tile is full (width 256 here).
///
/// # Example
///
/// ```
/// use naru::ledger::tile::Path;
/// let path: Path = "tile/0/x001/x234/067.p/8".parse().unwrap();
/// assert_eq!(path, Path::Tile { level: 0, index: 1_234_067, width: 8 });
/// assert_eq!(path.to_string(), "tile/0/x001/x234/067.p/8");
/// assert!("tile/0/x000/067".parse::<Path>().is_err());
/// ```
///
/// Source: C2SP tlog-tiles v0.1, sections "Merkle tree" and "Log entries"
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// A bundle of entries.
    Entries {
        /// Index of the bundle.
        index: u64,
        /// Entries in it, 1 to 256.
        width: u16,
    },
    /// A tile of hashes.
    Tile {
        /// Level, 0 to 63.
        level: u8,
        /// Index in the level.
        index: u64,
        /// Hashes in it, 1 to 256.
        width: u16,
    },
}

impl FromStr for Path {
    type Err = Error;

    /// Parses the canonical form only.
    fn from_str(text: &str) -> Result<Self, Error> {
        let rest = text.strip_prefix("tile/").ok_or(Error::Path)?;
        let (kind, rest) = rest.split_once('/').ok_or(Error::Path)?;
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => {
                let width = decimal(width, 3).filter(|width| (1..=255).contains(width));
                (number, width.and_then(|width| u16::try_from(width).ok()).ok_or(Error::Path)?)
            }
            None => (rest, WIDTH),
        };
        let index = grouped(number)?;
        if kind == "entries" {
            return Ok(Self::Entries { index, width });
        }
        let level = decimal(kind, 2).and_then(|level| u8::try_from(level).ok());
        let level = level.filter(|level| *level <= MAX_LEVEL).ok_or(Error::Path)?;
        Ok(Self::Tile { level, index, width })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (index, width) = match *self {
            Self::Entries { index, width } => {
                f.write_str("tile/entries/")?;
                (index, width)
            }
            Self::Tile { level, index, width } => {
                write!(f, "tile/{level}/")?;
                (index, width)
            }
        };
        let mut groups = vec![index % 1000];
        let mut left = index / 1000;
        while left > 0 {
            groups.push(left % 1000);
            left /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place == 0 { write!(f, "{group:03}")? } else { write!(f, "x{group:03}/")? }
        }
        if width < WIDTH { write!(f, ".p/{width}") } else { Ok(()) }
    }
}

/// A decimal without leading zeros, of at most `digits` digits.
fn decimal(text: &str, digits: usize) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

fn grouped(text: &str) -> Result<u64, Error> {
    let mut groups = text.split('/').peekable();
    let (mut index, mut first) = (0u64, true);
    while let Some(group) = groups.next() {
        let last = groups.peek().is_none();
        let digits = if last { group } else { group.strip_prefix('x').ok_or(Error::Path)? };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::Path);
        }
        let value: u64 = digits.parse().map_err(|_| Error::Path)?;
        if first && !last && value == 0 {
            return Err(Error::Path);
        }
        index = index.checked_mul(1000).and_then(|index| index.checked_add(value)).ok_or(Error::Path)?;
        first = false;
    }
    Ok(index)
}

/// The paths that serve a log of `size` entries: every tile and bundle, the
/// partial ones of the right edge included.
pub fn paths(size: u64) -> impl Iterator<Item = Path> {
    let bundles = tiles_of(size).map(|(index, width)| Path::Entries { index, width });
    let levels = (0..8u8).map(move |level| (level, size >> (8 * u32::from(level))));
    let tiles = levels.flat_map(|(level, hashes)| {
        tiles_of(hashes).map(move |(index, width)| Path::Tile { level, index, width })
    });
    bundles.chain(tiles)
}

fn tiles_of(hashes: u64) -> impl Iterator<Item = (u64, u16)> {
    let edge = u16::try_from(hashes % 256).unwrap_or_default();
    let full = (0..hashes / 256).map(|index| (index, WIDTH));
    full.chain((edge > 0).then_some((hashes / 256, edge)))
}

/// Packs 1 to 256 entries: `repeat(u16be length ‖ entry)`.
///
/// # Errors
///
/// [`Error::EntryLength`], [`Error::BundleWidth`].
pub fn bundle<I>(entries: I) -> Result<Vec<u8>, Error>
where
    I: IntoIterator,
    I::Item: AsRef<[u8]>,
{
    let mut out = Vec::new();
    for (position, entry) in entries.into_iter().enumerate() {
        if position >= usize::from(WIDTH) {
            return Err(Error::BundleWidth);
        }
        let entry = entry.as_ref();
        let length =
            u16::try_from(entry.len()).map_err(|_| Error::EntryLength { position, length: entry.len() })?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(entry);
    }
    Ok(out)
}

/// Splits a bundle into its entries: the inverse of [`bundle`].
///
/// # Errors
///
/// [`Error::Truncated`], [`Error::BundleWidth`].
pub fn unbundle(mut bytes: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let position = entries.len();
        if position >= usize::from(WIDTH) {
            return Err(Error::BundleWidth);
        }
        let (length, rest) = bytes.split_first_chunk::<2>().ok_or(Error::Truncated { position })?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or(Error::Truncated { position })?;
        entries.push(entry);
        bytes = rest;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_of_the_specification() {
        let check = |text: &str, path| {
            assert_eq!(text.parse::<Path>().unwrap(), path);
            assert_eq!(path.to_string(), text);
        };
        check("tile/0/000", Path::Tile { level: 0, index: 0, width: 256 });
        check("tile/63/x001/000.p/1", Path::Tile { level: 63, index: 1000, width: 1 });
        check("tile/1/x001/x234/067", Path::Tile { level: 1, index: 1_234_067, width: 256 });
        check("tile/entries/x001/x234/067.p/255", Path::Entries { index: 1_234_067, width: 255 });
        check(
            "tile/0/x018/x446/x744/x073/x709/x551/615",
            Path::Tile { level: 0, index: u64::MAX, width: 256 },
        );
    }

    #[test]
    fn one_spelling_a_path() {
        for text in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "/tile/0/000",
            "tile/0/000/",
            "tile/64/000",
            "tile/00/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/x000",
            "tile/0/x000/000",
            "tile/0/001/000",
            "tile/0/x001/x000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/000.p/1/",
            "tile/0/000.p/1.p/1",
            "tile/0/X001/000",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "tile/8/0/000",
            "tile/data/000",
            "tile/0/0é",
            "tile/0/١٢٣",
            "tile/0/000.p/٣",
            "tile/entries/x00/000",
        ] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
    }

    #[test]
    fn paths_of_a_log() {
        let list = |size| paths(size).map(|path| path.to_string()).collect::<Vec<_>>();
        assert!(list(0).is_empty());
        assert_eq!(list(1), ["tile/entries/000.p/1", "tile/0/000.p/1"]);
        assert_eq!(list(256), ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(
            list(513),
            [
                "tile/entries/000",
                "tile/entries/001",
                "tile/entries/002.p/1",
                "tile/0/000",
                "tile/0/001",
                "tile/0/002.p/1",
                "tile/1/000.p/2",
            ]
        );
    }

    #[test]
    fn bundles() {
        let entries = [vec![], vec![1], vec![2; 65_535]];
        let bytes = bundle(&entries).unwrap();
        assert_eq!(bytes[..5], [0, 0, 0, 1, 1]);
        assert_eq!(unbundle(&bytes).unwrap(), entries);
        assert!(matches!(unbundle(&bytes[..bytes.len() - 1]), Err(Error::Truncated { position: 2 })));
        assert!(matches!(bundle([vec![0; 65_536]]), Err(Error::EntryLength { position: 0, .. })));
        assert!(matches!(bundle(vec![vec![]; 257]), Err(Error::BundleWidth)));
        assert!(matches!(unbundle(&[0; 514]), Err(Error::BundleWidth)));
    }

    proptest! {
        #[test]
        fn every_path_is_its_own_text(level in 0..=63u8, index in any::<u64>(), shift in 0..64u32, width in 1..=256u16) {
            let index = index >> shift;
            for path in [Path::Tile { level, index, width }, Path::Entries { index, width }] {
                prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
            }
        }

        #[test]
        fn whatever_parses_is_canonical(text in "tile/(entries|[0-9]{1,2})/(x?[0-9]{3}/){0,2}[0-9]{3}(.p/[0-9]{1,3})?") {
            if let Ok(path) = text.parse::<Path>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }
}
