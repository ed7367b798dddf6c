"""The custom resource type of `test-resource.json`, which the server must handle like any other."""

from client import Skip, absent, contains, equal, need
from discovery import PATCH, USER

TYPE = "testresource"
SCHEMA = "urn:example:params:scim:schemas:test:2.0:TestResource"
BADGE = "urn:example:params:scim:schemas:extension:test:2.0:Badge"


def steps(run):
    client, prefix = run.client, run.prefix

    def take(name, step):
        def checked():
            if TYPE not in run.types:
                raise Skip("the server has no TestResource")
            return step()

        return run.steps.take(name, checked)

    def create():
        owner = run.create("user", {"schemas": [USER], "userName": f"{prefix}-owner"})
        body = {
            "schemas": [SCHEMA, BADGE],
            "name": f"{prefix}-one",
            "externalId": f"{prefix}-x1",
            "code": "Abc",
            "enabled": True,
            "count": 7,
            "weight": 2.5,
            "expires": "2031-02-03T04:05:06Z",
            "certificate": "AAECAw==",
            "homepage": "https://example.com/one",
            "serial": "S-1",
            "secret": "never shown",
            "note": "on request",
            "size": "small",
            "tags": ["red", "blue"],
            "location": {"building": "North", "floor": 3},
            "ports": [
                {"value": "10", "type": "work", "primary": True},
                {"value": "20", "type": "home"},
            ],
            "owner": {"value": owner["id"]},
            BADGE: {"number": 12, "colour": "green", "doors": ["a", "b"]},
        }
        answer = run.create(TYPE, body)
        hidden = {"secret", "owner", "schemas", "expires", "weight"}
        contains({key: value for key, value in body.items() if key not in hidden}, answer)
        contains({"schemas": [SCHEMA, BADGE], "meta": {"resourceType": "TestResource"}}, answer)
        equal(2.5, float(answer["weight"]), "weight")
        absent(answer, "secret")
        # `returned: request` is shown to the client that has just set it (RFC 7643 §7).
        equal("on request", answer.pop("note"), "note")
        return answer

    one = take("create a resource with every data type", create)

    def read():
        equal(need(one), client.ok("query", TYPE, one["id"]), "the resource as read")
        answer = client.ok("query", TYPE, one["id"], "--attribute", "note")
        contains({"id": one["id"], "note": "on request"}, answer)
        absent(answer, "name", "secret")

    take("read it, and an attribute that is only shown on request", read)

    def unique():
        body = {"schemas": [SCHEMA], "name": f"{prefix}-ONE"}
        client.refused(409, "create", TYPE, body=body, scim_type="uniqueness")

    take("a second one of that name is 409 uniqueness", unique)

    def queries():
        run.create(TYPE, {"schemas": [SCHEMA], "name": f"{prefix}-two", "code": "abc", "count": 70})
        mine = f'name sw "{prefix}-"'
        for condition, found in (
            (f'{mine} and code eq "Abc"', ["one"]),
            (f"{mine} and count gt 7", ["two"]),
            (f"{mine} and count le 70", ["one", "two"]),
            (f"{mine} and enabled eq true", ["one"]),
            (f'{mine} and tags eq "BLUE"', ["one"]),
            (f'{mine} and expires gt "2030-01-01T00:00:00Z"', ["one"]),
            (f'{mine} and ports[type eq "home" and value eq "20"]', ["one"]),
            (f'{mine} and location.building eq "north"', ["one"]),
            (f'{mine} and {BADGE}:colour eq "green"', ["one"]),
            (f"{mine} and not (tags pr)", ["two"]),
        ):
            answer = client.ok("query", TYPE, "--filter", condition, "--sort-by", "count")
            names = [resource["name"] for resource in answer["Resources"]]
            equal([f"{prefix}-{name}" for name in found], names, condition)
        descending = ("--sort-by", "count", "--sort-order", "descending")
        answer = client.ok("query", TYPE, "--filter", mine, *descending, "--count", "1")
        contains({"totalResults": 2, "itemsPerPage": 1, "Resources": [{"count": 70}]}, answer)
        answer = client.ok("search", TYPE, "--filter", f"{mine} and count eq 70")
        equal(1, answer["totalResults"], "found by search")

    take("filter, sort, page and search resources", queries)

    def modify():
        client.ok(
            "modify", TYPE, need(one)["id"],
            "replace", "count", "8",
            "add", "tags", '["green"]',
            "remove", 'ports[type eq "home"]',
            "replace", "location.floor", "4",
            "add", f"{BADGE}:doors", '["c"]',
        )  # fmt: skip
        answer = client.ok("query", TYPE, one["id"])
        location = {"building": "North", "floor": 4}
        badge = {"number": 12, "doors": ["a", "b", "c"]}
        tags = ["red", "blue", "green"]
        contains({"count": 8, "tags": tags, "location": location, BADGE: badge}, answer)
        equal(["work"], [port["type"] for port in answer["ports"]], "types of the ports")

    take("modify attributes of every shape", modify)

    def immutable():
        arguments = ("modify", TYPE, need(one)["id"])
        operation = {"op": "add", "path": "serial", "value": "S-2"}
        body = {"schemas": [PATCH], "Operations": [operation]}
        client.refused(400, *arguments, body=body, scim_type="mutability")
        client.ok("query", TYPE, one["id"], expect={"serial": "S-1"})

    take("an immutable attribute stays as it is", immutable)

    def replace():
        body = {"schemas": [SCHEMA], "id": need(one)["id"], "name": f"{prefix}-one"}
        body |= {"serial": "S-1", "count": 9}
        client.ok("replace", TYPE, body=body)
        answer = client.ok("query", TYPE, one["id"], expect={"count": 9, "serial": "S-1"})
        absent(answer, "tags", "location", "ports", BADGE, "code")

    take("replace a resource; what is left out goes", replace)

    def extended_user():
        body = {"userName": f"{prefix}-badge", BADGE: {"number": 5, "colour": "red"}}
        body["schemas"] = [USER, BADGE]
        user = run.create("user", body)
        contains({BADGE: {"number": 5, "colour": "red"}}, user)
        condition = f'{BADGE}:colour eq "red" and id eq "{user["id"]}"'
        answer = client.ok("query", "user", "--filter", condition)
        equal(1, answer["totalResults"], "users found by their badge")

    take("a user with an extension of the directory", extended_user)

    def delete():
        client.ok("delete", TYPE, need(one)["id"])
        client.refused(404, "query", TYPE, one["id"])

    take("delete a resource", delete)
