//! Statements as readable JSON, both ways: hex where CBOR has bytes.
//!
//! Driven by the statement's own type: a text becomes bytes only where the type
//! wants bytes (`ppid_` and `0x` are taken off first). Lacks floats.

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde::de::IntoDeserializer;
use serde::de::value::Error;
use serde::de::value::MapDeserializer;
use serde::de::value::SeqDeserializer;
use serde::forward_to_deserialize_any;
use serde_json::Map;
use serde_json::Value;

use crate::ledger::cbor;
use crate::model::id::Ppid;
use crate::model::statement::Kind;
use crate::model::statement::Statement;

/// Reads a statement of a known type.
pub(in crate::cli) fn statement(kind: Kind, value: Value) -> Result<Statement, Error> {
    Statement::deserialize_as(kind, Readable(value))
}

/// Shows gated CBOR.
pub(in crate::cli) fn of_cbor(bytes: &[u8]) -> Result<Value, cbor::Error> {
    cbor::decode::<Shown>(bytes).map(|shown| shown.0)
}

/// A JSON value that becomes what the reader wants.
struct Readable(Value);

impl<'de> IntoDeserializer<'de> for Readable {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let hex = text.strip_prefix(Ppid::PREFIX).or_else(|| text.strip_prefix("0x")).unwrap_or(text);
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let text = std::str::from_utf8(pair).ok()?;
        pair.iter().all(u8::is_ascii_hexdigit).then(|| u8::from_str_radix(text, 16).ok())?
    };
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

impl<'de> Deserializer<'de> for Readable {
    type Error = Error;

    fn deserialize_any<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(b),
            Value::Number(n) => match (n.as_u64(), n.as_i64()) {
                (Some(n), _) => visitor.visit_u64(n),
                (None, Some(n)) => visitor.visit_i64(n),
                (None, None) => Err(de::Error::custom(format_args!("number `{n}` is not whole"))),
            },
            Value::String(text) => visitor.visit_string(text),
            Value::Array(list) => visitor.visit_seq(SeqDeserializer::new(list.into_iter().map(Readable))),
            Value::Object(map) => {
                visitor.visit_map(MapDeserializer::new(map.into_iter().map(|(k, v)| (k, Readable(v)))))
            }
        }
    }

    fn deserialize_bytes<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Value::String(text) = &self.0 else { return self.deserialize_any(visitor) };
        match bytes(text) {
            Some(bytes) => visitor.visit_byte_buf(bytes),
            None => Err(de::Error::custom(format_args!("`{text}` is not hex"))),
        }
    }

    fn deserialize_byte_buf<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: de::Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            other => Err(de::Error::custom(format_args!("`{other}` is not one of the known words"))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// Any admitted value, bytes as hex.
struct Shown(Value);

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> de::Visitor<'de> for Seen {
            type Value = Shown;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an admitted value")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Shown, E> {
                Ok(Shown(Value::Null))
            }

            fn visit_none<E: de::Error>(self) -> Result<Shown, E> {
                Ok(Shown(Value::Null))
            }

            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Shown, E> {
                Ok(Shown(Value::Bool(v)))
            }

            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Shown, E> {
                Ok(Shown(v.into()))
            }

            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Shown, E> {
                Ok(Shown(v.into()))
            }

            fn visit_str<E: de::Error>(self, v: &str) -> Result<Shown, E> {
                Ok(Shown(v.into()))
            }

            fn visit_bytes<E: de::Error>(self, v: &[u8]) -> Result<Shown, E> {
                Ok(Shown(crate::cli::say::hex(v).into()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Shown, A::Error> {
                let mut list = Vec::new();
                while let Some(Shown(value)) = seq.next_element()? {
                    list.push(value);
                }
                Ok(Shown(Value::Array(list)))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Shown, A::Error> {
                let mut object = Map::new();
                while let Some((key, Shown(value))) = map.next_entry::<String, Shown>()? {
                    object.insert(key, value);
                }
                Ok(Shown(Value::Object(object)))
            }
        }
        d.deserialize_any(Seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_readable_statement_becomes_the_bytes_it_shows() {
        let value = json!({
            "v": 1, "type": "consent.withdraw", "iat": 7, "nonce": "00112233445566778899aabbccddeeff",
            "ppid": "ppid_000102030405060708090a0b0c0d0e0f", "by": null,
            "controller": "bank", "purpose": "dpv:ServiceProvision", "class": "real-name",
        });
        let statement = statement(Kind::ConsentWithdraw, value).unwrap();
        let bytes = cbor::encode(&statement).unwrap();
        let shown = of_cbor(&bytes).unwrap();
        assert_eq!(shown["ppid"], "000102030405060708090a0b0c0d0e0f");
        assert_eq!(shown["class"], "real-name");
        assert_eq!(cbor::encode(&super::statement(Kind::ConsentWithdraw, shown).unwrap()).unwrap(), bytes);
    }

    #[test]
    fn unknown_fields_and_bad_hex_are_refused() {
        let head = json!({ "v": 1, "type": "key.create", "iat": 7, "nonce": "zz", "key-use": "device" });
        assert!(statement(Kind::KeyCreate, head.clone()).unwrap_err().to_string().contains("not hex"));
        let mut more = head;
        more["nonce"] = "00112233445566778899aabbccddeeff".into();
        more["wish"] = 1.into();
        assert!(statement(Kind::KeyCreate, more).unwrap_err().to_string().contains("wish"));
    }
}
