//! The page of an archive: opens by a double click, shows what is inside and checks it.
//!
//! A page opened from a disk may read no file beside it, but may load scripts. So the files
//! below `data/` are written a second time, in base64, into scripts of about a mebibyte: they
//! hold nothing but paths and base64, so no text of anybody can become code. What is long is
//! left out, and of what is many all but the first: the page says so, and checks it where she names
//! the folder. In memory is one script, with the file that comes in pieces: one of those that is known to be too long
//! for a script is left out. What is in memory as a whole anyway and would not fit gets a script of its own, which
//! is written at once. Lacks: anything that the page could fetch. Trusted: `page/viewer.js`.

use std::io;
use std::io::Write;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use serde_json::Value;
use serde_json::json;

use crate::model::terms::Vocabulary;
use crate::portability::COMPLAINT_FILES;
use crate::portability::STATEMENTS;
use crate::portability::USES;
use crate::portability::source::BY_SOURCE;

/// Path of the page.
pub(in crate::portability) const INDEX: &str = "index.html";
/// Path of its script.
pub(in crate::portability) const VIEWER: &str = "view/viewer.js";
/// Path of the labels of purposes and categories.
pub(in crate::portability) const WORDS: &str = "view/words.js";
/// Path of the log's key as a script.
pub(in crate::portability) const LOG: &str = "view/log.js";
/// The script.
pub(in crate::portability) const VIEWER_JS: &[u8] = include_bytes!("page/viewer.js");

const INDEX_HTML: &str = include_str!("page/index.html");
/// Where the scripts that carry files are named.
const SCRIPTS: &str = "{{scripts}}";

/// Bytes after which a script is full.
const SCRIPT: usize = 1 << 20;
/// Longest file that is carried, bytes: a full parcel with its directory, or one whose length is not known before.
const LONGEST: usize = 6 << 20;
/// Folders whose files may be many.
const FOLDERS: [&str; 4] = [STATEMENTS, COMPLAINT_FILES, USES, BY_SOURCE];
/// Bytes of such a folder that are carried; what there are few of comes on top.
const ROOM: usize = 16 << 20;

/// Characters that a script takes at first: a full one and, in pieces, the longest file on top. What is not used
/// of it is not taken.
const LETTERS: usize = SCRIPT + LONGEST.div_ceil(3) * 4 + (1 << 10);

/// Files on their way into scripts.
#[derive(Debug)]
pub(in crate::portability) struct Carried {
    script: String,
    scripts: usize,
    spent: [usize; FOLDERS.len()],
    file: Option<Carrying>,
}

/// A file on its way: where its line begins in the script, its bytes so far, and those that do not yet fill
/// four characters.
#[derive(Debug, Default)]
struct Carrying {
    from: usize,
    bytes: usize,
    rest: Vec<u8>,
}

/// Bytes that are four characters.
const GROUP: usize = 3;

impl Default for Carried {
    fn default() -> Self {
        Self { script: String::with_capacity(LETTERS), scripts: 0, spent: [0; FOLDERS.len()], file: None }
    }
}

/// Whether a file, or one that is at least so long, has no room in a script with others.
pub(in crate::portability) fn is_alone(path: &str, bytes: usize) -> bool {
    letters(path, bytes) > SCRIPT
}

/// Characters of a file's line.
fn letters(path: &str, bytes: usize) -> usize {
    let (before, behind) = around(path);
    bytes.div_ceil(GROUP).saturating_mul(4).saturating_add(before.len() + behind.len())
}

/// Which of the folders whose files may be many.
fn folder_of(path: &str) -> Option<usize> {
    FOLDERS.iter().position(|folder| path.starts_with(folder))
}

impl Carried {
    /// Whether a file of this path is carried.
    fn takes(&self, path: &str) -> bool {
        let spent = folder_of(path).and_then(|folder| self.spent.get(folder)).copied().unwrap_or_default();
        path.starts_with("data/") && spent < ROOM
    }

    fn spend(&mut self, path: &str, bytes: usize) {
        if let Some(spent) = folder_of(path).and_then(|folder| self.spent.get_mut(folder)) {
            *spent += bytes;
        }
    }

    /// A file comes that is at least so long. Answers the script that has no room for it.
    pub(in crate::portability) fn before(&mut self, path: &str, bytes: usize) -> Option<(String, String)> {
        let fits = self.script.len().saturating_add(letters(path, bytes)) <= SCRIPT;
        if fits || !self.takes(path) { None } else { self.rest() }
    }

    /// The path of the script that carries this file alone; none of one that is not carried, or with others.
    pub(in crate::portability) fn alone(&mut self, path: &str, bytes: usize) -> Option<String> {
        if bytes > LONGEST || !is_alone(path, bytes) || !self.takes(path) {
            return None;
        }
        self.spend(path, bytes);
        self.scripts += 1;
        Some(script_path(self.scripts))
    }

    /// A file begins.
    pub(in crate::portability) fn begin(&mut self, path: &str) {
        self.file = None;
        if self.takes(path) {
            self.file = Some(Carrying { from: self.script.len(), ..Carrying::default() });
            self.script += &around(path).0;
        }
    }

    /// The file that has begun is too long.
    pub(in crate::portability) fn leave_out(&mut self) {
        if let Some(file) = self.file.take() {
            self.script.truncate(file.from);
        }
    }

    /// More of the file: what turns out to be too long is taken back.
    pub(in crate::portability) fn write(&mut self, content: &[u8]) {
        let Some(mut file) = self.file.take() else { return };
        file.bytes += content.len();
        if file.bytes > LONGEST {
            self.script.truncate(file.from);
            return;
        }
        let lacks = (GROUP - file.rest.len()).min(content.len());
        let (first, content) = content.split_at_checked(lacks).unwrap_or((content, &[]));
        file.rest.extend_from_slice(first);
        if file.rest.len() == GROUP {
            STANDARD.encode_string(&file.rest, &mut self.script);
            let whole = content.len() - content.len() % GROUP;
            let (whole, rest) = content.split_at_checked(whole).unwrap_or((content, &[]));
            STANDARD.encode_string(whole, &mut self.script);
            file.rest.clear();
            file.rest.extend_from_slice(rest);
        }
        self.file = Some(file);
    }

    /// The file ends. Answers a script that is full.
    pub(in crate::portability) fn end(&mut self, path: &str) -> Option<(String, String)> {
        let file = self.file.take()?;
        self.spend(path, file.bytes);
        STANDARD.encode_string(&file.rest, &mut self.script);
        self.script += around(path).1;
        if self.script.len() < SCRIPT { None } else { self.rest() }
    }

    /// What no script holds yet.
    pub(in crate::portability) fn rest(&mut self) -> Option<(String, String)> {
        if self.script.is_empty() {
            return None;
        }
        self.scripts += 1;
        let path = script_path(self.scripts);
        let mut script = std::mem::take(&mut self.script);
        script += &last(&path);
        Some((path, script))
    }

    /// Takes a script back that is written: the next one needs the same room.
    pub(in crate::portability) fn written(&mut self, mut script: String) {
        script.clear();
        self.script = script;
    }

    /// The page, which loads every script.
    pub(in crate::portability) fn index(&self) -> String {
        let paths = [WORDS, LOG].map(str::to_owned).into_iter().chain((1..=self.scripts).map(script_path));
        let tags: String = paths.map(|path| format!("<script src=\"{path}\"></script>\n")).collect();
        INDEX_HTML.replace(SCRIPTS, &tags)
    }
}

fn script_path(number: usize) -> String {
    format!("view/{number:06}.js")
}

/// The last line of a script: with it the page knows that nothing of it is missing.
pub(in crate::portability) fn last(script: &str) -> String {
    format!("naru(\"{script}\");\n")
}

/// What a line of a script has before a file in base64, and behind it. The path has no sign that needs escaping
/// (`Archive::begin`).
pub(in crate::portability) fn around(path: &str) -> (String, &'static str) {
    (format!("naru(\"{path}\",\""), "\");\n")
}

/// A file as a line of a script.
pub(in crate::portability) fn line(path: &str, content: &[u8]) -> String {
    let (before, behind) = around(path);
    format!("{before}{}{behind}", STANDARD.encode(content))
}

/// The same of a file in pieces, written piece by piece: of what is long it is not in memory a second time.
pub(in crate::portability) fn line_into(out: &mut dyn Write, path: &str, pieces: &[&[u8]]) -> io::Result<()> {
    let (before, behind) = around(path);
    out.write_all(before.as_bytes())?;
    let mut encoder = EncoderWriter::new(&mut *out, &STANDARD);
    pieces.iter().try_for_each(|piece| encoder.write_all(piece))?;
    encoder.finish()?;
    drop(encoder);
    out.write_all(behind.as_bytes())
}

/// Labels of purposes and categories in Korean and English, as a script.
pub(in crate::portability) fn words() -> &'static str {
    static WORDS: LazyLock<String> = LazyLock::new(|| {
        // The compiled vocabulary is read by a test; without labels the page shows the terms.
        let terms = Vocabulary::embedded().map(|words| {
            let terms = words.purposes().chain(words.categories());
            terms.map(|term| (term.name.to_string(), json!([term.ko, term.en]))).collect()
        });
        format!("naruWords({});\n", Value::Object(terms.unwrap_or_default()))
    });
    &WORDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_pieces_is_the_line_of_the_whole_and_what_is_too_long_leaves_nothing() {
        let content: Vec<u8> = (0..=255).collect();
        for (bytes, step) in (0..20).flat_map(|bytes| (1..8).map(move |step| (bytes, step))) {
            let mut carried = Carried::default();
            let content = &content[..bytes];
            carried.begin("data/a");
            content.chunks(step).for_each(|piece| carried.write(piece));
            assert!(carried.end("data/a").is_none());
            let mut streamed = Vec::new();
            line_into(&mut streamed, "data/a", &content.chunks(step).collect::<Vec<_>>()).unwrap();
            assert_eq!(
                (carried.script.as_str(), streamed),
                (line("data/a", content).as_str(), line("data/a", content).into_bytes())
            );
            let before = carried.script.clone();
            carried.begin("data/b");
            (0..=LONGEST / 1_000).for_each(|_| carried.write(&[1; 1_000]));
            assert!(carried.end("data/b").is_none());
            assert_eq!(carried.script, before);
        }
    }

    #[test]
    fn a_script_is_written_before_what_has_no_room_in_it_and_what_fits_into_none_has_its_own() {
        let mut carried = Carried::default();
        let room = |path: &str| (SCRIPT - letters(path, 0)) / 4 * 3;
        let (whole, half) = (room("data/a"), room("data/a") / 2);
        assert!(
            !is_alone("data/a", whole) && is_alone("data/a", whole + 1) && is_alone("data/a", usize::MAX)
        );
        assert_eq!(letters("data/a", 10), line("data/a", &[7; 10]).len());
        for path in ["data/a", "data/b"] {
            assert!(carried.before(path, half).is_none());
            carried.begin(path);
            carried.write(&vec![1; half - 100]);
            assert!(carried.end(path).is_none());
        }
        // No room for it; but what is not carried has no script written before it.
        assert!(carried.before("bagit.txt", half).is_none());
        let (path, script) = carried.before("data/c", half).unwrap();
        assert!(script.len() <= SCRIPT && script.ends_with(&last(&path)) && path == script_path(1));
        carried.written(script);
        assert_eq!(carried.before("data/c", half), None);
        // Alone is what is carried and too long for others: no more of a folder than it has room for.
        assert_eq!((carried.alone("data/c", half), carried.alone("bagit.txt", whole + 1)), (None, None));
        assert_eq!(carried.alone("data/c", LONGEST + 1), None);
        assert_eq!(carried.alone("data/c", LONGEST).unwrap(), script_path(2));
        let parcel = format!("{USES}000001.zip");
        let alone = (0..9).map_while(|_| carried.alone(&parcel, ROOM / 4)).count();
        assert_eq!((alone, carried.scripts), (4, 6));
    }

    #[test]
    fn what_is_carried_is_bounded_and_scripts_hold_no_text_of_anybody() {
        let mut carried = Carried::default();
        let mut scripts = Vec::new();
        let mut one = |path: &str, content: &[u8]| {
            carried.begin(path);
            content.chunks(1_000).for_each(|piece| carried.write(piece));
            scripts.extend(carried.end(path));
        };
        one("data/uses/000001.ndjson", b"</script><script>alert(1)</script>\"); alert(2)");
        one("data/long.json", &vec![7; LONGEST + 1]);
        one("bagit.txt", b"not carried");
        (0..20).for_each(|n| one(&format!("{STATEMENTS}{n:06}.zip"), &vec![1; 1 << 20]));
        (0..30).for_each(|n| one(&format!("{BY_SOURCE}bank/{n:06}.zip"), &vec![1; 1 << 20]));
        one("data/completeness.json", b"{}");
        scripts.extend(carried.rest());
        let text: String = scripts.iter().map(|(_, script)| script.as_str()).collect();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"()\",;/.+=_-\n".contains(&b);
        assert!(text.bytes().all(plain) && !text.contains("alert"));
        assert_eq!((text.matches("long.json").count(), text.matches("bagit").count()), (0, 0));
        assert_eq!((text.matches(".zip").count(), text.matches("completeness").count()), (32, 1));
        let page = carried.index();
        assert!(scripts.iter().all(|(path, _)| page.contains(&format!("<script src=\"{path}\"></script>"))));
        assert!(!page.contains(SCRIPTS) && words().contains("\"dpv:Marketing\""));
    }
}
