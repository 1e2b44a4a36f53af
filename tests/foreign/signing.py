"""Signs what a client of Naru signs, from the text of `schemas/naru.cddl` and nothing of Naru's code."""

import base64
import json
import secrets
import time
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

STATEMENT, LOGIN = "application/naru-statement+cbor", "application/naru-login+cbor"


def encode(value):
    return cbor2.dumps(value, canonical=True)


def sign(key: Ed25519PrivateKey, typ, payload):
    """A tagged COSE_Sign1: EdDSA over the payload, the signer's SPKI in the protected header."""
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    protected = encode({1: -8, 4: spki, 16: typ})
    signature = key.sign(encode(["Signature1", protected, b"", payload]))
    return encode(cbor2.CBORTag(18, [protected, {}, payload, signature]))


def key_create(seed, nonce, iat):
    """A new person's first statement."""
    fields = {"v": 1, "type": "key.create", "iat": iat, "nonce": nonce, "key-use": "device"}
    return sign(Ed25519PrivateKey.from_private_bytes(seed), STATEMENT, encode(fields))


def login(seed, origin):
    now = int(time.time() * 1000)
    fields = {"v": 1, "origin": origin, "nonce": secrets.token_bytes(16), "iat": now, "exp": now + 30_000}
    return sign(Ed25519PrivateKey.from_private_bytes(seed), LOGIN, encode(fields))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assertion(pem: Path, party, origin):
    """A client assertion (RFC 7523)."""
    now = int(time.time())
    claims = {"iss": party, "sub": party, "aud": origin, "jti": secrets.token_hex(16), "iat": now, "exp": now + 30}
    parts = [base64url(json.dumps(part).encode()) for part in ({"alg": "EdDSA", "typ": "JWT"}, claims)]
    signature = load_pem_private_key(pem.read_bytes(), None).sign(".".join(parts).encode())
    return ".".join([*parts, base64url(signature)])
