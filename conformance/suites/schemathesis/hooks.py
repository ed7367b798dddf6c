"""Gives `/Me` the token of a user, and keeps two thirds of the requests from failing for a reason
that says nothing: made-up names are soon taken, made-up versions never match, made-up paths,
cursors and transactions do not exist, and the two ways to choose attributes exclude each other.
"""

import itertools
import os

import schemathesis

NAMES = ("userName", "name", "displayName")
# Chance hardly ever makes a PATCH that changes something.
OPERATIONS = (
    {"op": "replace", "path": "displayName", "value": "Changed"},
    {"op": "add", "path": "externalId", "value": "x-1"},
    {"op": "add", "value": {"externalId": "x-2"}},
    {"op": "remove", "path": "externalId"},
    {"op": "replace", "path": "active", "value": False},
    {"op": "add", "path": "emails", "value": [{"value": "a@example.com", "type": "work"}]},
    {"op": "replace", "path": 'emails[type eq "work"].value', "value": "b@example.com"},
    {"op": "remove", "path": 'emails[type eq "work"]'},
    {"op": "add", "path": "name", "value": {"givenName": "A"}},
    {"op": "add", "path": "tags", "value": ["a"]},
    {"op": "remove", "path": "members"},
)
CORE = "urn:ietf:params:scim:schemas:core:2.0"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
DIRECTORY = f"Bearer {os.environ['SCIM_TOKEN']}"
# One user deletes itself; the other one is still there then.
ME = f"Bearer {os.environ['SCIM_ME_TOKEN']}"
LEAVER = f"Bearer {os.environ['SCIM_LEAVER_TOKEN']}"
numbers = itertools.count(1)
transactions = []
"""Of requests that are answered later, the last one first."""


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.path == "/Me" and case.headers.get("Authorization") == DIRECTORY:
        case.headers["Authorization"] = LEAVER if case.method == "DELETE" else ME
    reach(case)


@schemathesis.hook
def after_call(context, case, response):
    if transaction := response.headers.get("set-txn"):
        transactions.insert(0, transaction[0])
        del transactions[8:]


def reach(case):
    number = next(numbers)
    if number % 3 == 0:
        return
    if case.method == "POST" and isinstance(case.body, dict):
        for name in NAMES:
            if isinstance(case.body.get(name), str):
                case.body[name] += f" {number}"
    if case.method == "PATCH" and isinstance(case.body, dict) and number % 3 == 1:
        case.body["Operations"] = [OPERATIONS[number // 3 % len(OPERATIONS)]]
    if case.path == "/Bulk" and isinstance(case.body, dict) and number % 3 == 1:
        case.body["Operations"] = bulk(number)
    if number % 6 == 1 and case.method in ("POST", "PUT", "PATCH", "DELETE"):
        case.headers["Prefer"] = "respond-async, wait=1" if number % 4 == 1 else "respond-async"
    if case.path == "/Async/{id}" and transactions:
        case.path_parameters["id"] = transactions[number % len(transactions)]
    for header in ("If-Match", "If-None-Match"):
        case.headers.pop(header, None)
    if "attributes" in case.query:
        case.query.pop("excludedAttributes", None)
    if number % 3 == 1:
        for name in ("attributes", "excludedAttributes", "sortBy", "cursor"):
            case.query.pop(name, None)


def bulk(number):
    """Operations that refer to each other and leave a user behind."""
    user = {"schemas": [f"{CORE}:User"], "userName": f"bulk {number}"}
    group = {"schemas": [f"{CORE}:Group"], "displayName": "bulk"}
    group["members"] = [{"value": "bulkId:u"}, {"value": "bulkId:g"}]
    patch = {"schemas": [PATCH], "Operations": [OPERATIONS[number // 3 % len(OPERATIONS)]]}
    return [
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": group},
        {"method": "POST", "path": "/Users", "bulkId": "u", "data": user},
        {"method": "PATCH", "path": "/Users/bulkId:u", "data": patch},
        {"method": "DELETE", "path": "/Groups/bulkId:g"},
    ]
