use proptest::prelude::*;

use super::*;
use crate::ledger::cbor::Writer;
use crate::ledger::key::{Ed25519Signer, P256Signer};

const P256_PEM: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgZGpEgoXeAOfqTuSz
h2eRMp0Y3vfR+xX86MojqpHxprWhRANCAARdxHgmaCHPdddJTcUi6Gwjf5T4SsxS
3ML6QwM8kyj2E4VB4hFqqinLg5zhObynUOMPwLf0V9FKOMl/t/aD1ms7
-----END PRIVATE KEY-----
";

fn signer(seed: u8) -> Ed25519Signer {
    Ed25519Signer::from_seed([seed; 32])
}

/// An item with these header bytes, signed for real.
fn item_with(protected: &[u8], unprotected: &[u8], payload: &[u8]) -> Vec<u8> {
    let signature = sign_detached(&signer(1), protected, payload).unwrap();
    let item = Writer::new().tag(18).array(4).bytes(protected).item(unprotected);
    item.bytes(payload).bytes(&signature).finish()
}

fn header_bytes(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    pairs.iter().fold(Writer::new().map(pairs.len()), |out, (k, v)| out.item(k).item(v)).finish()
}

fn spki_item() -> Vec<u8> {
    Writer::new().bytes(signer(1).public().spki()).finish()
}

fn typ_item() -> Vec<u8> {
    Writer::new().text(STATEMENT).finish()
}

#[test]
fn what_is_signed_verifies_and_nothing_else_does() {
    let p256 = P256Signer::from_pem(P256_PEM).unwrap();
    let ed = signer(1);
    for signer in [&ed as &dyn Signer, &p256] {
        let item = sign_statement(signer, b"statement").unwrap();
        let parsed = parse(&item).unwrap();
        assert_eq!((parsed.typ.as_str(), parsed.kid.as_slice()), (STATEMENT, signer.public().spki()));
        assert_eq!(parsed.alg, signer.public().alg());
        parsed.verify(signer.public()).unwrap();
        assert!(parsed.verify_detached(b"statement", signer.public()).is_err());
        assert!(parsed.verify(Ed25519Signer::from_seed([2; 32]).public()).is_err());
        for at in 0..item.len() {
            let mut other = item.clone();
            other[at] ^= 1;
            assert!(parse(&other).and_then(|parsed| parsed.verify(signer.public())).is_err(), "byte {at}");
        }
    }
    let item = parse(&sign_statement(&ed, b"s").unwrap()).unwrap();
    assert!(matches!(item.verify(p256.public()), Err(Error::KeyAlgorithm)));
    assert!(matches!(item.verify(signer(2).public()), Err(Error::Kid)));
}

#[test]
fn the_header_is_exactly_alg_kid_typ() {
    let (spki, typ) = (spki_item(), typ_item());
    let good = header_bytes(&[(b"\x01", b"\x27"), (b"\x04", &spki), (b"\x10", &typ)]);
    let item = item_with(&good, b"\xa0", b"s");
    assert_eq!(item, sign_statement(&signer(1), b"s").unwrap());
    parse(&item).unwrap().verify(signer(1).public()).unwrap();
    // −19 is accepted.
    let fully = header_bytes(&[(b"\x01", b"\x32"), (b"\x04", &spki), (b"\x10", &typ)]);
    parse(&item_with(&fully, b"\xa0", b"s")).unwrap().verify(signer(1).public()).unwrap();
    let refused: &[&[(&[u8], &[u8])]] = &[
        &[],
        &[(b"\x04", &spki), (b"\x10", &typ)],
        &[(b"\x01", b"\x27"), (b"\x10", &typ)],
        &[(b"\x01", b"\x27"), (b"\x04", &spki)],
        &[(b"\x01", b"\x27"), (b"\x04", b"\x40"), (b"\x10", &typ)],
        &[(b"\x01", b"\x27"), (b"\x04", &spki), (b"\x10", b"\x01")],
        &[(b"\x01", b"\x38\x22"), (b"\x04", &spki), (b"\x10", &typ)],
        &[(b"\x01", b"\x65EdDSA"), (b"\x04", &spki), (b"\x10", &typ)],
        &[(b"\x01", b"\x27"), (b"\x02", b"\x81\x10"), (b"\x04", &spki), (b"\x10", &typ)],
        &[(b"\x01", b"\x27"), (b"\x03", b"\x00"), (b"\x04", &spki), (b"\x10", &typ)],
        &[(b"\x01", b"\x27"), (b"\x04", &spki), (b"\x05", b"\x41a"), (b"\x10", &typ)],
        &[(b"\x01", b"\x27"), (b"\x04", &spki), (b"\x0f", b"\xa0"), (b"\x10", &typ)],
        &[(b"\x01", b"\x27"), (b"\x04", &spki), (b"\x10", &typ), (b"\x19\x01\x8b", b"\x01")],
        &[(b"\x01", b"\x27"), (b"\x04", &spki), (b"\x10", &typ), (b"\x61a", b"\x01")],
        &[(b"\x04", &spki), (b"\x01", b"\x27"), (b"\x10", &typ)],
        &[(b"\x01", b"\x27"), (b"\x04", &spki), (b"\x10", &typ), (b"\x10", &typ)],
    ];
    for pairs in refused {
        assert!(parse(&item_with(&header_bytes(pairs), b"\xa0", b"s")).is_err(), "{pairs:02x?}");
    }
    assert!(matches!(parse(&item_with(&good, b"\xa1\x04\x41a", b"s")), Err(Error::Unprotected)));
    // Indefinite length inside the protected bytes, which coset alone accepts.
    let loose = [b"\xbf", &good[1..], b"\xff"].concat();
    assert!(matches!(parse(&item_with(&loose, b"\xa0", b"s")), Err(Error::Cbor(_))));
    assert!(parse(&item[1..]).is_err(), "untagged");
    let short = Writer::new().tag(18).array(4).bytes(&good).map(0).bytes(b"s").bytes(&[0; 63]).finish();
    assert!(parse(&short).is_err());
}

#[test]
fn what_is_signed_is_what_coset_signs() {
    for (protected, payload) in [(vec![], vec![]), (vec![0xa0], vec![1; 23]), (vec![2; 300], vec![3; 70_000])]
    {
        let header = ProtectedHeader { original_data: Some(protected.clone()), ..Default::default() };
        let theirs =
            coset::sig_structure_data(coset::SignatureContext::CoseSign1, header, None, &[], &payload);
        assert_eq!(to_be_signed(&protected, &payload), theirs);
    }
}

fn passkey(statement: Option<&[u8]>, digests: usize) -> Vec<u8> {
    let item = Writer::new().array(7).uint(1);
    let item = match statement {
        Some(statement) => item.bytes(statement),
        None => item.null(),
    };
    let item = (0..digests).fold(item.array(digests), |item, _| item.bytes(&[9; 32]));
    item.bytes(b"authenticator data").bytes(b"{}").bytes(&[5; 70]).bytes(&[6; 91]).finish()
}

#[test]
fn statement_and_proof_make_the_item_again() {
    let plain = sign_statement(&signer(1), &[7; 300]).unwrap();
    let twice = endorse(&signer(2), &plain).unwrap();
    let thrice = endorse(&signer(3), &twice).unwrap();
    let passkey_item = passkey(Some(&[7; 300]), 3);
    let endorsed_passkey = endorse(&signer(2), &passkey_item).unwrap();
    let fourfold = endorse(&signer(4), &thrice).unwrap();
    for item in [&plain, &twice, &thrice, &fourfold, &passkey_item, &endorsed_passkey] {
        let proof = proof_of(item).unwrap();
        assert_eq!(statement_of(item).unwrap(), [7; 300]);
        assert_eq!(join(&proof, &[7; 300]).unwrap(), *item);
        assert!(!proof.windows(9).any(|bytes| bytes == [7; 9]));
        assert!(proof_of(&proof).is_err(), "a proof has no statement");
        assert!(join(item, b"s").is_err(), "an item has no hole");
        assert_ne!(join(&proof, b"other").unwrap(), *item);
    }
    assert_eq!(proof_of(&passkey_item).unwrap(), passkey(None, 3));
    let fivefold = endorse(&signer(5), &fourfold).unwrap();
    assert!(matches!(proof_of(&fivefold), Err(Error::Layers)));
    assert!(proof_of(&passkey(Some(b"s"), 0)).is_err());
    assert!(proof_of(&passkey(Some(b"s"), 65)).is_err());
    let opaque = endorse(&signer(2), b"\x01").unwrap();
    assert!(proof_of(&opaque).is_err(), "an endorsement endorses an item");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_items_never_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let item = endorse(&signer(2), &sign_statement(&signer(1), b"statement").unwrap()).unwrap();
        for mut bytes in [item, passkey(Some(b"s"), 2)] {
            let place = at.index(bytes.len());
            bytes[place] = byte;
            for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
                if let Ok(proof) = proof_of(bytes) {
                    let statement = statement_of(bytes).unwrap();
                    prop_assert_eq!(join(&proof, &statement).unwrap(), bytes);
                }
                if let Ok(own) = exact(bytes).map_err(Error::from).and_then(|own| cbor::gate(bytes).map(|()| own).map_err(Error::from)) {
                    prop_assert_eq!(own, parse_by_name(bytes).unwrap());
                } else {
                    prop_assert!(parse_by_name(bytes).is_err());
                }
                let _ = (parse(bytes), join(bytes, b"s"));
            }
        }
    }
}
