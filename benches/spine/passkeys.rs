//! Statements signed by passkeys a second, beside the rate at which openssl verifies ES256.
//!
//! Each person has one P-256 credential; each statement is a ceremony of its own, the dearest case.

use std::time::Duration;
use std::time::Instant;

use naru::ledger::key::PublicKey;
use naru::ledger::key::Signer;
use naru::ledger::key::signer_from_pem;
use p256::pkcs8::EncodePrivateKey;
use p256::pkcs8::LineEnding;

use crate::Size;
use crate::Table;
use crate::median;
use crate::rate;
use crate::support::key_hash;
use crate::support::party;
use crate::support::passkey::Authenticator;
use crate::writes::Ground;
use crate::writes::on_both;
use crate::writes::send;

/// A credential by number.
fn credential(n: u64) -> Box<dyn Signer> {
    let mut secret = [1u8; 32];
    secret[24..].copy_from_slice(&n.to_be_bytes());
    let key = p256::ecdsa::SigningKey::from_slice(&secret).unwrap();
    signer_from_pem(&key.to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap()
}

/// Verifications a second on two cores: key from its SPKI, then ES256 by openssl, 300-byte messages.
fn es256_limit() -> f64 {
    let made: Vec<_> = (0..256u64)
        .map(|n| {
            let (signer, message) = (credential(n), [n as u8; 300]);
            (signer.public().spki().to_vec(), message, signer.sign(&message).unwrap())
        })
        .collect();
    let start = Instant::now();
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let work = || {
            let mut n = 0;
            while start.elapsed() < Duration::from_secs(1) {
                for (spki, message, signature) in &made {
                    PublicKey::from_spki(spki).unwrap().verify(message, signature).unwrap();
                }
                n += made.len();
            }
            n
        };
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    rate(counts.iter().sum(), start.elapsed())
}

pub fn run(table: &mut Table, size: Size) {
    let n: u64 = if size == Size::Quick { 4_096 } else { 10_240 };
    let ground = Ground::new();
    ground.ticking(|| rounds(table, &ground, n));
}

fn rounds(table: &mut Table, ground: &Ground, n: u64) {
    let running = ground.serve();
    let bank = party("bank");
    let (mut rates, mut limits, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..3 {
        let people = round * n..(round + 1) * n;
        let creates = on_both(people.clone(), |n| {
            let signer = credential(n);
            Authenticator::new(signer.as_ref()).sign(&ground.world.key_create())
        });
        send(running.addr(), &creates);
        let grants = on_both(people, |n| {
            let signer = credential(n);
            let ppid = ground.node.ppid(&key_hash(signer.as_ref()), Some(&bank)).unwrap().unwrap();
            Authenticator::new(signer.as_ref()).sign(&ground.world.grant(ppid, None).into())
        });
        let before = es256_limit();
        let measured = rate(grants.len(), send(running.addr(), &grants));
        let limit = f64::midpoint(before, es256_limit());
        rates.push(measured);
        limits.push(limit);
        ratios.push(measured / limit);
    }
    table.row(
        "grants/s signed by passkeys, verified and durable over HTTP (required 0.6)",
        &format!("{:.0}", median(&mut rates)),
        &format!("{:.0} ES256 verifications/s by openssl on two cores", median(&mut limits)),
        &format!("{:.2}", median(&mut ratios)),
    );
}
