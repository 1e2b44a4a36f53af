#!/usr/bin/env python3
"""Opens sealed archives with other people's programs: usage `sealed.py DIR`.

`cargo test --test http exports` leaves DIR (target/tmp/sealed): one archive, open and sealed five ways.

- `pyrage` opens it with the X25519 identity and with the passphrase, and not with others,
- `jwcrypto` opens the JWE with the key of RFC 7518 appendix C, and not after a flipped bit,
- `openssl cms` opens both CMS files, AES and ARIA, and not after a flipped bit.

Nothing here shares code with Naru. Exit code 1 if anything differs.
"""

import json
import subprocess
import sys
from pathlib import Path

import pyrage
from jwcrypto import jwe, jwk


def must(what: str, holds: bool) -> None:
    print(f"{'ok   ' if holds else 'FAIL '} {what}")
    if not holds:
        sys.exit(1)


def opens(how) -> bytes | None:
    try:
        return how()
    except (pyrage.DecryptError, jwe.InvalidJWEData):
        return None


def main() -> None:
    read = lambda name: Path(sys.argv[1], name).read_bytes()
    plain, sealed, secret = read("plain.zip"), read("key.age"), read("passphrase.age")
    identity = pyrage.x25519.Identity.from_str(read("identity.txt").decode())
    other = pyrage.x25519.Identity.generate()
    must("pyrage opens it with the identity", opens(lambda: pyrage.decrypt(sealed, [identity])) == plain)
    must("and not with another", opens(lambda: pyrage.decrypt(sealed, [other])) is None)
    must("nor without its end", opens(lambda: pyrage.decrypt(sealed[:-1], [identity])) is None)
    must("pyrage opens it with the passphrase",
         opens(lambda: pyrage.passphrase.decrypt(secret, "correct horse battery")) == plain)
    must("and not with another", opens(lambda: pyrage.passphrase.decrypt(secret, "correct horse batterx")) is None)

    key = jwk.JWK(kty="EC", crv="P-256", d="VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw",
                  x="weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ", y="e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck")
    text = read("ec.jwe").decode()

    def jose(text: str) -> bytes:
        token = jwe.JWE()
        token.deserialize(text, key)
        header = json.loads(token.objects["protected"])
        must("the header names the suite", (header["alg"], header["enc"], header["kid"])
             == ("ECDH-ES", "A256GCM", "bank-1"))
        return token.payload

    must("jwcrypto opens the JWE", opens(lambda: jose(text)) == plain)
    middle = len(text) // 2
    flipped = text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1:]
    must("and not with one letter changed", opens(lambda: jose(flipped)) is None)

    def cms(sealed: bytes) -> bytes | None:
        key = str(Path(sys.argv[1], "rsa.pem"))
        done = subprocess.run(["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", key],
                              input=sealed, capture_output=True)
        return done.stdout if done.returncode == 0 else None

    for name in ("aes", "aria"):
        sealed = read(f"{name}.p7m")
        must(f"openssl cms opens the CMS under {name}", cms(sealed) == plain)
        middle = len(sealed) // 2
        altered = sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1:]
        must("and not with one bit changed", cms(altered) is None)


main()
