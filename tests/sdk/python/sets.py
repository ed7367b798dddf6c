"""Security Event Tokens, verified by a library that knows nothing of the server: PyJWT with the published keys."""

import json
import os
import urllib.request

import jwt

URL = os.environ["ROLLBOOK_URL"]
KEY = os.environ["ROLLBOOK_API_KEY"]
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
ACCOUNT_DISABLED = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"


def send(method, url, body=None, key=KEY):
    request = urllib.request.Request(url, method=method, data=json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
    return json.loads(text) if text else None


known = send("GET", f"{URL}/.well-known/ssf-configuration", key=None)
assert known["issuer"] == URL and known["spec_version"] == "1_0", known

organization = send("POST", f"{URL}/api/v1/organizations", {"name": "Tokens"})
directory = send(
    "POST",
    f"{URL}/api/v1/directories",
    {"organization_id": organization["id"], "name": "Tokens", "kind": "scim.generic"},
)
stream = send(
    "POST",
    known["configuration_endpoint"],
    {
        "organization_ids": [organization["id"]],
        "events_requested": [SESSION_REVOKED, ACCOUNT_DISABLED],
    },
)
base, token = directory["scim"]["base_url"], directory["token"]["secret"]
user = send("POST", f"{base}/Users", {"userName": "leaver@example.com"}, token)
patch = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [{"op": "replace", "path": "active", "value": False}],
}
send("PATCH", f"{base}/Users/{user['id']}", patch, token)

poll = stream["delivery"]["endpoint_url"]
answer = send("POST", poll, {"maxEvents": 10})
keys = jwt.PyJWKClient(known["jwks_uri"])
claims = []
for jti, text in answer["sets"].items():
    assert jwt.get_unverified_header(text)["typ"] == "secevent+jwt"
    key = keys.get_signing_key_from_jwt(text)
    read = jwt.decode(text, key, algorithms=["RS256"], issuer=known["issuer"], audience=stream["aud"])
    assert read["jti"] == jti
    claims.append(read)
assert [list(read["events"]) for read in claims] == [[SESSION_REVOKED], [ACCOUNT_DISABLED]], claims
assert len({read["txn"] for read in claims}) == 1
assert claims[0]["sub_id"] == {"format": "iss_sub", "iss": URL, "sub": user["id"]}
assert claims[0]["events"][SESSION_REVOKED]["reason_admin"]["en"]
rest = send("POST", poll, {"ack": list(answer["sets"]), "returnImmediately": True})
assert rest == {"sets": {}, "moreAvailable": False}, rest
send("DELETE", f"{known['configuration_endpoint']}?stream_id={stream['stream_id']}")
print("python: tokens are as their standards and PyJWT expect them")
