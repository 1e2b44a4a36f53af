//! Parties and the persons they know: epochs of a domain, requests, handovers, what is told of whom.

#[path = "parties/epochs.rs"]
mod epochs;
#[path = "parties/events.rs"]
mod events;
#[path = "parties/handovers.rs"]
mod handovers;
#[path = "parties/requests.rs"]
mod requests;
#[path = "parties/succession.rs"]
mod succession;
mod support;

use naru::model::decision::Why;
use naru::node::Refusal;

fn inert(refusal: &Refusal) -> Why {
    match refusal {
        Refusal::Inert(why) => *why,
        other => panic!("not inert: {other}"),
    }
}
