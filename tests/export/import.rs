//! What sources bring, read into the small form: published files, lies, any bytes.

use std::io::Read;

use naru::portability::import;
use naru::portability::import::Form;
use naru::portability::import::Item;
use naru::portability::import::Media;
use naru::portability::import::Refused;
use proptest::prelude::*;

const LIPIDS: &[u8] = include_bytes!("../data/import/fhir-r4-lipids.json");
const SEARCHSET: &[u8] = include_bytes!("../data/import/fhir-r4-searchset.json");
const STATEMENT: &[u8] = include_bytes!("../data/import/card-statement.csv");
const ADULT: &[u8] = include_bytes!("../data/adult/adult.data.gz");
/// Source: adult.names, "Attribute information"
const COLUMNS: &str = "age,workclass,fnlwgt,education,education-num,marital-status,occupation,relationship,race,\
                       sex,capital-gain,capital-loss,hours-per-week,native-country,income";
const FHIR: &str = "application/fhir+json";
pub(crate) const BANK: &str = "application/json; profile=kmydata-bank";
pub(crate) const CARD: &str = "application/json;profile=\"kmydata-card\"";

pub(crate) fn read(media: &str, original: &[u8]) -> Result<Option<Form>, Refused> {
    import::read(Media::parse(media).unwrap(), original)
}

pub(crate) fn items(media: &str, original: &[u8]) -> Vec<Item> {
    read(media, original).unwrap().unwrap().items
}

pub(crate) fn amounts(item: &Item) -> Vec<(&str, &str, Option<&str>)> {
    item.amounts.iter().map(|a| (a.name.as_str(), a.value.as_str(), a.unit.as_deref())).collect()
}

pub(crate) fn codes(item: &Item) -> Vec<(&str, &str)> {
    item.codes.iter().map(|c| (c.system.as_str(), c.code.as_str())).collect()
}

pub(crate) fn label<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.labels.iter().find(|l| l.name == name).map(|l| l.text.as_str())
}

#[test]
fn bundles_of_the_specification_give_their_resources_codes_and_quantities() {
    let found = items(FHIR, LIPIDS);
    assert_eq!(found.len(), 5);
    let kind = |item: &Item| item.codes[0].code.clone();
    assert_eq!(kind(&found[0]), "DiagnosticReport");
    assert_eq!(found[0].when.as_deref(), Some("2011-03-04T08:30:00+11:00"));
    assert_eq!(codes(&found[0])[1], ("http://loinc.org", "57698-3"));
    let observed: Vec<_> = found[1..].iter().flat_map(amounts).collect();
    let of = |value| ("value", value, Some("mmol/L"));
    assert_eq!(observed, [of("6.3"), of("1.3"), of("1.3"), of("4.6")]);
    assert_eq!(label(&found[1], "code"), Some("Cholesterol"));
    assert_eq!(label(&found[1], "subject"), Some("Patient/pat2"));
    let original: serde_json::Value = serde_json::from_slice(LIPIDS).unwrap();
    for item in &found {
        let there = original.pointer(&item.source).expect(&item.source);
        assert_eq!(there["id"], label(item, "id").unwrap());
    }
    let found = items(FHIR, SEARCHSET);
    assert_eq!(found.iter().map(kind).collect::<Vec<_>>(), ["MedicationRequest", "Medication"]);
    assert_eq!(label(&found[0], "status"), Some("unknown"));
    // How exact a decimal is, its digits say.
    let exact = String::from_utf8(LIPIDS.to_vec()).unwrap().replace("\"value\": 6.3", "\"value\": 6.300");
    assert_eq!(items(FHIR, exact.as_bytes())[1].amounts[0].value, "6.300");
}

#[test]
fn a_published_table_gives_every_cell_under_its_column() {
    let mut text = String::new();
    flate2::read::GzDecoder::new(ADULT).read_to_string(&mut text).unwrap();
    let rows: Vec<&str> = text.lines().take(1_000).collect();
    let table = format!("{COLUMNS}\n{}\n", rows.join("\n"));
    let found = items("text/csv; charset=UTF-8", table.as_bytes());
    assert_eq!(found.len(), 1_000);
    assert!(found.iter().all(|item| item.labels.len() == 15));
    assert_eq!((found[0].source.as_str(), label(&found[0], "workclass")), ("row:1", Some(" State-gov")));
    assert_eq!(label(&found[999], "income").map(str::trim), rows[999].rsplit(", ").next());
    // The mark that spreadsheets write is no part of the first column.
    let marked = [b"\xef\xbb\xbf", table.as_bytes()].concat();
    assert_eq!(items("text/csv", &marked), found);
    // The encoding of Korean spreadsheets, if it is named; 똠 is in CP949 and not in EUC-KR proper.
    let korean = b"\xc0\xcc\xb8\xa7,\xb0\xaa\n\x8c\x63,1\n";
    let found = items("text/csv;charset=EUC-KR", korean);
    assert_eq!((label(&found[0], "이름"), label(&found[0], "값")), (Some("똠"), Some("1")));
    for media in ["text/csv", "text/plain", "text/csv;charset=utf-8"] {
        assert_eq!(read(media, korean), Err(Refused::Encoding { named: "UTF-8" }), "{media}");
    }
    let utf8 = "이름,값\n똠,가\n".as_bytes();
    assert!(matches!(read("text/csv;charset=cp949", utf8), Err(Refused::Encoding { .. })));
}

/// What an issuer writes: amounts with their signs, a comma inside one, and a last column without a name
/// that says which way the money went.
#[test]
fn a_published_statement_of_a_card_gives_every_row_as_it_stands() {
    let found = items("text/csv", STATEMENT);
    assert_eq!(found.len(), 13);
    let cells = |at: usize| -> Vec<_> {
        found[at].labels.iter().map(|l| (l.name.as_str(), l.text.as_str())).collect()
    };
    let insured = "ROYAL LONDON INSURANCE        01222 61234  GBR";
    assert_eq!(
        cells(3),
        [("Date Processed", "12-Dec-2019"), ("Description", insured), ("Amount", "£1,183.23")]
    );
    assert_eq!((cells(0)[0].1, found[0].when.as_deref()), ("Pending", None));
    assert_eq!(
        cells(12)[1..],
        [("Description", "PAYMENT RECEIVED - THANK YOU"), ("Amount", "+ £1,100.00"), ("", "CR")]
    );
    assert_eq!(found[12].source, "row:13");
    assert!(found.iter().all(|item| item.amounts.is_empty()), "what a column means is not guessed");
}

#[test]
fn bytes_that_are_not_what_their_type_says_are_refused_and_so_is_too_much() {
    let lies = |media: &str, bytes: &[u8]| {
        assert!(matches!(read(media, bytes), Err(Refused::Lies { .. })), "{media}");
    };
    lies("application/json", b"{\"a\":1,}");
    lies("application/json", LIPIDS.split_at(LIPIDS.len() - 9).0);
    lies(FHIR, b"{}");
    lies(FHIR, br#"{"resourceType":"Patient","id":"x"}"#);
    lies(FHIR, br#"{"resourceType":"Bundle","type":"secret"}"#);
    lies(FHIR, br#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"id":"x"}}]}"#);
    lies(BANK, LIPIDS);
    lies("text/csv", b"a,b\n1\n");
    lies("text/csv", b"\n");
    lies("application/pdf", b"<html>");
    lies("image/png", b"\xff\xd8\xff\xe0");
    lies("image/jpeg", b"\x89PNG\r\n\x1a\n");
    for (media, bytes) in [("application/json", &b"\"\xff\""[..]), ("text/plain", b"a\0b")] {
        assert!(matches!(read(media, bytes), Err(Refused::Encoding { .. })), "{media}");
    }
    // In JSON it is UTF-8 whatever anybody names, and UTF-16 is not that.
    assert!(matches!(read("application/json", b"\xff\xfe{\0}\0"), Err(Refused::Encoding { .. })));
    let deep = [vec![b'['; 65], vec![b']'; 65]].concat();
    assert_eq!(read("application/json", &deep), Err(Refused::TooMuch));
    let deepest = vec![b'['; 1 << 20];
    assert_eq!(read("application/json", &deepest), Err(Refused::TooMuch));
    assert_eq!(read("application/json", b"\"[[[[\\\"[[[\""), Ok(None), "brackets in a text are none");
    let rows = "a\n".repeat(import::MAX_ITEMS + 2);
    assert_eq!(read("text/csv", rows.as_bytes()), Err(Refused::TooMuch));
    let entries = vec!["{}"; import::MAX_ITEMS + 1].join(",");
    let many = format!("{{\"rsp_code\":\"00000\",\"trans_list\":[{entries}]}}");
    assert_eq!(read(BANK, many.as_bytes()), Err(Refused::TooMuch));
    for bytes in [vec![], vec![0; import::MAX_ORIGINAL + 1]] {
        assert_eq!(read("application/octet-stream", &bytes), Err(Refused::Size));
    }
    for media in [
        "",
        "text",
        "text/html",
        "application/xml",
        "application/zip",
        "image/svg+xml",
        "text/csv;charset=utf-16",
        "application/json;charset=euc-kr",
        "application/json;profile=x",
        "text/csv;header=absent",
        "image/png;q=1",
        "text/csv;charset=utf-8;charset=euc-kr",
        "application/fhir+json;profile=kmydata-bank",
        // Kept and shown as it was said: nothing in it breaks a line or is not seen.
        "application/pdf\n",
        "text/csv;\tcharset=utf-8",
        "\u{2028}image/png",
    ] {
        assert_eq!(Media::parse(media), None, "{media}");
    }
    assert_eq!(Media::parse(&format!("text/csv;charset={}", "x".repeat(200))), None);
}

fn all() -> Vec<Media> {
    let names = [
        "application/octet-stream",
        "application/pdf",
        "image/png",
        "image/jpeg",
        "text/plain",
        "text/plain;charset=cp949",
        "text/csv",
        "text/csv;charset=cp949",
        "application/json",
        BANK,
        CARD,
        FHIR,
    ];
    names.iter().map(|name| Media::parse(name).unwrap()).collect()
}

/// JSON with the names that the importers look for, in any places.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let name = prop::sample::select(vec![
        "rsp_code",
        "trans_list",
        "approved_list",
        "card_list",
        "trans_dtime",
        "trans_amt",
        "currency_code",
        "resourceType",
        "type",
        "entry",
        "resource",
        "code",
        "coding",
        "valueQuantity",
        "value",
        "component",
        "period",
        "start",
        "subject",
        "reference",
        "a/b~c",
    ]);
    let text = prop_oneof![
        Just("00000".to_owned()),
        Just("Bundle".to_owned()),
        Just("collection".to_owned()),
        "[0-9]{0,15}",
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(|n| serde_json::json!(n)),
        text.prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), media in any::<String>()) {
        for media in all().into_iter().chain(Media::parse(&media)) {
            if let Ok(Some(form)) = import::read(media, &bytes) {
                form.encode().unwrap();
            }
        }
    }

    #[test]
    fn any_json_is_read_or_refused_and_every_item_leads_to_its_place(value in json()) {
        let bytes = serde_json::to_vec(&value).unwrap();
        for media in [BANK, CARD, FHIR] {
            let Ok(form) = read(media, &bytes) else { continue };
            for item in form.unwrap().items {
                prop_assert!(value.pointer(&item.source).is_some(), "{}", item.source);
            }
        }
    }

    #[test]
    fn any_table_is_read_or_refused(text in "[a\",\n\r;=+@]{0,60}") {
        if let Ok(form) = read("text/csv", text.as_bytes()) {
            form.unwrap().encode().unwrap();
        }
    }
}
