"""Bulk requests (RFC 7644 §3.7)."""

from client import Mismatch, Skip, contains, equal, need
from discovery import ENTERPRISE, GROUP, PATCH, USER

REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


def steps(run):
    client, prefix = run.client, run.prefix

    def take(name, step):
        def checked():
            if not run.config.get("bulk", {}).get("supported"):
                raise Skip("the server has no bulk requests")
            return step()

        return run.steps.take(name, checked)

    def send(operations, **more):
        return client.run("bulk", body={"schemas": [REQUEST], "Operations": operations, **more})

    def done(operations, statuses):
        """The operations of the answer, with the ids of what they made."""
        code, answer, complaint = send(operations)
        if code:
            raise Mismatch(f"exit code {code}: {complaint}: {answer}")
        found = [operation["status"] for operation in answer["Operations"]]
        equal(statuses, found, "statuses")
        for operation in answer["Operations"]:
            kind, resource_id = operation["location"].rsplit("/", 2)[-2:]
            if operation["method"] == "POST":
                run.made.append((kind.removesuffix("s").lower(), resource_id))
            operation["id"] = resource_id
        return answer["Operations"]

    def user(name, bulk_id, **more):
        data = {"schemas": [USER], "userName": f"{prefix}-{name}", **more}
        return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data}

    def group(name, bulk_id, *members):
        data = {"schemas": [GROUP], "displayName": f"{prefix} {name}"}
        data["members"] = [{"value": f"bulkId:{member}"} for member in members]
        return {"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data}

    def create():
        # The group stands in front of the user that it names.
        first, second = done([group("b1", "g", "u"), user("b1", "u")], ["201", "201"])
        equal(("g", "u"), (first["bulkId"], second["bulkId"]), "bulkIds")
        answer = client.ok("query", "group", first["id"])
        contains({"members": [{"value": second["id"], "type": "User"}]}, answer)
        return first["id"], second["id"]

    made = take("create a group and its member in one request", create)

    def change():
        group_id, user_id = need(made)
        operation = {"op": "replace", "path": "displayName", "value": "Changed"}
        patch = {"schemas": [PATCH], "Operations": [operation]}
        replaced = {"schemas": [GROUP], "displayName": f"{prefix} b2"}
        other = user("b2", "x")
        operations = [
            {"method": "PATCH", "path": f"/Users/{user_id}", "data": patch},
            {"method": "PUT", "path": f"/Groups/{group_id}", "data": replaced},
            other,
        ]
        created = done(operations, ["200", "200", "201"])[2]["id"]
        done([{"method": "DELETE", "path": f"/Users/{created}"}], ["204"])
        client.ok("query", "user", user_id, expect={"displayName": "Changed"})
        client.ok("query", "group", group_id, expect={"displayName": f"{prefix} b2"})
        client.refused(404, "query", "user", created)

    take("change, replace, create and delete in bulk", change)

    def circular():
        manager = lambda bulk_id: {"manager": {"value": f"bulkId:{bulk_id}"}}  # noqa: E731
        schemas = {"schemas": [USER, ENTERPRISE]}
        operations = [
            user("c1", "u1", **schemas, **{ENTERPRISE: manager("u2")}),
            user("c2", "u2", **schemas, **{ENTERPRISE: manager("u1")}),
            group("c1", "g1", "u1", "g2"),
            group("c2", "g2", "u2", "g1"),
        ]
        u1, u2, g1, g2 = (found["id"] for found in done(operations, ["201"] * 4))
        for one, other in ((u1, u2), (u2, u1)):
            answer = client.ok("query", "user", one)
            contains({ENTERPRISE: {"manager": {"value": other}}}, answer)
        for one, members in ((g1, {u1, g2}), (g2, {u2, g1})):
            answer = client.ok("query", "group", one)
            equal(members, {member["value"] for member in answer["members"]}, "members")

    take("circular references between users and between groups", circular)

    def partial():
        operations = [user("p1", "a"), user("p1", "b"), user("p2", "c")]
        code, answer, _ = send(operations)
        found = answer["Operations"]
        equal(["201", "409", "201"], [operation["status"] for operation in found], "statuses")
        equal(1, code, "exit code")
        contains({"scimType": "uniqueness", "status": "409"}, found[1]["response"])
        for number in (0, 2):
            run.made.append(("user", found[number]["location"].rsplit("/", 1)[-1]))

    take("an operation that fails stands alone", partial)

    def stop():
        code, answer, _ = send([user("p1", "a"), user("p3", "b")], failOnErrors=1)
        equal(["409"], [operation["status"] for operation in answer["Operations"]], "statuses")
        equal(1, code, "exit code")
        condition = f'userName eq "{prefix}-p3"'
        equal(0, client.ok("query", "user", "--filter", condition)["totalResults"], "users made")

    take("failOnErrors ends the request", stop)
