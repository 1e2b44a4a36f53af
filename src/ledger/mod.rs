//! PURE. Bytes, hashes, proofs. Does not know what consent is.
