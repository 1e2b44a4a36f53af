#!/usr/bin/env python3
"""Checks a Naru log with other people's programs: usage `verify.py DIRECTORY`.

DIRECTORY holds what the demo and `tests/ledger_vectors.rs` leave behind:

    log/ (checkpoint, tile/...)   static C2SP tlog-tiles tree
    log.vkey  log.pem             the log's key, twice
    receipts/NNN.cose NNN.entry   RFC 9942 inclusion receipts and their entries
    consistency.cose              RFC 9942 consistency receipt
    checkpoint.old checkpoint.new the two heads it joins
    witness.vkey checkpoint.cosigned   optional: a cosignature/v1
    uselog/*.cbor                 optional: evidence of decisions
    cohort/                       optional: input.txt, verdicts.jsonl, summary.cose
    dossier/dossier.json          optional: the dossier of an incident
    export/mydata.zip             optional: a person's archive; its container is checked by `archive.py`

Nothing here shares code with Naru. One line a check; exit code 1 if any failed.
"""

import base64
import hashlib
import hmac
import io
import json
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import aics_tlog as tlog
import cbor2
import scitt_cose as scitt
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

ALG, KID, CLAIMS, TYP, VDS, VDP = 1, 4, 15, 16, 395, 396
SPKI = bytes.fromhex("302a300506032b6570032100")
# Most files of the static tree that are flipped one by one: each flip audits the whole log again.
FLIPS = 64
passed = failed = 0


def check(name, test):
    """Runs one check; a false result or an exception is a failure."""
    global passed, failed
    try:
        detail = test()
        good = detail is not False
    except Exception as error:  # noqa: BLE001 - any refusal by a verifier fails the check
        good, detail = False, f"{type(error).__name__}: {error}"
    if good:
        passed += 1
        print(f"ok    {name}" + (f": {detail}" if isinstance(detail, str) else ""))
    else:
        failed += 1
        print(f"FAIL  {name}: {detail}")


def breaks(test):
    """True if the check refuses: by exception or by a false result."""
    try:
        return test() is False
    except Exception:  # noqa: BLE001
        return True


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


def survivors(data, test):
    """Offsets at which a flipped bit went unnoticed."""
    return [at for at in range(len(data)) if not breaks(lambda at=at: test(flipped(data, at)))]


def none_survives(name, data, test):
    def all_break():
        left = survivors(data, test)
        if left:
            raise ValueError(f"unnoticed at bytes {left}")

    check(f"{name}: a flipped bit at any byte breaks it", all_break)


def fold(leaf, index, size, path):
    """RFC 9162 section 2.1.3.2, for the check of the signature by pycose."""
    root, size = leaf, size - 1
    for sibling in path:
        if index & 1 or index == size:
            root = hashlib.sha256(b"\1" + sibling + root).digest()
            while not index & 1 and index:
                index, size = index >> 1, size >> 1
        else:
            root = hashlib.sha256(b"\1" + root + sibling).digest()
        index, size = index >> 1, size >> 1
    return root if size == 0 else False


class Log:
    def __init__(self, directory):
        self.directory = directory
        self.pem = (directory / "log.pem").read_bytes()
        self.vkey = tlog.parse_vkey((directory / "log.vkey").read_text().strip())
        self.raw = load_pem_public_key(self.pem).public_bytes_raw()
        self.kid = hashlib.sha256(SPKI + self.raw).digest()

    def head(self, data):
        """A checkpoint whose signature and origin aics-tlog accepts."""
        note = tlog.parse_note(data)
        result = tlog.verify_checkpoint(note, self.vkey, expected_origin=self.vkey.name)
        if not result.ok:
            raise ValueError(f"checkpoint refused: {result}")
        return tlog.parse_checkpoint(note.text)

    def header(self, receipt, kind, origin=None):
        """The proof, after what RFC 9942 leaves to the profile: kid, origin, size."""
        item = cbor2.loads(receipt)
        if item.tag != 18:
            raise ValueError("not tagged 18")
        protected, unprotected, payload, signature = item.value
        header = cbor2.loads(protected)
        claims = header[CLAIMS]
        proofs = unprotected[VDP]
        if (
            set(header) != {ALG, KID, CLAIMS, TYP, VDS}
            or list(unprotected) != [VDP]
            or list(proofs) != [kind]
            or len(proofs[kind]) != 1
            or payload is not None
            or header[KID] != self.kid
            or header[TYP] != "application/naru-receipt+cose"
            or dict(claims).keys() != {1, 2, "size"}
            or claims[1] != self.vkey.name
            or claims[2] != "naru.receipt.v1"
        ):
            raise ValueError("not a naru receipt of this log")
        first, second, path = cbor2.loads(proofs[kind][0])
        if claims["size"] != (first if kind == -1 else second):
            raise ValueError("size in the proof is not the signed one")
        return first, second, path, protected

    def inclusion(self, receipt, entry):
        size, index, path, _ = self.header(receipt, -1)
        result = scitt.verify_receipt(receipt, leaf_entry_hex=entry.hex(), log_public_key_pem=self.pem)
        if not result.ok or (result.tree_size, result.leaf_index) != (size, index):
            raise ValueError(f"receipt refused: {result.errors}")
        return size, index, bytes.fromhex(result.root)

    def pycose(self, receipt, entry):
        size, index, path, _ = self.header(receipt, -1)
        message = Sign1Message.decode(receipt)
        message.key = OKPKey(crv=Ed25519, x=self.raw)
        root = fold(hashlib.sha256(b"\0" + entry).digest(), index, size, path)
        return root is not False and bool(message.verify_signature(detached_payload=root))

    def consistency(self, receipt, old, new):
        first, second, path, _ = self.header(receipt, -2)
        if (first, second) != (old.size, new.size):
            raise ValueError("receipt joins other sizes")
        scitt.verify_sign1(receipt, public_key_pem=self.pem, detached_payload=new.root)
        path = [node.hex() for node in path]
        return scitt.verify_consistency(old.root.hex(), new.root.hex(), first, second, path)


def canonical(data):
    """Decoded and re-encoded by cbor2, these are the same bytes."""
    return cbor2.dumps(cbor2.loads(data), canonical=True) == data


def entry_shape(entry):
    version, time, kind, body = cbor2.loads(entry)
    sealed = kind == 1 and len(body) == 32
    public = kind == 0 and cbor2.loads(body).tag == 18
    return version == 1 and time > 0 and (sealed or public)


def check_receipts(log, reader):
    receipts = sorted((log.directory / "receipts").glob("*.cose"))
    check("there are receipts", lambda: len(receipts) > 0 and f"{len(receipts)}")
    for file in receipts:
        receipt, entry = file.read_bytes(), file.with_suffix(".entry").read_bytes()
        name = f"receipt {file.stem}"
        check(f"{name}: scitt-cose verifies", lambda: "size %d, index %d" % log.inclusion(receipt, entry)[:2])
        check(f"{name}: pycose verifies the signature", lambda: log.pycose(receipt, entry))
        check(f"{name}: cbor2 finds entry and receipt canonical", lambda: canonical(entry) and canonical(receipt))
        check(f"{name}: entry has the shape of an entry", lambda: entry_shape(entry))

        def same_tree():
            size, index, root = log.inclusion(receipt, entry)
            tree = tlog.tree_root_from_tiles(reader, size, log.head_size) == root
            return tree and tlog.read_entry(reader, index, log.head_size) == entry

        check(f"{name}: root and entry are those of the static log", same_tree)
    for file in sorted({receipts[0], receipts[len(receipts) // 2], receipts[-1]}):
        receipt, entry = file.read_bytes(), file.with_suffix(".entry").read_bytes()
        none_survives(f"receipt {file.stem}", receipt, lambda data: log.inclusion(data, entry) and None)
        none_survives(f"entry of receipt {file.stem}", entry, lambda data: log.inclusion(receipt, data) and None)


def check_static(log):
    root = log.directory / "log"
    reader = tlog.FileSystemTileReader(str(root))
    data = (root / "checkpoint").read_bytes()
    head = log.head(data)
    log.head_size = head.size
    check("checkpoint: aics-tlog verifies", lambda: f"size {head.size}")
    none_survives("checkpoint", data, lambda flip: log.head(flip) and None)
    check("tiles and bundles: aics-tlog audits all", lambda: str(tlog.audit_tiles(reader, head.size, head.root)))
    for index in sorted({0, 1, head.size // 2, head.size - 1} & set(range(head.size))):
        verified = tlog.VerifiedTileReader(reader, head.size, head.root)

        def included(index=index, verified=verified):
            proof = tlog.inclusion_proof_from_tiles(verified, index, head.size)
            return tlog.verify_leaf_inclusion(verified.entry(index), index, head.size, proof, head.root)

        check(f"entry {index}: aics-tlog proves and verifies it", included)
    files = [file for file in sorted((root / "tile").rglob("*")) if file.is_file()]
    if len(files) > FLIPS:
        print(f"note  {FLIPS} of {len(files)} tiles and bundles are flipped, evenly chosen")
        files = [files[nth * (len(files) - 1) // (FLIPS - 1)] for nth in range(FLIPS)]
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "log"
        shutil.copytree(root, copy)
        for file in files:
            part = file.relative_to(root)
            check(f"{part}: a flipped bit breaks the audit", lambda part=part: flip_on_disk(copy, part, head))
    return reader


def flip_on_disk(copy, part, head):
    """Flips one bit in the middle of one file of a copy, audits the copy, flips it back."""
    victim = copy / part
    data = victim.read_bytes()
    victim.write_bytes(flipped(data, len(data) // 2))
    reader = tlog.FileSystemTileReader(str(copy))
    broken = breaks(lambda: tlog.audit_tiles(reader, head.size, head.root) and None)
    victim.write_bytes(data)
    return broken


def check_consistency(log):
    old = log.head((log.directory / "checkpoint.old").read_bytes())
    new = log.head((log.directory / "checkpoint.new").read_bytes())
    receipt = (log.directory / "consistency.cose").read_bytes()
    check(
        "consistency receipt: scitt-cose verifies",
        lambda: log.consistency(receipt, old, new) and f"{old.size} to {new.size}",
    )
    check("consistency receipt: cbor2 finds it canonical", lambda: canonical(receipt))
    none_survives("consistency receipt", receipt, lambda data: log.consistency(data, old, new))
    check(
        "consistency receipt: another old root breaks it",
        lambda: breaks(lambda: log.consistency(receipt, tlog.Checkpoint(old.origin, old.size, new.root), new)),
    )


def check_cosignature(log):
    file = log.directory / "witness.vkey"
    if not file.exists():
        print("skip  cosignature: no witness.vkey")
        return
    witness = tlog.parse_vkey(file.read_text().strip())
    data = (log.directory / "checkpoint.cosigned").read_bytes()

    def quorum(data):
        return tlog.verify_checkpoint(tlog.parse_note(data), log.vkey, [witness], 1).ok

    check("cosigned checkpoint: aics-tlog counts the witness", lambda: quorum(data))
    last = data.rstrip(b"\n").rfind(b" ") + 12
    check("cosigned checkpoint: a flipped bit breaks it", lambda: breaks(lambda: quorum(flipped(data, last))))


def signed(item, raw, header):
    """The payload of a COSE_Sign1 whose signature pycose accepts under the expected header."""
    protected, unprotected, payload, _ = cbor2.loads(item).value
    if cbor2.loads(protected) != header or unprotected or not canonical(item) or not canonical(protected):
        raise ValueError("another header, or not canonical")
    message = Sign1Message.decode(item)
    message.key = OKPKey(crv=Ed25519, x=raw)
    if not message.verify_signature():
        raise ValueError("signature refused")
    return payload


def operator_of(genesis):
    """The operator's key as the first entry names it: a log.create, endorsed by that key."""
    item = cbor2.loads(cbor2.loads(genesis)[3]).value[2]
    operator = cbor2.loads(cbor2.loads(item).value[2])["operator"]
    if operator[: len(SPKI)] != SPKI:
        raise ValueError("the operator's key is not Ed25519")
    return operator


def climb(leaf, sides, path):
    """The root over siblings whose side is told bit by bit."""
    node = leaf
    for nth, sibling in enumerate(path):
        left, right = (sibling, node) if sides >> nth & 1 else (node, sibling)
        node = hashlib.sha256(b"\1" + left + right).digest()
    if sides >> len(path):
        raise ValueError("sides without siblings")
    return node


def decision(log, operator, data):
    """Evidence of a decision: the line under a use.batch of the operator, that under the log's root."""
    evidence = cbor2.loads(data)
    asker = {"k", "v", "line", "path", "batch", "sides"}
    if set(evidence) not in (asker, asker | {"exact", "k-exact"}) or evidence["v"] != 1 or not canonical(data):
        raise ValueError("not evidence of a decision")
    batch = cbor2.loads(evidence["batch"])
    if set(batch) != {"v", "index", "entry", "receipt", "checkpoint"} or batch["v"] != 1:
        raise ValueError("not public evidence")
    if not canonical(evidence["batch"]) or not canonical(evidence["line"]):
        raise ValueError("not canonical")
    size, index, root = log.inclusion(batch["receipt"], batch["entry"])
    head = log.head(batch["checkpoint"].encode())
    if (index, size, root) != (batch["index"], head.size, head.root):
        raise ValueError("index, receipt and checkpoint are not of one tree")
    item = cbor2.loads(batch["entry"])[3]
    header = {ALG: -8, KID: operator, TYP: "application/naru-statement+cbor"}
    says = cbor2.loads(signed(item, operator[len(SPKI) :], header))
    line = cbor2.loads(evidence["line"])
    if says["type"] != "use.batch" or not says["from"] <= line["t"] < says["until"] or line["at"] > line["t"]:
        raise ValueError("the line is not of the batch's time")
    leaf = hmac.digest(evidence["k"], evidence["line"], "sha256")
    if climb(hashlib.sha256(b"\0" + leaf).digest(), evidence["sides"], evidence["path"]) != says["root"]:
        raise ValueError("the line does not lead to the batch's root")
    if "exact" in evidence and hmac.digest(evidence["k-exact"], evidence["exact"], "sha256") != line["exact"]:
        raise ValueError("the exact reason is not the line's")
    return f"{line['asker']} was told {line['told']}, batch {says['number']}"


def check_decisions(log, reader):
    files = sorted((log.directory / "uselog").glob("*.cbor"))
    if not files:
        print("skip  decisions: no uselog")
        return
    operator = operator_of(tlog.read_entry(reader, 0, log.head_size))
    for file in files:
        data = file.read_bytes()
        check(f"decision {file.stem}: scitt-cose, aics-tlog and pycose verify", lambda: decision(log, operator, data))
    # An asker's, a denied person's with the exact reason, the newest.
    for file in sorted({files[0], files[1], files[-1]}):
        data = file.read_bytes()
        none_survives(f"decision {file.stem}", data, lambda flip: decision(log, operator, flip) and None)


def cohort(log, summary, lines, verdicts):
    """The log's signature over both files and over the verdicts by reason."""
    header = {ALG: -8, KID: log.kid, TYP: "application/naru-cohort+cbor"}
    says = cbor2.loads(signed(summary, log.raw, header))
    if hashlib.sha256(lines).digest() != says["input"] or hashlib.sha256(verdicts).digest() != says["verdicts"]:
        raise ValueError("it binds other files")
    told = [json.loads(line) for line in verdicts.splitlines()]
    reasons = [one["reason"] for one in told if "reason" in one]
    counted = {reason: reasons.count(reason) for reason in reasons}
    whole = len(told) == len(lines.splitlines()) == says["lines"]
    if counted != says["told"] or not whole or len(reasons) + says["malformed"] != len(told):
        raise ValueError("it counts other verdicts")
    return f"{says['lines']} lines of {says['party']}"


def check_cohort(log):
    folder = log.directory / "cohort"
    if not folder.exists():
        print("skip  cohort: none")
        return
    names = ("summary.cose", "input.txt", "verdicts.jsonl")
    summary, lines, verdicts = ((folder / name).read_bytes() for name in names)
    check("cohort: pycose verifies the summary, which binds both files", lambda: cohort(log, summary, lines, verdicts))
    none_survives("cohort summary", summary, lambda data: cohort(log, data, lines, verdicts) and None)
    for name, test in (
        ("input", lambda data: cohort(log, summary, data, verdicts)),
        ("verdicts", lambda data: cohort(log, summary, lines, data)),
    ):
        data = {"input": lines, "verdicts": verdicts}[name]
        middle = flipped(data, len(data) // 2)
        check(f"cohort {name}: a flipped bit breaks the summary", lambda: breaks(lambda: test(middle)))


def opening(log, data):
    """Evidence of a statement: receipt, commitment and signature. Answers the statement."""
    evidence = cbor2.loads(data)
    if not canonical(data) or evidence["v"] != 1:
        raise ValueError("not evidence")
    size, index, root = log.inclusion(evidence["receipt"], evidence["entry"])
    head = log.head(evidence["checkpoint"].encode())
    if (index, size, root) != (evidence["index"], head.size, head.root):
        raise ValueError("index, receipt and checkpoint are not of one tree")
    _, t, kind, body = cbor2.loads(evidence["entry"])
    if kind == 0:
        item, statement = body, None
    else:
        item, statement, at = evidence["proof"], evidence["statement"], evidence["at"]
        inner = [hmac.digest(evidence[k], part, "sha256") for k, part in (("k1", statement), ("k2", item))]
        commitment = hashlib.sha256(b"naru-commit/v1\0" + at.to_bytes(8, "big") + b"".join(inner)).digest()
        if commitment != body or not t <= at:
            raise ValueError("the opening is not the entry's")
    # The innermost layer is the statement's; who endorsed it wrapped it.
    layers = []
    while True:
        protected, unprotected, payload, _ = cbor2.loads(item).value
        layers.append((item, cbor2.loads(protected), payload))
        if unprotected or cbor2.loads(protected)[TYP] != "application/naru-endorsed+cose":
            break
        item = payload
    for item, header, payload in layers:
        message = Sign1Message.decode(item)
        message.key = OKPKey(crv=Ed25519, x=header[KID][len(SPKI) :])
        detached = {"detached_payload": statement} if payload is None else {}
        if header[KID][: len(SPKI)] != SPKI or header[ALG] != -8 or not message.verify_signature(**detached):
            raise ValueError("signature refused")
    says = cbor2.loads(statement if statement is not None else layers[-1][2])
    return says, layers[-1][1][KID]


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def dossier(log, operator, told):
    """Flag, steps, lines and the accused's registration, each by its own evidence."""
    flag, signer = opening(log, unpadded(told["flag"]))
    finding = unpadded(told["finding"])
    if signer != operator or flag["type"] != "incident.flag" or flag["incident"].hex() != told["incident"]:
        raise ValueError("not flagged by the operator")
    if flag["evidence"] != [hashlib.sha256(finding).digest()] or not canonical(finding):
        raise ValueError("the flag is of another finding")
    party, accused = opening(log, unpadded(told["accused"]["registered"]))
    found = cbor2.loads(finding)
    if not party["party"] == flag["party"] == found["party"] == told["accused"]["id"]:
        raise ValueError("another party is accused")
    for step in told["steps"]:
        says, signer = opening(log, unpadded(step["evidence"]))
        named = (says["type"], says["party"], says["incident"].hex(), says["document"].hex())
        if named != (step["type"], step["by"], told["incident"], step["document"]):
            raise ValueError("a step is not as its statement says")
        if (says["type"] == "incident.answer") != (signer == accused):
            raise ValueError("a step is signed by somebody else")
    if [line["decision"] for line in told["lines"]] != [line["id"].hex() for line in found["lines"]]:
        raise ValueError("other lines than the finding's")
    for line in told["lines"]:
        data = unpadded(line["evidence"])
        decision(log, operator, data)
        asked = cbor2.loads(cbor2.loads(data)["line"])
        if (asked["id"].hex(), asked["asker"], asked["at"]) != (line["decision"], found["party"], line["at"]):
            raise ValueError("a line is not the accused's")
        if line["signed"]:
            requested(asked, accused)
    return f"{found['detector']}, {len(told['lines'])} lines, {len(told['steps'])} steps"


def requested(line, spki):
    """The accused's own signature over the request (RFC 9421), as it is kept with the line."""
    kept = cbor2.loads(line["signed"])
    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(kept["body"]).digest()).decode() + ":"
    base = "\n".join((
        f'"@method": {kept["method"]}',
        f'"@target-uri": {kept["target"]}',
        f'"content-digest": {digest}',
        f'"@signature-params": {kept["params"]}',
    ))
    load_der_public_key(spki).verify(kept["sig"], base.encode())
    asked = json.loads(kept["body"])
    if asked["action"]["name"] != line["action"] or asked["resource"]["id"] != f"ppid_{line['ppid'].hex()}":
        raise ValueError("the signed question is another one")


def check_dossier(log, reader):
    file = log.directory / "dossier" / "dossier.json"
    if not file.exists():
        print("skip  dossier: none")
        return
    operator = operator_of(tlog.read_entry(reader, 0, log.head_size))
    told = json.loads(file.read_bytes())
    check("dossier: scitt-cose, aics-tlog and pycose verify all its evidence", lambda: dossier(log, operator, told))
    places = [(told, "finding"), (told, "flag"), (told["accused"], "registered")]
    places += [(one, "evidence") for one in told["steps"] + told["lines"]]
    for nth, (of, name) in enumerate(places):
        good = of[name]
        data = unpadded(good)
        for at in range(nth, len(data), 29):
            of[name] = base64.urlsafe_b64encode(flipped(data, at)).decode().rstrip("=")
            if not breaks(lambda: dossier(log, operator, told) and None):
                check(f"dossier: {name} {nth}, byte {at}", lambda: False)
        of[name] = good
    check("dossier: flipped bits in its evidence break it", lambda: f"{len(places)} pieces")


def check_archive(log, reader):
    file = log.directory / "export" / "mydata.zip"
    if not file.exists():
        print("skip  archive: none")
        return
    operator = operator_of(tlog.read_entry(reader, 0, log.head_size))
    bag = zipfile.Path(file, zipfile.ZipFile(file).namelist()[0].split("/")[0] + "/")

    def listed(folder):
        lists = sorted(bag.joinpath("data", folder).iterdir(), key=lambda one: one.name)
        lists = [one for one in lists if one.name.endswith(".ndjson")]
        return [json.loads(line) for one in lists for line in one.read_bytes().splitlines()]

    def inside(path):
        parcel, name = path.rsplit("/", 1)
        return zipfile.ZipFile(io.BytesIO(bag.joinpath(parcel).read_bytes())).read(name)

    rows, uses = listed("statements"), listed("uses")

    def statements():
        for row in rows:
            says, _ = opening(log, inside(row["evidence"]))
            if says["type"] != row["type"]:
                raise ValueError(f"{row['evidence']} is of another type")
        return f"{len(rows)} statements"

    def decisions():
        for row in uses:
            data = inside(row["evidence"])
            decision(log, operator, data)
            if cbor2.loads(cbor2.loads(data)["line"])["id"].hex() != row["id"]:
                raise ValueError(f"{row['evidence']} is of another decision")
        return f"{len(uses)} uses"

    check("archive: scitt-cose, aics-tlog and pycose verify every statement", statements)
    check("archive: and every use", decisions)
    data = inside(rows[-1]["evidence"])
    none_survives("archive, newest statement", data, lambda flip: opening(log, flip) and None)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    log = Log(Path(sys.argv[1]))
    check("log.pem and log.vkey are one key", lambda: log.vkey.public_key == log.raw)
    reader = check_static(log)
    check_receipts(log, reader)
    check_consistency(log)
    check_cosignature(log)
    check_decisions(log, reader)
    check_cohort(log)
    check_dossier(log, reader)
    check_archive(log, reader)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
