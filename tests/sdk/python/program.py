"""An app that speaks to Rollbook through the public Python SDK.

Seeds a directory over SCIM, reads it back with every list, filter and page, and takes errors as the
SDK's typed exceptions. ROLLBOOK_URL and ROLLBOOK_API_KEY say where the server is.
"""

import json
import os
import queue
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from workos import WorkOSClient
from workos import _errors as errors
from workos.organizations.models.organization_domain_data import OrganizationDomainData

URL, KEY = os.environ["ROLLBOOK_URL"], os.environ["ROLLBOOK_API_KEY"]
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


def post(url, token, body):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def refused(kind, status, call):
    """The call must raise that exception; gives it."""
    try:
        call()
    except kind as error:
        assert error.status_code == status, error
        assert error.request_id, "every answer has an X-Request-ID"
        assert error.message, error
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def ids(objects):
    return [each.id for each in objects]


def client(key=KEY, **options):
    return WorkOSClient(api_key=key, client_id="client_test", base_url=URL, **options)


workos = client()

# --- Organizations -------------------------------------------------------------------------------

made = workos.organizations.create_organization(
    name="Python Ltd",
    external_id="python-1",
    metadata={"tier": "gold"},
    domain_data=[OrganizationDomainData.from_dict({"domain": "python.example", "state": "verified"})],
)
assert made.name == "Python Ltd" and made.metadata == {"tier": "gold"}, made
assert made.domains[0].domain == "python.example" and made.domains[0].state == "verified", made
assert workos.organizations.get_organization(made.id) == made
assert workos.organizations.get_organization_by_external_id("python-1") == made
changed = workos.organizations.update_organization(made.id, name="Python & Co")
assert changed.name == "Python & Co" and changed.external_id == "python-1", changed
found = workos.organizations.list_organizations(domains=["python.example", "none.example"])
assert ids(found.data) == [made.id], found
assert ids(workos.organizations.list_organizations(search="python &").data) == [made.id]
temporary = workos.organizations.create_organization(name="Temporary")
workos.organizations.delete_organization(temporary.id)
refused(errors.NotFoundError, 404, lambda: workos.organizations.get_organization(temporary.id))

# --- A directory with users and groups -----------------------------------------------------------

directory = post(
    f"{URL}/api/v1/directories",
    KEY,
    {"organization_id": made.id, "name": "Python directory", "kind": "scim.okta"},
)
scim, token = directory["scim"]["base_url"], directory["token"]["secret"]
users = [
    post(f"{scim}/Users", token, {
        "schemas": [USER],
        "userName": f"user{n}@python.example",
        "externalId": f"00u{n}",
        "name": {"givenName": f"User{n}", "familyName": "Python"},
        "emails": [{"value": f"user{n}@python.example", "type": "work", "primary": True}],
        "active": n != 3,
    })["id"]
    for n in range(25)
]
groups = [
    post(f"{scim}/Groups", token, {
        "schemas": [GROUP],
        "displayName": f"Group {n}",
        "members": [{"value": id} for id in users[n:n + 12]],
    })["id"]
    for n in range(12)
]

sync = workos.directory_sync
shown = sync.get_directory(directory["id"])
assert shown.type == "okta scim v2.0" and shown.state == "linked", shown
assert shown.domain == "python.example", shown
assert (shown.metadata.users.active, shown.metadata.users.inactive) == (24, 1), shown
assert shown.metadata.groups == 12, shown
for filters in [{"organization_id": made.id}, {"search": "PYTHON"}, {"domain": "python.example"}]:
    assert ids(sync.list_directories(**filters).data) == [directory["id"]], filters
everywhere = list(sync.list_directories(limit=1).auto_paging_iter())
assert directory["id"] in ids(everywhere) and len(everywhere) >= 2, everywhere

page = sync.list_users(directory=directory["id"])
assert ids(page.data) == users[:-11:-1], "ten, newest first"
assert ids(page.auto_paging_iter()) == users[::-1]
rising = sync.list_users(directory=directory["id"], order="asc", limit=4)
assert ids(rising.auto_paging_iter()) == users
assert ids(sync.list_users(group=groups[2], order="asc", limit=100).data) == users[2:14]
assert ids(sync.list_users(group=groups[2], order="asc", limit=5).auto_paging_iter()) == users[2:14]
before = sync.list_users(directory=directory["id"], order="asc", limit=4, before=users[8])
assert ids(before.data) == users[4:8]
one = sync.list_users(directory=directory["id"], email="USER7@python.example").data
assert ids(one) == [users[7]], one
assert ids(sync.list_users(directory=directory["id"], idp_id="00u7").data) == [users[7]]
user = sync.get_user(users[7])
assert user == one[0] and user.name == "User7 Python" and user.email == "user7@python.example", user
assert user.raw_attributes["userName"] == "user7@python.example" and user.custom_attributes == {}
assert sorted(ids(user.groups)) == sorted(groups[:8]), user.groups
assert sync.get_user(users[3]).state == "inactive"
assert sync.get_user(users[24]).groups == []

assert ids(sync.list_groups(directory=directory["id"], limit=5).auto_paging_iter()) == groups[::-1]
assert ids(sync.list_groups(user=users[7], order="asc").data) == groups[:8]
group = sync.get_group(groups[2])
assert group.name == "Group 2" and group.idp_id == groups[2] and group.raw_attributes, group

# --- Events --------------------------------------------------------------------------------------

names = ["dsync.user.created", "dsync.group.created", "dsync.group.user_added"]
walked = list(
    workos.events.list_events(
        events=names, organization_id=made.id, limit=20, order="asc"
    ).auto_paging_iter()
)
told = [event.data.id for event in walked if event.event == "dsync.user.created"]
assert told == users, told
told = [event.data.id for event in walked if event.event == "dsync.group.created"]
assert told == groups, told
assert len([event for event in walked if event.event == "dsync.group.user_added"]) == 12 * 12
assert len({event.id for event in walked}) == len(walked)

# --- Setup links ---------------------------------------------------------------------------------

portal = workos.admin_portal
made_link = portal.generate_link(
    organization=made.id,
    intent="dsync",
    return_url="https://app.example.com/settings",
    success_url="https://app.example.com/done",
    external_user_id="ada",
    it_contact_emails=["ada@example.com"],
)
assert made_link.link.startswith(f"{URL}/setup/"), made_link
with urllib.request.urlopen(made_link.link) as answer:
    assert "Python &#38; Co" in answer.read().decode(), "the page of the link"
portal.revoke_link(organization=made.id, external_user_id="ada")
try:
    urllib.request.urlopen(made_link.link)
    raise AssertionError("a revoked link opens")
except urllib.error.HTTPError as gone:
    assert gone.code == 404, gone
for wrong in [{"intent": "sso"}, {"return_url": "https://evil.example/"}]:
    error = refused(
        errors.UnprocessableEntityError,
        422,
        lambda: portal.generate_link(organization=made.id, **wrong),
    )
    assert error.errors[0]["field"] in wrong, error
refused(errors.NotFoundError, 404, lambda: portal.generate_link(organization="org_none"))

# --- Webhooks ------------------------------------------------------------------------------------


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it gets; the first request is refused."""

    got = queue.Queue()
    refused = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 204
        if not self.refused:
            self.refused.append((self.headers["WorkOS-Signature"], body))
            status = 500
        else:
            self.got.put((self.headers["WorkOS-Signature"], body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{receiver.server_port}/hooks"
hook = workos.webhooks.create_webhook_endpoint(
    endpoint_url=address, events=["dsync.user.created", "dsync.user.deleted"]
)
assert hook.endpoint_url == address and hook.status.value == "enabled", hook
assert hook.secret.startswith("whsec_") and hook.events == ["dsync.user.created", "dsync.user.deleted"]
assert workos.webhooks.list_webhook_endpoints().data == [hook]
renamed = [
    post(f"{scim}/Users", token, {
        "schemas": [USER],
        "userName": f"hook{n}@python.example",
        "emails": [{"value": f"hook{n}@python.example", "type": "work", "primary": True}],
    })["id"]
    for n in range(30)
]
signature, body = Receiver.got.get(timeout=60)
refused_signature, refused_body = Receiver.refused[0]
assert body == refused_body and signature != refused_signature, "sent again, and signed anew"
received = [(signature, body)] + [Receiver.got.get(timeout=60) for _ in range(29)]
verified = [
    workos.webhooks.verify_event(event_body=body, event_signature=signature, secret=hook.secret)
    for signature, body in received
]
assert [event.data.id for event in verified] == renamed, verified
assert {event.event for event in verified} == {"dsync.user.created"}, verified
listed = workos.events.list_events(events=["dsync.user.created"], order="desc", limit=30).data
assert [event.id for event in verified] == ids(listed)[::-1], "the ids of the events API"
try:
    workos.webhooks.verify_event(
        event_body=received[1][1], event_signature=received[0][0], secret=hook.secret
    )
    raise AssertionError("a signature of another event was believed")
except ValueError:
    pass
changed = workos.webhooks.update_webhook_endpoint(
    hook.id, status="disabled", events=["dsync.group.created"]
)
assert changed.status.value == "disabled" and changed.events == ["dsync.group.created"], changed
refused(
    errors.ConflictError,
    409,
    lambda: workos.webhooks.create_webhook_endpoint(endpoint_url=address, events=["dsync.deleted"]),
)
error = refused(
    errors.UnprocessableEntityError,
    422,
    lambda: workos.webhooks.create_webhook_endpoint(
        endpoint_url="http://192.0.2.1/", events=["dsync.deleted"]
    ),
)
assert error.code == "invalid_url", error
workos.webhooks.delete_webhook_endpoint(hook.id)
refused(
    errors.NotFoundError, 404, lambda: workos.webhooks.update_webhook_endpoint(hook.id, events=["dsync.deleted"])
)
assert workos.webhooks.list_webhook_endpoints().data == []
receiver.shutdown()

# --- Errors --------------------------------------------------------------------------------------

error = refused(errors.NotFoundError, 404, lambda: sync.get_user("directory_user_none"))
assert error.code == "entity_not_found", error
refused(errors.NotFoundError, 404, lambda: sync.list_users(directory="directory_none"))
error = refused(errors.UnprocessableEntityError, 422, lambda: sync.list_users(idp_id="1"))
assert error.errors[0]["field"] == "idp_id" and error.errors[0]["code"], error
refused(errors.UnprocessableEntityError, 422, lambda: sync.create_directory_sync(directory["id"]))
refused(errors.AuthenticationError, 401, lambda: client("sk_wrong").directory_sync.list_directories())
reader = post(f"{URL}/api/v1/api_keys", KEY, {"name": "Reader", "scopes": ["read"]})["secret"]
refused(
    errors.AuthorizationError,
    403,
    lambda: client(reader).organizations.create_organization(name="No"),
)
refused(
    errors.ConflictError,
    409,
    lambda: workos.organizations.create_organization(name="Twice", external_id="python-1"),
)


def flood():
    impatient = client(reader, max_retries=0).directory_sync
    for _ in range(1_000):
        impatient.get_directory(directory["id"])


error = refused(errors.RateLimitExceededError, 429, flood)
assert error.retry_after and error.retry_after >= 1, error

sync.delete_directory(directory["id"])
refused(errors.NotFoundError, 404, lambda: sync.get_user(users[7]))
print("python: the SDK reads all that the server says")
