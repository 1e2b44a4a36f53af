//! The recovery key on paper: 160 random bits as nine groups of four letters and digits, and as 15 words.
//!
//! Groups: Crockford's base32, which has no letter that looks like a digit; the last group
//! is a checksum, so that one that was misread is noticed at once. Words: BIP 39, English or
//! Korean; a word that is none is noticed, of those exchanged for another word of the list 31 in
//! 32. Either is read back. The key is Ed25519, its seed SHA-256 of the bits under a prefix: it is
//! not the wallet's seed that BIP 39 would make of the words. Trusts the paper: who has it may recover.

use bip39::Language;
use bip39::Mnemonic;
use zeroize::Zeroizing;

use crate::ledger::hash;
use crate::ledger::key::Ed25519Signer;

/// Bytes of the secret.
pub(in crate::cli) const ENTROPY: usize = 20;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUP: usize = 4;
/// Words of the secret and its checksum, eleven bits each.
const WORDS: usize = 15;
/// Languages in which words are read, the first where they are asked for in none.
pub(in crate::cli) const LANGUAGES: [(&str, Language); 2] =
    [("en", Language::English), ("ko", Language::Korean)];
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
    #[error("a recovery code has {WORDS} words")]
    Count,
    #[error("word {0} stands in no recovery code")]
    Word(usize),
    #[error("the words do not fit together: one was misread, or their order")]
    Words,
    #[error("the lines are of different recovery codes")]
    Lines,
}

/// The words of a secret.
pub(in crate::cli) fn words_of(secret: &[u8; ENTROPY], language: Language) -> Zeroizing<String> {
    // 160 bits are one of the lengths that have words.
    let words = Mnemonic::from_entropy_in(language, secret).map(|words| words.to_string());
    Zeroizing::new(words.unwrap_or_default())
}

/// Reads what a person typed, or the whole of what was printed: groups, words, or a line of each.
pub(in crate::cli) fn secret_in(text: &str) -> Result<Zeroizing<[u8; ENTROPY]>, NoCode> {
    let whole = one_of(text);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (Err(error), Some(first)) = (&whole, lines.next()) else { return whole };
    // Not one code over several lines: then each line is one, and all are the same.
    let first = one_of(first).map_err(|_| *error)?;
    for line in lines {
        if *one_of(line).map_err(|_| *error)? != *first {
            return Err(NoCode::Lines);
        }
    }
    Ok(first)
}

fn one_of(text: &str) -> Result<Zeroizing<[u8; ENTROPY]>, NoCode> {
    // There are nine groups, and no word has fewer than three letters.
    let words = text.split_whitespace().filter(|word| word.len() > 2).count();
    if words > SECRET / GROUP + 1 { secret_of_words(text) } else { secret_of(text) }
}

fn secret_of_words(text: &str) -> Result<Zeroizing<[u8; ENTROPY]>, NoCode> {
    if text.split_whitespace().count() != WORDS {
        return Err(NoCode::Count);
    }
    let text = Zeroizing::new(text.to_lowercase());
    let mut furthest = 0;
    for (_, language) in LANGUAGES {
        match Mnemonic::parse_in(language, text.as_str()) {
            Ok(words) => {
                let entropy = Zeroizing::new(words.to_entropy());
                return <[u8; ENTROPY]>::try_from(entropy.as_slice())
                    .map(Zeroizing::new)
                    .map_err(|_| NoCode::Count);
            }
            // Of the language that reads more of them.
            Err(bip39::Error::UnknownWord(at)) => furthest = furthest.max(at.saturating_add(1)),
            Err(_) => return Err(NoCode::Words),
        }
    }
    Err(NoCode::Word(furthest))
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
fn secret_of(code: &str) -> Result<Zeroizing<[u8; ENTROPY]>, NoCode> {
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
    fn words_lead_back_in_either_language_and_beside_the_groups() {
        let secret: [u8; ENTROPY] = std::array::from_fn(|n| u8::try_from(n * 13 % 256).unwrap());
        for (_, language) in LANGUAGES {
            let words = words_of(&secret, language);
            assert_eq!(words.split(' ').count(), WORDS);
            let code = code_of(&secret);
            let wrapped = words.replacen(' ', "\n", 3);
            for text in
                [words.to_string(), words.to_uppercase(), wrapped, format!("{}\n\n{}\n", *code, *words)]
            {
                assert_eq!(*secret_in(&text).unwrap(), secret, "{text}");
            }
        }
        let (english, korean) = (words_of(&secret, Language::English), words_of(&secret, Language::Korean));
        assert_eq!(*secret_in(&format!("{}\n{}", *korean, *english)).unwrap(), secret);
        let composed: String = unicode(&korean);
        assert_ne!(composed, *korean);
        assert_eq!(*secret_in(&composed).unwrap(), secret, "as a keyboard makes them");
        // A vector of BIP 39's own: 128 bits are no code of ours.
        let foreign = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        assert_eq!(secret_in(foreign).unwrap_err(), NoCode::Count);
    }

    /// Syllables in one piece.
    fn unicode(text: &str) -> String {
        use std::fmt::Write;
        let jamo: Vec<u32> = text.chars().map(u32::from).collect();
        let (mut out, mut at) = (String::new(), 0);
        while at < jamo.len() {
            let lead = jamo[at].wrapping_sub(0x1100);
            let vowel = jamo.get(at + 1).map_or(99, |c| c.wrapping_sub(0x1161));
            if lead < 19 && vowel < 21 {
                let tail = jamo.get(at + 2).map_or(0, |c| c.wrapping_sub(0x11a7));
                let (tail, taken) = if (1..28).contains(&tail) { (tail, 3) } else { (0, 2) };
                let syllable = 0xac00 + (lead * 21 + vowel) * 28 + tail;
                write!(out, "{}", char::from_u32(syllable).unwrap()).unwrap();
                at += taken;
            } else {
                out.push(char::from_u32(jamo[at]).unwrap());
                at += 1;
            }
        }
        out
    }

    #[test]
    fn a_misread_word_is_noticed() {
        let secret = [0x5a; ENTROPY];
        let words = words_of(&secret, Language::English);
        let words: Vec<&str> = words.split(' ').collect();
        let with = |at: usize, other: &str| {
            let mut words = words.clone();
            words[at] = other;
            secret_in(&words.join(" "))
        };
        let (mut caught, mut all) = (0, 0);
        for (at, own) in words.iter().enumerate() {
            assert_eq!(with(at, "nonsense").unwrap_err(), NoCode::Word(at + 1));
            for other in Language::English.word_list().iter().filter(|other| *other != own) {
                all += 1;
                match with(at, other) {
                    Err(error) => {
                        assert_eq!(error, NoCode::Words);
                        caught += 1;
                    }
                    Ok(found) => assert_ne!(*found, secret),
                }
            }
        }
        assert!(caught * 100 > all * 96, "{caught} of {all}");
        assert_eq!(secret_in(&words[..14].join(" ")).unwrap_err(), NoCode::Count);
        let other = code_of(&[1; ENTROPY]);
        assert_eq!(secret_in(&format!("{}\n{}", words.join(" "), *other)).unwrap_err(), NoCode::Lines);
        assert!(secret_in("").is_err());
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
