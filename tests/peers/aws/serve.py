"""An identity store of moto that checks signatures and rights, for tests.

The first line of the output says where it is and whose keys it takes. Then each line of the input is a
command `{"do": ..., ...}`, and each line of the output its answer. Ends with its input.
"""

import json
import logging
import os
import sys

# From the first request on, signatures are compared and policies are asked.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"

import boto3
from moto.iam.models import iam_backends
from moto.identitystore.models import User, identitystore_backends
from moto.identitystore.responses import IdentityStoreResponse
from moto.server import ThreadedMotoServer

ACCOUNT, REGION, STORE = "123456789012", "eu-central-1", "d-9067642ac7"
EXTERNAL_ID = "rollbook-7"
READS = ["identitystore:ListUsers", "identitystore:ListGroups", "identitystore:ListGroupMemberships"]

logging.getLogger("werkzeug").setLevel(logging.ERROR)
iam = iam_backends[ACCOUNT]["aws"]
store = identitystore_backends[ACCOUNT][REGION]
disabled = set()


def list_users(self, listed=IdentityStoreResponse.list_users):
    """Adds what the API has had since 2026 and moto does not know yet."""
    page = json.loads(listed(self))
    for user in page["Users"]:
        user["UserStatus"] = "DISABLED" if user["UserId"] in disabled else "ENABLED"
        user["Revision"] = user["UserId"][:8]
    return json.dumps(page)


IdentityStoreResponse.list_users = list_users


def policy(actions, **more):
    statement = {"Effect": "Allow", "Action": actions, **(more or {"Resource": "*"})}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def key(name, actions):
    """A user with these rights and its access key."""
    iam.create_user(REGION, name)
    iam.put_user_policy(name, "rights", policy(actions))
    made = iam.create_access_key(name)
    return {"access_key_id": made.access_key_id, "secret_access_key": made.secret_access_key}


def role(name, actions):
    trust = policy(
        "sts:AssumeRole",
        Principal={"AWS": "*"},
        Condition={"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
    )
    made = iam.create_role(name, trust, "/", None, None, [], "3600")
    iam.put_role_policy(name, "rights", policy(actions))
    return made.arn


def data():
    return store._IdentityStoreBackend__get_identity_store(STORE)


def create_user(name, number=0):
    user, _ = store.create_user(
        STORE, name, {"GivenName": "Ada", "FamilyName": f"Lane {number}"}, f"Ada Lane {number}",
        None, None, [{"Value": f"{name}@corp.example", "Type": "work", "Primary": True}], None, None,
        "Employee", f"Engineer {number % 7}", None, "en-US", "Europe/Berlin",
    )
    return user


def load(users, groups):
    ids = [create_user(f"aws{number:04d}", number) for number in range(users)]
    for number in range(groups):
        group, _ = store.create_group(STORE, f"Group {number:02d}", f"The group {number}")
        for user in ids if number == 0 else ids[number::groups][:30]:
            store.create_group_membership(STORE, group, {"UserId": user})


def listed(keys):
    """What the vendor's own client reads."""
    client = boto3.client(
        "identitystore", region_name=REGION, endpoint_url=url,
        aws_access_key_id=keys["access_key_id"], aws_secret_access_key=keys["secret_access_key"],
    )

    def pages(operation, member, **more):
        for page in client.get_paginator(operation).paginate(IdentityStoreId=STORE, **more):
            yield from page[member]

    groups = {
        group["GroupId"]: {
            "name": group["DisplayName"],
            "members": sorted(
                membership["MemberId"]["UserId"]
                for membership in pages("list_group_memberships", "GroupMemberships", GroupId=group["GroupId"])
            ),
        }
        for group in pages("list_groups", "Groups")
    }
    users = {user["UserId"]: user["UserName"] for user in pages("list_users", "Users")}
    return {"users": users, "groups": groups}


def end_memberships(wanted):
    memberships = data().group_memberships
    for membership in [known for known, value in memberships.items() if wanted(value)]:
        del memberships[membership]


def do(command):
    what = command.pop("do")
    if what == "load":
        load(**command)
    elif what == "list":
        return listed(reader)
    elif what == "create_user":
        return {"id": create_user(**command)}
    elif what == "rename":
        user = data().users[command["id"]]
        data().users[command["id"]] = User(**{**user._asdict(), "UserName": command["name"]})
    elif what == "disable":
        disabled.add(command["id"])
    elif what == "enable":
        disabled.discard(command["id"])
    elif what == "delete_user":
        # The memberships of a user end with it; those of moto stay.
        end_memberships(lambda value: value["MemberId"]["UserId"] == command["id"])
        store.delete_user(STORE, command["id"])
    elif what == "delete_group":
        end_memberships(lambda value: value["GroupId"] == command["id"])
        store.delete_group(STORE, command["id"])
    elif what == "add_member":
        store.create_group_membership(STORE, command["group"], {"UserId": command["user"]})
    elif what == "remove_member":
        wanted = {"UserId": command["user"]}
        end_memberships(lambda v: v["GroupId"] == command["group"] and v["MemberId"] == wanted)
    else:
        raise ValueError(what)
    return {}


def say(value):
    print(json.dumps(value), flush=True)


server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
url = "http://{}:{}".format(*server.get_host_and_port())
reader = key("reader", READS)
say({
    "url": url,
    "region": REGION,
    "identity_store_id": STORE,
    "reader": reader,
    "assumer": key("assumer", ["sts:AssumeRole"]),
    "role_arn": role("Rollbook", READS),
    "external_id": EXTERNAL_ID,
})
for line in sys.stdin:
    say(do(json.loads(line)))
server.stop()
