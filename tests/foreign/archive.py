#!/usr/bin/env python3
"""Checks an archive with other people's programs: usage `archive.py mydata.zip KEY`.

KEY is the log's, PEM or DER. `cargo test --test export` leaves an archive of 1,000 events and
`log.spki` in target/tmp/export, the demo one in export/ beside `log.pem`.

- `zipfile` opens it and finds every checksum right,
- `bagit` finds a whole and valid bag in its one folder (RFC 8493), and the manifest names exactly the
  files below data/ with their SHA-256,
- `pycose` verifies the manifest, which names every other file in the order of the zip,
- lists and parcels come in pairs; `zipfile` opens each parcel, which holds exactly the files its list names,
  so every statement and use has its evidence inside,
- `csv` reads the tables: BOM, CRLF, as many rows as the lists, no cell that begins a formula,
- `pyld` expands the JSON-LD without fetching anything: every key is an IRI, every record has its controller,
- what sources brought has the SHA-256 of its origin; what is sealed to her own key is an age file,
- every incident rests on uses and statements inside, and an accused is named only where confirmed.

Nothing here shares code with Naru. Exit code 1 if anything differs.
"""

import csv
import hashlib
import io
import json
import logging
import sys
import tempfile
import zipfile
from pathlib import Path

import bagit
import cbor2
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key, load_pem_public_key
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message
from pyld import jsonld


def must(what: str, holds: bool) -> None:
    print(f"{'ok   ' if holds else 'FAIL '} {what}")
    if not holds:
        sys.exit(1)


class Bag:
    """The files of the one folder in a zip, by their path in it."""

    def __init__(self, path: str) -> None:
        self.zip = zipfile.ZipFile(path)
        folders = {name.split("/", 1)[0] for name in self.zip.namelist()}
        must("one folder, and all of the zip below it", len(folders) == 1)
        self.folder = folders.pop()
        self.names = [name.split("/", 1)[1] for name in self.zip.namelist()]

    def read(self, name: str) -> bytes:
        return self.zip.read(f"{self.folder}/{name}")

    def lists(self, folder: str) -> list[str]:
        """The lists of a folder, in order."""
        return [name for name in self.names if name.startswith(folder) and name.endswith(".ndjson")]

    def rows(self, folder: str) -> list[dict]:
        return [json.loads(line) for name in self.lists(folder) for line in self.read(name).splitlines()]

    def inside(self, path: str) -> bytes:
        """A file of a parcel, by its path as if the parcel were a folder."""
        parcel, name = path.rsplit("/", 1)
        return zipfile.ZipFile(io.BytesIO(self.read(parcel))).read(name)

    def parcels_hold_what_lists_say(self, folder: str, members: tuple[str, ...]) -> bool:
        for name in self.lists(folder):
            rows = [json.loads(line) for line in self.read(name).splitlines()]
            named = [row[m] for row in rows for m in members if row[m]]
            parcel = name.removesuffix(".ndjson") + ".zip"
            if (parcel in self.names) != bool(named) or len(rows) > 1024:
                return False
            if named:
                opened = zipfile.ZipFile(io.BytesIO(self.read(parcel)))
                stored = all(i.compress_type == zipfile.ZIP_STORED and not i.flag_bits & 8 for i in opened.infolist())
                if not stored or opened.testzip() or [f"{parcel}/{n}" for n in opened.namelist()] != named:
                    return False
        return True

    def valid(self, flipped: str | None = None) -> bool:
        """Whether `bagit` takes the unpacked bag, with one bit of a file flipped."""
        with tempfile.TemporaryDirectory() as out:
            self.zip.extractall(out)
            if flipped:
                file = Path(out, self.folder, flipped)
                file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
            try:
                return bagit.Bag(f"{out}/{self.folder}").validate()
            except bagit.BagError:
                return False


def main() -> None:
    logging.getLogger("bagit").setLevel(logging.ERROR)
    bag = Bag(sys.argv[1])
    given = open(sys.argv[2], "rb").read()
    key = load_pem_public_key(given) if given.startswith(b"-----") else load_der_public_key(given)
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    names = bag.names
    must("zipfile finds every checksum right", bag.zip.testzip() is None)
    must("stored, dated 1980, no name twice", len(set(names)) == len(names) and all(
        i.compress_type == zipfile.ZIP_STORED and i.date_time == (1980, 1, 1, 0, 0, 0) for i in bag.zip.infolist()))
    digest = {name: hashlib.sha256(bag.read(name)).hexdigest() for name in names}
    lines = bag.read("manifest-sha256.txt").decode().splitlines()
    payload = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    must("BagIt payload manifest", payload == {n: d for n, d in digest.items() if n.startswith("data/")})
    must("bagit: a valid bag", bag.valid())
    must("bagit: none with a bit flipped in payload or tag file",
         not bag.valid("data/consents.json") and not bag.valid("bagit.txt") and not bag.valid("bag-info.txt"))
    oxum = sum(len(bag.read(n)) for n in payload), len(payload)
    must("Payload-Oxum", f"Payload-Oxum: {oxum[0]}.{oxum[1]}\n" in bag.read("bag-info.txt").decode())

    signed = Sign1Message.decode(bag.read("manifest.cose"))
    signed.key = OKPKey(crv=Ed25519, x=key.public_bytes_raw())
    must("the log signed the manifest", signed.verify_signature())
    protected = cbor2.loads(signed.phdr_encoded)
    must("typ and kid", protected[16] == "application/naru-archive+cbor"
         and protected[4] == hashlib.sha256(spki).digest())
    manifest = cbor2.loads(signed.payload)
    listed = [(path, size, sha.hex()) for path, size, sha in manifest["files"]]
    must("it names every other file in order", names[-2:] == ["manifest.cose", "manifest.js"]
         and listed == [(n, len(bag.read(n)), digest[n]) for n in names[:-2]])

    rows, uses = bag.rows("data/statements/"), bag.rows("data/uses/")
    must(f"{len(rows)} statements and {len(uses)} uses have their evidence",
         bag.parcels_hold_what_lists_say("data/statements/", ("evidence", "receipt"))
         and bag.parcels_hold_what_lists_say("data/uses/", ("evidence",)))
    records = json.loads(bag.read("data/consents.json"))["records"]
    events = {e["ext"]["statement"] for r in records for e in r["events"]}
    must(f"{len(records)} consent records rest on listed statements", events <= {row["id"] for row in rows})
    complaints = json.loads(bag.read("data/complaints.json"))["complaints"]
    must(f"{len(complaints)} complaints have their evidence and receipts",
         all(one["evidence"] in digest and one["receipt"] in digest for one in complaints))
    tables = ("data/consents.csv", len(records)), ("data/uses.csv", len(uses)), ("data/complaints.csv", len(complaints))
    for path, count in tables:
        text = bag.read(path).decode("utf-8-sig")
        table = list(csv.reader(io.StringIO(text, newline="")))
        must(f"{path}: {count} rows", bag.read(path).startswith(b"\xef\xbb\xbf") and text.endswith("\r\n")
             and len(table) == count + 1 and len({len(row) for row in table}) == 1)
        must(f"{path}: no formula", not any(cell[:1] in "=+-@\t\r" for row in table for cell in row if cell))
    told = [row[11] for row in csv.reader(io.StringIO(bag.read("data/uses.csv").decode("utf-8-sig"), newline=""))]
    must("the table of uses tells what the list tells", told[1:] == [row["told"] for row in uses])

    def nothing(url: str, *_) -> None:
        raise ValueError(f"would fetch {url}")

    graph = jsonld.expand(json.loads(bag.read("data/consents.jsonld")), {"documentLoader": nothing})
    graph = graph[0]["@graph"] if graph and "@graph" in graph[0] else graph
    must(f"{len(graph)} records of JSON-LD", len(graph) == len(records)
         and all(one["@type"] == ["https://w3id.org/dpv#ConsentRecord"] for one in graph))
    names = [p["purposes"][0]["pii_controllers"][0] for p in (r["pii_processing"] for r in records)]
    named = [[c["@id"] for c in one.get("https://w3id.org/dpv#hasDataController", [])] for one in graph]
    must("each with its controller", named == [[f"urn:naru:party:{n}"] if n != "*" else [] for n in names])
    incidents = json.loads(bag.read("data/incidents.json"))["incidents"]
    hers, said = {row["id"] for row in uses}, {row["id"] for row in rows}
    must(f"{len(incidents)} incidents rest on listed uses and statements", all(
        one["decisions"] + one["alike"] and {*one["decisions"], *one["alike"]} <= hers
        and set(one["statements"]) <= said for one in incidents))
    confirmed = [any(s["type"] == "incident.confirm" for s in one["steps"]) for one in incidents]
    must("no accused is named before a regulator confirms", all(
        one["accused"] is None or so for one, so in zip(incidents, confirmed)))
    brought = bag.rows("data/by-source/")
    must(f"{len(brought)} items of sources are inside, and nothing else by source",
         bag.parcels_hold_what_lists_say("data/by-source/", ("original", "form")))
    plain = [one for one in brought if one["sealed_to"] == "service"]
    must("originals are what their origin says", all(
        hashlib.sha256(bag.inside(one["original"])).hexdigest() == one["sha256"]
        and len(bag.inside(one["original"])) == one["bytes"] for one in plain))
    must("forms are JSON of as many items", all(
        len(json.loads(bag.inside(one["form"]))["items"]) == one["items"] for one in plain if one["form"]))
    must("what is hers alone to read is age", all(
        bag.inside(one["original"]).startswith(b"age-encryption.org/v1\n") for one in brought if one not in plain))
    complete = json.loads(bag.read("data/completeness.json"))
    must("the completeness list names each incident", [one["incident"] for one in incidents]
         == [i["id"] for i in complete["exported"] if i["kind"] == "incident"])
    must("the completeness list names files inside", all(i["path"] in digest for i in complete["exported"]))
    lists = [name for name in bag.names if name.startswith("data/") and name.endswith(".ndjson")]
    must(f"it names each of the {len(lists)} lists with its rows and its SHA-256", complete["lists"] == [
        {"kind": kind, "path": name, "items": len(bag.read(name).splitlines()), "sha256": digest[name]}
        for name in lists for folder, kind in (("data/statements/", "statement"), ("data/uses/", "use"),
                                               ("data/by-source/", "deposit")) if name.startswith(folder)])
    must("each withheld item has reason and law", all(w["reason"] and w["law"] for w in complete["withheld"]))


main()
