//! PURE. Who says so: keys, item forms, `Verified<T>`.
//!
//! Bytes come in, a [`Verified`] goes out. This module knows no authority (who
//! may sign what is a rule of `consent`), no clock and no network.

mod verified;

pub use verified::Recorded;
pub use verified::Signed;
pub use verified::Verified;
