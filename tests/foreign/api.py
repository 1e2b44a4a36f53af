#!/usr/bin/env python3
"""schemathesis against a served log: usage `api.py NARU DEMO [OPTION of schemathesis...]`.

NARU is the program, DEMO what `naru demo --once --out DEMO` left. Serves it on loopback, enrols a
person, takes a token for each role, and lets schemathesis read `/openapi.json` and ask. Fixed seed;
a finding, a crash of the server or an unclean end of it fails.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

import signing

ORIGIN, SEED = "localhost:8080/log", 831
# A new person each time: the log remembers the last one.
PERSON = secrets.token_bytes(32)
# All checks but those that need a client who knows what it asks. Under a type or name that is not ours
# a search finds nothing, and an item of a batch is refused alone: both with 200, as AuthZEN has it.
CONFIG = """
[checks]
positive_data_acceptance.enabled = false
missing_required_header.enabled = false
use_after_free.enabled = false
ensure_resource_availability.enabled = false
object_level_authorization.enabled = false

[[operations]]
include-path-regex = "^/access/v1/(search/|evaluations$)"
checks.negative_data_rejection.enabled = false
"""
# Longest whole run; it takes about a minute.
LIMIT_S = 300


def ask(base, path, body=None, media="application/json", token=None, accept="application/json"):
    headers = {"content-type": media, "accept": accept} | ({"authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(urllib.request.Request(base + path, data=body, headers=headers)) as answer:
        return json.load(answer)


def token(base, **form):
    body = urllib.parse.urlencode(form).encode()
    return ask(base, "/oauth/token", body, "application/x-www-form-urlencoded")["access_token"]


def tokens(base, demo):
    def party(name):
        jwt = signing.assertion(demo / "keys" / f"{name}.pem", name, ORIGIN)
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return token(base, grant_type="client_credentials", client_assertion_type=kind, client_assertion=jwt)

    login = signing.base64url(signing.login(PERSON, ORIGIN))
    citizen = token(base, grant_type="urn:naru:login", login=login)
    return {"citizen": citizen, "party": party("bank"), "regulator": party("pipc")}


def told(document, base, of, place):
    """The document with its examples turned into names that this log knows."""
    examples = {
        name: param["example"]
        for path in document["paths"].values() for operation in path.values()
        for param in operation.get("parameters", []) if "example" in param
        for name in [(operation["operationId"], param["name"])]
    }
    body = document["paths"]["/access/v1/evaluation"]["post"]["requestBody"]["content"]["application/json"]
    ppid = ask(base, "/v1/subjects/me/ppids/bank", token=of["citizen"])["ppid"]
    question = {**body["example"], "resource": {**body["example"]["resource"], "id": ppid}}
    answer = ask(base, "/access/v1/evaluation", json.dumps(question).encode(), token=of["party"])
    query = "action=use&purpose=dpv:ServiceProvision&class=real-name"
    job = ask(base, f"/v1/cohorts?{query}", ppid.encode(), "text/plain", of["party"])["id"]
    known = {
        body["example"]["resource"]["id"]: ppid,
        examples["statement", "id"]: place["id"],
        examples["decisionEvidence", "id"]: answer["context"]["evaluation_id"],
        examples["cohort", "id"]: job,
    }
    text = json.dumps(document)
    for old, new in known.items():
        text = text.replace(old, new)
    document = json.loads(text)
    # A page that waits for news is tested elsewhere: here it would only take time.
    feed = document["paths"]["/v1/events"]["get"]
    feed["parameters"] = [param for param in feed["parameters"] if param["name"] != "wait"]
    for path, form in ("/v1/statements", "naru-item"), ("/v1/statements:batch", "naru-items"):
        for content in document["paths"][path]["post"]["requestBody"]["content"].values():
            content["schema"] = {"type": "string", "format": form}
    return document


def enrol(base):
    item = signing.key_create(PERSON, bytes(16), int(time.time() * 1000))
    return ask(base, "/v1/statements?wait=receipt", item, "application/cose")


def run(base, demo):
    place = enrol(base)
    of = tokens(base, demo)
    document = told(ask(base, "/openapi.json"), base, of, place)
    environment = os.environ | {
        "NARU_API_TOKENS": json.dumps(of), "NARU_API_IAT": str(int(time.time() * 1000)),
        "SCHEMATHESIS_HOOKS": "api_hooks", "PYTHONPATH": str(Path(__file__).parent),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "openapi.json"
        file.write_text(json.dumps(document))
        config = Path(folder) / "schemathesis.toml"
        config.write_text(CONFIG)
        command = [
            str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config), "run", str(file), "--url", base,
            "--phases", "examples,coverage,fuzzing", "--seed", str(SEED),
            "--max-examples", os.environ.get("NARU_API_EXAMPLES", "60"), "--generation-database", "none",
            "--continue-on-failure", "--request-timeout", "45",
            "--suppress-health-check", "all", "--no-color", "--warnings", "off", "--no-shrink", *sys.argv[3:],
        ]
        return subprocess.run(command, env=environment, cwd=folder, timeout=LIMIT_S).returncode


def main():
    naru, demo = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    command = [str(naru), "serve", "--config", str(demo / "naru.toml"), "--listen", "127.0.0.1:0"]
    # Broken requests are logged by the HTTP library: many, and not what is looked for.
    environment = {"NARU_LOG": "naru=warn", **os.environ, "LC_ALL": "C"}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        base = server.stdout.readline().split()[-1]
        code = run(base, demo)
        if server.poll() is not None:
            print(f"FAIL  the server ended under way with {server.returncode}")
            code = 1
    finally:
        server.terminate()
    if server.wait(timeout=60) != 0:
        print(f"FAIL  the server ended with {server.returncode}")
        code = 1
    sys.exit(code)


main()
