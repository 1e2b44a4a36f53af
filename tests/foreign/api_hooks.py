"""What schemathesis must be told about Naru: who calls what, and how a signed item looks."""

import hashlib
import json
import os
import sys
import time

import schemathesis
from hypothesis import strategies as st

sys.path.insert(0, os.path.dirname(__file__))
import signing  # noqa: E402

TOKENS = json.loads(os.environ["NARU_API_TOKENS"])
# One instant for the whole run, well inside the window of `iat`.
IAT = int(os.environ["NARU_API_IAT"])


@schemathesis.auth()
class Bearer:
    """The token of the first role that may call the operation."""

    def get(self, case, context):
        roles = [role for role in context.operation.definition.raw.get("x-roles", []) if role in TOKENS]
        return TOKENS[roles[-1]] if roles else None

    def set(self, case, data, context):
        if data is not None:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}


@st.composite
def items(draw):
    """Signed statements: good ones, ones with a broken byte, and plain noise."""
    kind = draw(st.sampled_from(["good", "good", "broken", "short", "noise"]))
    if kind == "noise":
        return draw(st.binary(max_size=200))
    seed, nonce = draw(st.binary(min_size=32, max_size=32)), draw(st.binary(min_size=16, max_size=16))
    item = bytearray(signing.key_create(seed, nonce, IAT))
    at = draw(st.integers(0, len(item) - 1))
    if kind == "broken":
        item[at] ^= 1 << draw(st.integers(0, 7))
    return bytes(item[:at] if kind == "short" else item)


schemathesis.openapi.format("naru-item", items())
schemathesis.openapi.format("naru-items", st.lists(items(), max_size=8).map(b"".join))


def to_bytes(context, value):
    """What is no item begins with a byte that no CBOR begins with: else `0` were a sequence of one item."""
    return value if isinstance(value, bytes) else b"\xff" + json.dumps(value).encode()


for media in ("application/cose", "application/cbor-seq"):
    schemathesis.serializer(media)(to_bytes)
