//! The recovery key on paper: 160 random bits as nine groups of four letters and digits.
//!
//! Crockford's base32, which has no letter that looks like a digit; the last group
//! is a checksum, so that one that was misread is noticed at once. The key is
//! Ed25519, its seed SHA-256 of the bits under a prefix. Lacks words of a language:
//! a person may read it in any. Trusts the paper: who has it may recover.

use zeroize::Zeroizing;

use crate::ledger::hash;
use crate::ledger::key::Ed25519Signer;

/// Bytes of the secret.
pub(in crate::cli) const ENTROPY: usize = 20;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUP: usize = 4;
/// Symbols of the secret; five bits each.
const SECRET: usize = ENTROPY * 8 / 5;

/// Why a code is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum NoCode {
    #[error("a recovery code has nine groups of four letters and digits")]
    Length,
    #[error("`{0}` stands in no recovery code")]
    Symbol(char),
    #[error("the last group does not fit the others: something was misread")]
    Checksum,
}

/// The code of a secret, such as `7ZQ0-…`.
pub(in crate::cli) fn code_of(secret: &[u8; ENTROPY]) -> Zeroizing<String> {
    let mut code = Zeroizing::new(String::with_capacity(SECRET + 2 * GROUP + SECRET / GROUP));
    let check = check_of(secret);
    for (at, value) in values_of(secret).chain(values_of(&check).take(GROUP)).enumerate() {
        if at > 0 && at % GROUP == 0 {
            code.push('-');
        }
        code.push(ALPHABET.get(usize::from(value)).map_or('?', |symbol| char::from(*symbol)));
    }
    code
}

/// Reads a code as a person writes it: in any case, with or without dashes, O for 0, I and L for 1.
pub(in crate::cli) fn secret_of(code: &str) -> Result<Zeroizing<[u8; ENTROPY]>, NoCode> {
    let mut values = Zeroizing::new(Vec::with_capacity(SECRET + GROUP));
    for symbol in code.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let plain = match symbol.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let value = ALPHABET.iter().position(|known| char::from(*known) == plain);
        values.push(value.and_then(|v| u8::try_from(v).ok()).ok_or(NoCode::Symbol(symbol))?);
        if values.len() > SECRET + GROUP {
            return Err(NoCode::Length);
        }
    }
    let (secret, check) = values.split_at_checked(SECRET).ok_or(NoCode::Length)?;
    if check.len() != GROUP {
        return Err(NoCode::Length);
    }
    let mut bytes = Zeroizing::new([0; ENTROPY]);
    for (five, eight) in bytes.chunks_exact_mut(5).zip(secret.chunks_exact(8)) {
        let bits = eight.iter().fold(0u64, |bits, value| bits << 5 | u64::from(*value));
        five.iter_mut().zip(bits.to_be_bytes().into_iter().skip(3)).for_each(|(slot, byte)| *slot = byte);
    }
    let sound = values_of(&check_of(&bytes)).take(GROUP).eq(check.iter().copied());
    if sound { Ok(bytes) } else { Err(NoCode::Checksum) }
}

/// The recovery key itself.
pub(in crate::cli) fn signer_of(secret: &[u8; ENTROPY]) -> Ed25519Signer {
    Ed25519Signer::from_seed(hash::sha256(&[b"naru-recovery/v1", &[0], secret]))
}

fn check_of(secret: &[u8; ENTROPY]) -> [u8; 5] {
    let mut check = [0; 5];
    let hash = hash::sha256(&[b"naru-recovery-check/v1", &[0], secret]);
    check.iter_mut().zip(hash).for_each(|(slot, byte)| *slot = byte);
    check
}

/// Five bits at a time.
fn values_of(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.chunks_exact(5).flat_map(|five| {
        let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8u32).rev().map(move |nth| u8::try_from(bits >> (5 * nth) & 0x1f).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_write_it_and_its_key_stays_the_same() {
        let secret: [u8; ENTROPY] = std::array::from_fn(|n| u8::try_from(n * 13 % 256).unwrap());
        let code = code_of(&secret);
        // The same by another implementation, in another language.
        assert_eq!(code.as_str(), "006H-M9SM-8575-PT3N-GA7S-SADP-RF8D-VTQQ-H71C");
        assert_eq!(code.len(), 44);
        for written in [code.to_lowercase(), code.replace('-', " "), code.replace('0', "o").replace('1', "l")]
        {
            assert_eq!(*secret_of(&written).unwrap(), secret, "{written}");
        }
        let key = |secret: &[u8; ENTROPY]| crate::ledger::key::Signer::public(&signer_of(secret)).hash();
        assert_eq!(key(&secret), key(&secret_of(&code).unwrap()));
        assert_ne!(key(&secret), key(&[0; ENTROPY]));
    }

    #[test]
    fn one_misread_or_swapped_symbol_is_noticed() {
        let code = code_of(&[0x5a; ENTROPY]);
        let symbols: Vec<char> = code.chars().filter(|c| *c != '-').collect();
        for at in 0..symbols.len() {
            for other in ALPHABET.iter().map(|b| char::from(*b)).filter(|other| *other != symbols[at]) {
                let mut misread = symbols.clone();
                misread[at] = other;
                let misread: String = misread.into_iter().collect();
                assert_eq!(secret_of(&misread).unwrap_err(), NoCode::Checksum, "{misread}");
            }
        }
        assert_eq!(secret_of(&code[..39]).unwrap_err(), NoCode::Length);
        assert_eq!(secret_of(&format!("{}0", code.as_str())).unwrap_err(), NoCode::Length);
        assert_eq!(secret_of("").unwrap_err(), NoCode::Length);
        assert_eq!(secret_of("u").unwrap_err(), NoCode::Symbol('u'));
    }
}
