"""Users: create, read, replace, modify, delete."""

from client import Mismatch, absent, contains, equal, need, non_empty
from discovery import ENTERPRISE, USER


def steps(run):
    client, take, prefix = run.client, run.steps.take, run.prefix

    def create_by_options():
        name = f"{prefix}-ada@example.com"
        email = {"value": name, "type": "work", "primary": True}
        answer = client.ok(
            "create", "user",
            "--user-name", name, "--display-name", "Ada", "--nick-name", "Countess",
            "--name", '{"givenName": "Ada", "familyName": "Lane"}',
            "--emails", f'[{{"value": "{name}", "type": "work", "primary": true}}]',
            "--active", "true",
        )  # fmt: skip
        run.made.append(("user", answer["id"]))
        meta = {"resourceType": "User", "location": non_empty, "created": non_empty}
        expected = {"userName": name, "displayName": "Ada", "active": True, "emails": [email]}
        contains({**expected, "name": {"familyName": "Lane"}, "meta": meta}, answer)
        equal(answer["meta"]["created"], answer["meta"]["lastModified"], "meta.lastModified")
        return answer

    ada = take("create a user from options", create_by_options)

    def create_from_stdin():
        name = f"{prefix}-bob@example.com"
        body = {
            "schemas": [USER, ENTERPRISE],
            "userName": name,
            "displayName": "Bob",
            "password": "never shown",
            ENTERPRISE: {"department": "Engines", "manager": {"value": need(ada)["id"]}},
        }
        answer = run.create("user", body)
        extension = {"department": "Engines", "manager": {"value": ada["id"]}}
        contains({"userName": name, ENTERPRISE: extension}, answer)
        contains([USER, ENTERPRISE], answer["schemas"])
        absent(answer, "password")
        return answer

    bob = take("create a user with an extension and a manager from JSON", create_from_stdin)

    def manager():
        reference = lambda ref: ref.endswith(f"/Users/{ada['id']}")  # noqa: E731
        shown = {"value": need(ada)["id"], "$ref": reference, "displayName": "Ada"}
        answer = client.ok("query", "user", need(bob)["id"])
        contains({ENTERPRISE: {"manager": shown}}, answer)

    take("a manager is shown with address and name", manager)

    def create_twice():
        body = {"schemas": [USER], "userName": need(ada)["userName"].upper()}
        client.refused(409, "create", "user", body=body, scim_type="uniqueness")

    take("a second user of that name is 409 uniqueness", create_twice)

    def read():
        answer = client.ok("query", "user", need(ada)["id"])
        equal(ada, answer, "the user as read")

    take("read a user as it was created", read)

    def read_one_attribute():
        answer = client.ok("query", "user", need(ada)["id"], "--attribute", "displayName")
        contains({"id": ada["id"], "displayName": "Ada", "schemas": [USER]}, answer)
        # The command itself puts the ETag of the answer into meta.version.
        equal({"version"}, set(answer.get("meta", {})) | {"version"}, "members of meta")
        absent(answer, "userName", "name", "emails", "active")

    take("read one attribute", read_one_attribute)

    def read_without():
        answer = client.ok("query", "user", need(ada)["id"], "--excluded-attribute", "emails")
        contains({"userName": ada["userName"], "displayName": "Ada"}, answer)
        absent(answer, "emails")

    take("read without an attribute", read_without)
    take("an unknown user is 404", lambda: client.refused(404, "query", "user", "no-such-id"))

    def replace():
        body = {
            "schemas": [USER],
            "id": need(ada)["id"],
            "userName": ada["userName"],
            "displayName": "Ada L.",
            "emails": [{"value": f"{prefix}-ada@example.org", "type": "home"}],
        }
        client.ok("replace", "user", body=body)
        answer = client.ok("query", "user", ada["id"], expect={"displayName": "Ada L."})
        equal(1, len(answer["emails"]), "e-mail addresses")
        contains({"value": f"{prefix}-ada@example.org", "type": "home"}, answer["emails"][0])
        absent(answer, "nickName", "name")
        if answer["meta"]["lastModified"] <= ada["meta"]["lastModified"]:
            raise Mismatch("meta.lastModified did not move")

    take("replace a user; what is left out goes", replace)

    def modify():
        address = f"{prefix}-ada@example.net"
        answer = client.ok(
            "modify", "user", need(ada)["id"],
            "replace", "displayName", "Ada III",
            "add", "emails", f'[{{"value": "{address}", "type": "work"}}]',
            "add", "name.givenName", "Ada",
        )  # fmt: skip
        emails = [{"type": "home"}, {"type": "work", "value": address}]
        expected = {"displayName": "Ada III", "emails": emails, "name": {"givenName": "Ada"}}
        contains(expected, answer)
        contains(expected, client.ok("query", "user", ada["id"]))

    take("modify a user: replace and add", modify)

    def modify_filtered():
        answer = client.ok("modify", "user", need(ada)["id"], "remove", 'emails[type eq "home"]')
        equal(["work"], [email["type"] for email in answer["emails"]], "types of the addresses")
        path = 'emails[type eq "work"].display'
        client.ok("modify", "user", ada["id"], "add", path, "At work")
        answer = client.ok("query", "user", ada["id"])
        contains({"emails": [{"type": "work", "display": "At work"}]}, answer)

    take("modify a user: remove and add with a value filter", modify_filtered)

    def modify_without_path():
        answer = client.ok(
            "modify", "user", need(ada)["id"], "replace", "", '{"nickName": "A.", "active": false}'
        )
        contains({"nickName": "A.", "active": False, "displayName": "Ada III"}, answer)
        back = ("remove", "nickName", "replace", "active", "true")
        answer = client.ok("modify", "user", ada["id"], *back)
        contains({"active": True}, answer)
        absent(answer, "nickName")

    take("modify a user: no path, and remove", modify_without_path)

    def modify_extension():
        path = f"{ENTERPRISE}:department"
        answer = client.ok("modify", "user", need(bob)["id"], "replace", path, "Looms")
        contains({ENTERPRISE: {"department": "Looms", "manager": {"value": ada["id"]}}}, answer)

    take("modify an attribute of an extension", modify_extension)

    def modify_taken():
        arguments = ("modify", "user", need(bob)["id"], "replace", "userName", ada["userName"])
        client.refused(409, *arguments, scim_type="uniqueness")
        client.ok("query", "user", bob["id"], expect={"userName": bob["userName"]})

    take("modify to a name that is taken is 409 and changes nothing", modify_taken)

    def modify_unknown():
        client.refused(404, "modify", "user", "no-such-id", "replace", "displayName", "X")

    take("modify an unknown user is 404", modify_unknown)

    def delete():
        body = {"schemas": [USER], "userName": f"{prefix}-eve@example.com"}
        resource_id = client.ok("create", "user", body=body)["id"]
        client.ok("delete", "user", resource_id)
        client.refused(404, "query", "user", resource_id)
        client.refused(404, "delete", "user", resource_id)
        # The name is free again.
        run.create("user", body)

    take("delete a user; it is gone and its name is free", delete)
