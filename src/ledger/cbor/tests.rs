//! The gate against a naive second opinion; three decoders against each other.

use std::collections::BTreeMap;

use ciborium::Value;
use proptest::prelude::*;

use super::*;

/// What all three decoders must agree on.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    Null,
    Bool(bool),
    Int(i128),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Model>),
    Map(Vec<(Model, Model)>),
}

/// Canonical bytes by the naive rule: encode keys, sort, refuse equal ones.
fn write(model: &Model) -> Option<Vec<u8>> {
    let int = |value: i128| match u64::try_from(value) {
        Ok(value) => Writer::new().uint(value).finish(),
        Err(_) => {
            let mut bytes = Writer::new().uint(u64::try_from(-1 - value).unwrap()).finish();
            bytes[0] |= 0x20;
            bytes
        }
    };
    Some(match model {
        Model::Null => vec![0xf6],
        Model::Bool(value) => vec![0xf4 | u8::from(*value)],
        Model::Int(value) => int(*value),
        Model::Bytes(bytes) => Writer::new().bytes(bytes).finish(),
        Model::Text(text) => Writer::new().text(text).finish(),
        Model::Array(items) => {
            let head = Writer::new().array(items.len());
            items.iter().try_fold(head, |out, item| Some(out.item(&write(item)?)))?.finish()
        }
        Model::Map(pairs) => {
            let mut sorted = BTreeMap::new();
            for (key, value) in pairs {
                if sorted.insert(write(key)?, write(value)?).is_some() {
                    return None;
                }
            }
            let head = Writer::new().map(sorted.len());
            sorted.iter().fold(head, |out, (key, value)| out.item(key).item(value)).finish()
        }
    })
}

fn depth(model: &Model) -> usize {
    match model {
        Model::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Model::Map(pairs) => 1 + pairs.iter().map(|(k, v)| depth(k).max(depth(v))).max().unwrap_or(0),
        _ => 0,
    }
}

/// Whether a map somewhere has an unsigned integer as key.
fn has_number_key(model: &Model) -> bool {
    match model {
        Model::Array(items) => items.iter().any(has_number_key),
        Model::Map(pairs) => pairs.iter().any(|(key, value)| {
            matches!(key, Model::Int(0..)) || has_number_key(key) || has_number_key(value)
        }),
        _ => false,
    }
}

fn of_ciborium(value: &Value) -> Option<Model> {
    Some(match value {
        Value::Null => Model::Null,
        Value::Bool(value) => Model::Bool(*value),
        Value::Integer(value) => Model::Int((*value).into()),
        Value::Bytes(bytes) => Model::Bytes(bytes.clone()),
        Value::Text(text) => Model::Text(text.clone()),
        Value::Array(items) => Model::Array(items.iter().map(of_ciborium).collect::<Option<_>>()?),
        Value::Map(pairs) => Model::Map(
            pairs.iter().map(|(k, v)| Some((of_ciborium(k)?, of_ciborium(v)?))).collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

fn of_serde_cbor(value: &serde_cbor::Value) -> Model {
    use serde_cbor::Value;
    match value {
        Value::Null => Model::Null,
        Value::Bool(value) => Model::Bool(*value),
        Value::Integer(value) => Model::Int(*value),
        Value::Bytes(bytes) => Model::Bytes(bytes.clone()),
        Value::Text(text) => Model::Text(text.clone()),
        Value::Array(items) => Model::Array(items.iter().map(of_serde_cbor).collect()),
        Value::Map(pairs) => {
            Model::Map(pairs.iter().map(|(k, v)| (of_serde_cbor(k), of_serde_cbor(v))).collect())
        }
        other => unreachable!("{other:?}"),
    }
}

fn of_minicbor(decoder: &mut minicbor::Decoder<'_>) -> Model {
    use minicbor::data::Type;
    match decoder.datatype().unwrap() {
        Type::Null => {
            decoder.null().unwrap();
            Model::Null
        }
        Type::Bool => Model::Bool(decoder.bool().unwrap()),
        Type::Bytes => Model::Bytes(decoder.bytes().unwrap().to_vec()),
        Type::String => Model::Text(decoder.str().unwrap().to_owned()),
        Type::Array => {
            let count = decoder.array().unwrap().unwrap();
            Model::Array((0..count).map(|_| of_minicbor(decoder)).collect())
        }
        Type::Map => {
            let count = decoder.map().unwrap().unwrap();
            Model::Map((0..count).map(|_| (of_minicbor(decoder), of_minicbor(decoder))).collect())
        }
        _ => Model::Int(i128::from(decoder.int().unwrap())),
    }
}

fn int() -> impl Strategy<Value = i128> {
    let edge = (0u32..=64, -2i128..=2).prop_map(|(bits, by)| (1i128 << bits) + by);
    let any = prop_oneof![edge.clone(), edge.prop_map(|value| -value), -300i128..300];
    any.prop_map(|value| value.clamp(-(1 << 64), (1 << 64) - 1))
}

fn model() -> impl Strategy<Value = Model> {
    let leaf = prop_oneof![
        Just(Model::Null),
        any::<bool>().prop_map(Model::Bool),
        int().prop_map(Model::Int),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Model::Bytes),
        ".{0,30}".prop_map(Model::Text),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Model::Array),
            prop::collection::vec((inner.clone(), inner), 0..6).prop_map(Model::Map),
        ]
    })
}

/// Whether `bytes` are what their value encodes to, by ciborium and the naive rule.
fn by_the_naive_rule(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let Ok(value) = ciborium::from_reader::<Value, _>(&mut rest) else { return false };
    let Some(model) = of_ciborium(&value) else { return false };
    rest.is_empty() && depth(&model) <= MAX_DEPTH && write(&model).as_deref() == Some(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn three_decoders_agree_and_our_encoder_writes_it_again(model in model()) {
        let Some(bytes) = write(&model) else { return Ok(()) };
        gate(&bytes).unwrap();
        let ours: serde_cbor::Value = serde_cbor::from_slice(&bytes).unwrap();
        match decode::<serde_cbor::Value>(&bytes) {
            Ok(same) => prop_assert_eq!(&same, &ours),
            Err(error) => prop_assert!(has_number_key(&model), "{error}"),
        }
        let model = of_minicbor(&mut minicbor::Decoder::new(&bytes));
        prop_assert_eq!(&of_ciborium(&ciborium::from_reader(bytes.as_slice()).unwrap()).unwrap(), &model);
        prop_assert_eq!(write(&of_serde_cbor(&ours)).unwrap(), bytes.clone());
        prop_assert_eq!(encode(&ours).unwrap(), bytes);
    }

    #[test]
    fn the_gate_admits_exactly_what_encodes_to_itself(
        model in model(), at in any::<prop::sample::Index>(), byte in any::<u8>(), how in 0..4u8,
    ) {
        let mut bytes = write(&model).unwrap_or_else(|| vec![0xa2, 0x01, 0x02, 0x01, 0x03]);
        let place = at.index(bytes.len());
        match how {
            0 => bytes[place] = byte,
            1 => bytes.insert(place, byte),
            2 => { bytes.remove(place); }
            _ => bytes.swap(place, 0),
        }
        prop_assert_eq!(scan_all(&bytes, Tags::Refuse).is_ok(), by_the_naive_rule(&bytes));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(scan_all(&bytes, Tags::Refuse).is_ok(), by_the_naive_rule(&bytes));
        let _ = split_first(&bytes);
        let _ = decode::<serde_cbor::Value>(&bytes);
        let _ = gate::canonical(&bytes);
    }
}

#[test]
fn each_offence_has_its_name_and_place() {
    let check = |bytes: &[u8], expected: &str| {
        let error = gate(bytes).unwrap_err();
        assert_eq!(error.to_string(), expected, "{bytes:02x?}");
    };
    check(b"", "cbor ends inside an item at byte 0");
    check(b"\x00\x00", "bytes after the cbor item at byte 1");
    check(b"\x18\x17", "head not in shortest form at byte 0");
    check(b"\x19\x00\xff", "head not in shortest form at byte 0");
    check(b"\x1a\x00\x00\xff\xff", "head not in shortest form at byte 0");
    check(b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", "head not in shortest form at byte 0");
    check(b"\x58\x01a", "head not in shortest form at byte 0");
    check(b"\x1c", "reserved head at byte 0");
    check(b"\xfc", "reserved head at byte 0");
    check(b"\x81\x9f\xff", "indefinite length at byte 1");
    check(b"\xbf\xff", "indefinite length at byte 0");
    check(b"\x5f\x41a\xff", "indefinite length at byte 0");
    check(b"\xff", "indefinite length at byte 0");
    check(b"\x82\x01\xf9\x3c\x00", "floating-point number at byte 2");
    check(b"\xf7", "simple value not admitted at byte 0");
    check(b"\xf8\x20", "simple value not admitted at byte 0");
    check(b"\xe0", "simple value not admitted at byte 0");
    check(b"\xa2\x02\x00\x01\x00", "map keys not sorted at byte 3");
    check(b"\xa2\x61b\x00\x61a\x00", "map keys not sorted at byte 4");
    check(b"\xa2\x62aa\x00\x61b\x00", "map keys not sorted at byte 5");
    check(b"\xa2\x61a\x00\x61a\x01", "duplicate map key at byte 4");
    check(b"\x81\xa1\x01\xa2\x20\x00\x01\x00", "map keys not sorted at byte 6");
    check(b"\xa1\xa2\x02\x00\x01\x00\x00", "map keys not sorted at byte 4");
    check(b"\xa1\x01", "cbor ends inside an item at byte 2");
    check(b"\x62\xc3\x28", "text is not utf-8 at byte 1");
    check(b"\x63a", "cbor ends inside an item at byte 0");
    check(b"\xc1\x00", "tag 1 not admitted at byte 0");
    check(b"\x81\xd2\x00", "tag 18 not admitted at byte 1");
    check(b"\xd2\xd2\x00", "tag 18 not admitted at byte 1");
    check(&[0x81; 17], "nested deeper than 16 at byte 16");
    check(&[0x81; 100_000], "nested deeper than 16 at byte 16");
}

#[test]
fn the_edges_of_the_gate() {
    let nested = [vec![0x81; 15], vec![0x80]].concat();
    gate(&nested).unwrap();
    gate(b"\xd2\x84\x40\xa0\xf6\x40").unwrap();
    assert!(decode::<serde_cbor::Value>(b"\xd2\x00").is_err());
    // Lengths that are not there cost nothing.
    for head in [0x5b, 0x7b, 0x9b, 0xbb] {
        let bytes = [&[head][..], &(1u64 << 60).to_be_bytes()].concat();
        assert!(matches!(gate(&bytes), Err(Error::Truncated { .. })));
        let bytes = [&[head][..], &[0xff; 8]].concat();
        assert!(matches!(gate(&bytes), Err(Error::Truncated { .. })));
    }
    // Keys compare as bytes: 24 sorts before −1, −1 before "".
    gate(b"\xa3\x18\x18\x00\x20\x00\x60\x00").unwrap();
    assert_eq!(split_first(b"\x01\x82\x02").unwrap(), (&b"\x01"[..], &b"\x82\x02"[..]));
    assert!(split_first(b"\x82\x02").is_err());
    assert!(split_first(b"").is_err());
}

#[test]
fn encode_sorts_and_refuses_what_the_gate_would() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Unsorted {
        zeta: u8,
        b: Option<u8>,
        a: (i64, String),
    }
    let value = Unsorted { zeta: 1, b: None, a: (-500, "x".into()) };
    let bytes = encode(&value).unwrap();
    assert_eq!(bytes, b"\xa3\x61a\x82\x39\x01\xf3\x61x\x61b\xf6\x64zeta\x01");
    assert_eq!(decode_exact::<Unsorted>(&bytes).unwrap(), value);
    assert!(encode(&1.5f64).is_err());
    let depth = (0..17).fold(serde_cbor::Value::Null, |inner, _| serde_cbor::Value::Array(vec![inner]));
    assert!(encode(&depth).is_err());
    // A sequence without a known length is written with one.
    struct Lazy;
    impl Serialize for Lazy {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;
            let mut seq = serializer.serialize_seq(None)?;
            seq.serialize_element(&1u8)?;
            seq.end()
        }
    }
    assert_eq!(encode(&Lazy).unwrap(), b"\x81\x01");
}

#[test]
fn decode_exact_refuses_what_serde_lets_through() {
    #[derive(Serialize, Deserialize, Debug)]
    struct Pair {
        a: u8,
        b: serde_bytes::ByteBuf,
    }
    decode_exact::<Pair>(b"\xa2\x61a\x01\x61b\x41x").unwrap();
    for other in [
        &b"\x82\x01\x41x"[..],               // a struct as an array
        b"\xa2\x61a\x01\x61b\x81\x18x",      // bytes as an array
        b"\xa2\x61a\x01\x61b\x61x",          // bytes as text
        b"\xa3\x61a\x01\x61b\x41x\x61c\x00", // an unknown field
    ] {
        decode::<Pair>(other).unwrap();
        assert!(matches!(decode_exact::<Pair>(other), Err(Error::NotExact)));
    }
    // Fields by number would be a further spelling; refused even by `decode`.
    assert!(decode::<Pair>(b"\xa2\x00\x01\x01\x41x").is_err());
}
