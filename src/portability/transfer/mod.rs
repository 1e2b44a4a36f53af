//! Transfer demands: what is carried, by which machine, and what a person is shown of it.
//!
//! Who may take which step is the fold's (`consent`). Here stands what a carrier needs beside it:
//! how far a run has come, the shapes senders speak, and what was signed as `transfers.json` tells
//! it. Lacks sockets, clock and files. Trusted: nothing that a sender or receiver says.

pub mod kmydata;
mod row;
pub mod run;

pub use row::Transfers;
