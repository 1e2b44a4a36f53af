#!/usr/bin/env python3
"""Checks CBOR examples against schemas/naru.cddl with two foreign verifiers.

usage: cddl.py DIRECTORY [SCHEMA]
setup: python3 -m venv V && V/bin/pip install cddl-verifier==1.5.3 pycddl==0.6.4
input: `cargo test --test packs` writes the examples to target/tmp/cddl

A file `RULE-WHAT.cbor` must be valid for the rule `RULE` (the longest rule name the
file name begins with), a file `bad-RULE-WHAT.cbor` must be refused by it.

- cddl-verifier checks every file, and that its encoding is deterministic.
- pycddl (the Rust crate `cddl` 0.9.5) checks the statements, each against the rule of
  its type. It is helped over three of its bugs, none of which changes what RFC 8610
  says: a bare key that is also the name of a rule is taken for that rule, so keys are
  quoted; a choice of literals inside `[* x]` is compared with its first literal, so
  `action` and `role` are read as text; `.cbor` inside an array is applied to every
  member, so items, entries and receipts are left to cddl-verifier.
"""

import pathlib
import re
import sys

from cddl_verifier import Validator
from pycddl import Schema, ValidationError

BARE_KEY = re.compile(r'(?<![\w"-])([a-z][a-z0-9-]*)(?=: )')


def for_pycddl(text: str) -> str:
    code = (line.partition(";")[0] for line in text.splitlines())
    quoted = "\n".join(BARE_KEY.sub(r'"\1"', line) for line in code)
    return re.sub(r"^(action|role) = .*$", r"\1 = tstr", quoted, flags=re.M)


class Foreign:
    def __init__(self, text: str):
        self.full = Validator(text)
        self.text = for_pycddl(text)
        self.schemas: dict[str, Schema] = {}

    def refusal(self, rule: str, data: bytes) -> str | None:
        """Why cddl-verifier refuses, if it does."""
        result = self.full.validate(data, root_type=rule, require_deterministic=True)
        return None if result.valid else result.format()

    def second_refusal(self, rule: str, data: bytes) -> str | None:
        """Why pycddl refuses, if it does."""
        if rule not in self.schemas:
            # The first rule of a schema is the one pycddl checks.
            self.schemas[rule] = Schema(f"start = {rule}\n{self.text}")
        try:
            self.schemas[rule].validate_cbor(data)
        except ValidationError as e:
            return str(e)
        return None


def main() -> int:
    directory = pathlib.Path(sys.argv[1])
    default = pathlib.Path(__file__).resolve().parents[2] / "schemas" / "naru.cddl"
    text = (pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else default).read_text("utf-8")
    rules = re.findall(r"^([a-z][a-z0-9-]*)\s*=", text, re.M)
    foreign = Foreign(text)
    files = sorted(directory.glob("*.cbor"))
    checks, failed = {"cddl-verifier": 0, "pycddl": 0}, []
    for file in files:
        name = file.stem.removeprefix("bad-")
        bad = file.stem != name
        rule = max((r for r in rules if name == r or name.startswith(r + "-")), key=len, default=None)
        if rule is None:
            failed.append(f"{file.name}: no rule of that name")
            continue
        data = file.read_bytes()
        refusals = {"cddl-verifier": foreign.refusal(rule, data)}
        if rule == "statement":
            # statement-consent.grant-full is an example of consent-grant; so is what spoils one.
            kind = "consent.grant" if bad else name.split("-")[1]
            refusals["pycddl"] = foreign.second_refusal(kind.replace(".", "-"), data)
        for who, refusal in refusals.items():
            if (refusal is None) == (not bad):
                checks[who] += 1
            else:
                failed.append(f"{file.name}: {who}: {'accepted' if bad else refusal[:600]}")
    for line in failed:
        print(line)
    print(f"{len(files)} files; " + ", ".join(f"{who} {n}" for who, n in checks.items()))
    print(f"{sum(checks.values())} passed, {len(failed)} failed")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
