//! Transfer demands as a person is shown them: `transfers.json`. Who may take which step is the fold's (`consent`).

mod row;

pub use row::Transfers;
