//! An example data holder and an example receiver for `naru`: made-up data, on loopback.
//!
//! ```text
//! cargo run --example holder -- bank   127.0.0.1:9001 bank   bank.pem   cert.pem key.pem carrier.pem
//! cargo run --example holder -- wallet 127.0.0.1:9002 wallet wallet.pem cert.pem key.pem carrier.pem
//! ```
//! The name and key (PEM) are those the party is registered with; certificate and key are its own on
//! the wire; `carrier.pem` is the client certificate of the log that may call (`outbound.cert`). A
//! wallet prints the key (hex of DER) to be registered as `transfer.key`.
#![allow(clippy::allow_attributes, clippy::print_stdout, reason = "an example speaks to whoever runs it")]

mod bank;
mod end;
mod wallet;

use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;

use naru::ledger::key::Ed25519Signer;
use naru::model::id::PartyId;
use naru::node::clock::Clock;
use openssl::ec::EcGroup;
use openssl::ec::EcKey;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::X509;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, listen, name, signer, certificate, key, carrier] = args.as_slice() else {
        return Err(
            "usage: holder bank|wallet ADDRESS:PORT NAME SIGNER.pem CERT.pem KEY.pem CARRIER.pem".into()
        );
    };
    let name = PartyId::parse(name).ok_or("the name is no party's")?;
    let signer = Ed25519Signer::from_pem(&std::fs::read_to_string(signer)?)?;
    let identity = end::Identity {
        certificate: X509::from_pem(&std::fs::read(certificate)?)?,
        key: PKey::private_key_from_pem(&std::fs::read(key)?)?,
        believed: X509::stack_from_pem(&std::fs::read(carrier)?)?,
    };
    let clock: bank::Clock = Box::new(|| Clock::System.now().0);
    let serves: Arc<dyn end::End> = match what.as_str() {
        "bank" => Arc::new(bank::Bank::new(name, signer, clock)),
        "wallet" => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
            let wallet = wallet::Wallet::new(name, signer, clock, EcKey::generate(&group)?);
            let spki = wallet.spki().ok_or("no key")?;
            println!("transfer.key {}", spki.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            Arc::new(wallet)
        }
        _ => return Err("say `bank` or `wallet`".into()),
    };
    let listener = TcpListener::bind(listen)?;
    println!("listening on https://{}", listener.local_addr()?);
    end::serve(listener, &identity, serves)?;
    loop {
        std::thread::park();
    }
}
