//! She carries everything away, the incident she is in among it, and needs nobody to check it.

use std::io::Cursor;

use serde_json::Value;

use crate::audit::archive;
use crate::cli::demo::Error;
use crate::cli::demo::export;
use crate::cli::demo::live::Live;
use crate::cli::demo::live::short;
use crate::cli::demo::live::wire;
use crate::cli::demo::live::wire::CITIZEN;
use crate::cli::demo::live::wrong;
use crate::cli::demo::words;
use crate::cli::demo::world::GRAIN_MS;
use crate::cli::demo::world::ORIGIN;
use crate::portability;
use crate::portability::Bag;

impl Live<'_> {
    /// Her archive, fetched, checked, and what it says of the incident.
    pub(super) fn carries_away(&mut self) -> Result<(), Error> {
        let path = "/v1/subjects/me/export";
        self.says(words::EXPORT);
        self.curl(path, "-H @citizen.auth -o mydata.zip");
        let answer = self.get(path, CITIZEN)?;
        let bytes = &answer.expect("export", 200)?.body;
        self.write("mydata.zip", bytes)?;
        export::write(&self.out.join("export/mydata.zip"), bytes)?;
        self.verify_line("mydata.zip");
        let log = &self.world.node.log_key();
        let proven = archive::verify(&mut Cursor::new(bytes), log, ORIGIN, Some(GRAIN_MS))
            .map_err(|error| wrong("archive", error))?;
        self.tells(
            words::EXPORT_HOLDS,
            &[
                &proven.statements,
                &proven.consents,
                &proven.uses,
                &proven.incidents,
                &proven.withheld.len(),
                &format!("{:.0}", answer.ms),
            ],
        );
        let told = self.incidents_in(bytes)?;
        let one = told.pointer("/incidents/0").ok_or_else(|| wrong("archive", "no incident"))?;
        let text = |pointer| wire::text(one, pointer);
        let id = short(text("/incident"));
        self.tells(words::EXPORT_INCIDENT, &[&id, &text("/detector"), &text("/stage"), &text("/accused")]);
        let pretty = serde_json::to_string_pretty(&told)? + "\n";
        export::write(&self.out.join("incidents/person.json"), pretty.as_bytes())
    }

    /// What the archive tells her of incidents.
    fn incidents_in(&self, bytes: &[u8]) -> Result<Value, Error> {
        let mut source = Cursor::new(bytes);
        let mut found = Value::Null;
        let mut seen = |listed: &portability::Listed, content: Option<&[u8]>| {
            if let (portability::INCIDENTS, Some(content)) = (listed.path.as_str(), content) {
                found = serde_json::from_slice(content)?;
            }
            Ok::<_, portability::Error>(())
        };
        let bag = Bag::open(&mut source, &self.world.node.log_key());
        bag.and_then(|bag| bag.walk(&mut seen)).map_err(|error| wrong("archive", error))?;
        Ok(found)
    }
}
