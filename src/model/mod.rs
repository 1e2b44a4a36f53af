//! PURE. The words of the domain; imports nothing.
//!
//! One spelling each: subject, person (정보주체); party (controller, processor
//! 수탁자, recipient, anonymiser 익명가공정보업자, combiner 결합전문기관, identity
//! provider, regulator, operator); notice (versioned text of what is asked);
//! statement (what somebody signs); proof (who signed it); entry (what the tree
//! holds); promise (what a 201 carries); receipt; checkpoint; slot (person,
//! controller, purpose, class); objection; decision (denial is a value); use line,
//! use batch; ppid; key set; transfer demand (전송요구); release; canary; finding,
//! incident, dossier; warrant; hold.

pub mod cycle;
pub mod decision;
pub mod id;
pub mod pack;
pub mod statement;
pub mod terms;
pub mod use_line;
pub mod vocabulary;
