//! The terminal: stands in until the commands come.

pub mod demo;
