//! Certificates for servers and clients on loopback.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::EcGroup;
use openssl::ec::EcKey;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::pkey::Private;
use openssl::rsa::Rsa;
use openssl::x509::X509;
use openssl::x509::X509Builder;
use openssl::x509::X509NameBuilder;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::extension::SubjectAlternativeName;

/// A certificate that signs itself, for one address.
pub fn certificate(address: &str) -> (PKey<Private>, X509) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    self_signed(PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap(), address)
}

/// One that content keys can be sealed for.
pub fn rsa_certificate() -> (PKey<Private>, X509) {
    self_signed(PKey::from_rsa(Rsa::generate(2_048).unwrap()).unwrap(), "127.0.0.1")
}

fn self_signed(key: PKey<Private>, address: &str) -> (PKey<Private>, X509) {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "naru test").unwrap();
    let name = name.build();
    let mut made = X509Builder::new().unwrap();
    made.set_version(2).unwrap();
    made.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    made.set_subject_name(&name).unwrap();
    made.set_issuer_name(&name).unwrap();
    made.set_pubkey(&key).unwrap();
    made.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    made.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    made.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    let of = SubjectAlternativeName::new().ip(address).build(&made.x509v3_context(None, None)).unwrap();
    made.append_extension(of).unwrap();
    made.sign(&key, MessageDigest::sha256()).unwrap();
    (key, made.build())
}
