"""Reads a directory with Google's own client and checks every answer against Google's own schema.

    program.py BASE_URL TOKEN_URL KEY_FILE SUBJECT

The client is google-api-python-client with a service account of google-auth; the schema is the discovery
document that comes with it. Prints what was read as JSON; ends with 1 when something is not as described.
"""

import json
import pathlib
import sys

import googleapiclient
from google.oauth2 import service_account
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

SCOPES = [
    "https://www.googleapis.com/auth/admin.directory.user.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.readonly",
    "https://www.googleapis.com/auth/admin.directory.group.member.readonly",
]
DOCUMENT = (
    pathlib.Path(googleapiclient.__file__).parent
    / "discovery_cache/documents/admin.directory_v1.json"
)
SCHEMAS = json.loads(DOCUMENT.read_text())["schemas"]
faults = []


def check(value, schema, path):
    """Unknown members, other types, values that are none of the enumeration."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"]]
    kind = schema.get("type")
    if kind == "object":
        if not isinstance(value, dict):
            faults.append(f"{path} is no object: {value!r}")
            return
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, member in value.items():
            inner = known.get(name, others)
            if inner is None:
                faults.append(f"{path}.{name} is not known")
            else:
                check(member, inner, f"{path}.{name}")
    elif kind == "array":
        if not isinstance(value, list):
            faults.append(f"{path} is no list: {value!r}")
            return
        for number, member in enumerate(value):
            check(member, schema["items"], f"{path}[{number}]")
    elif kind == "string":
        # int64 is a text in JSON.
        if not isinstance(value, str):
            faults.append(f"{path} is no text: {value!r}")
        elif schema.get("enum") and value not in schema["enum"]:
            faults.append(f"{path} is none of {schema['enum']}: {value!r}")
    elif kind == "boolean":
        if not isinstance(value, bool):
            faults.append(f"{path} is no boolean: {value!r}")
    elif kind in ("integer", "number"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            faults.append(f"{path} is no number: {value!r}")


def every(collection, schema, member, **parameters):
    """All objects of a list, page by page as the client goes."""
    request, found = collection.list(**parameters), []
    while request is not None:
        page = request.execute()
        check(page, SCHEMAS[schema], schema)
        if page.get("kind") != f"admin#directory#{member}" or "etag" not in page:
            faults.append(f"{schema} has another kind, or no etag")
        if page.get(member) == []:
            faults.append(f"{schema}.{member} is there although it is empty")
        found += page.get(member, [])
        request = collection.list_next(request, page)
    return found


def main(base, token_url, key_file, subject):
    key = json.loads(pathlib.Path(key_file).read_text()) | {"token_uri": token_url}
    credentials = service_account.Credentials.from_service_account_info(
        key, scopes=SCOPES, subject=subject
    )
    options = {"api_endpoint": base}
    api = build(
        "admin", "directory_v1", credentials=credentials, static_discovery=True, client_options=options
    )
    account = {"customer": "my_customer"}
    users = every(
        api.users(), "Users", "users", **account, maxResults=100, projection="full", orderBy="email"
    )
    deleted = every(api.users(), "Users", "users", **account, showDeleted="true")
    groups = every(api.groups(), "Groups", "groups", **account, maxResults=200)
    members = {
        group["id"]: [
            member.get("id", member.get("email"))
            for member in every(
                api.members(), "Members", "members", groupKey=group["id"], maxResults=200
            )
        ]
        for group in groups
    }
    try:
        api.members().list(groupKey="nowhere").execute()
        faults.append("a group that is not there has members")
    except HttpError as error:
        if error.status_code != 404 or error.error_details[0]["reason"] != "notFound":
            faults.append(f"a group that is not there: {error}")
    print(
        json.dumps(
            {
                "users": [user["id"] for user in users],
                "deleted": [user["id"] for user in deleted],
                "members": members,
            }
        )
    )
    for fault in faults[:40]:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
