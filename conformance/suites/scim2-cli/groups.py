"""Groups and their members."""

from client import Mismatch, absent, contains, equal, need
from discovery import GROUP, USER


def steps(run):
    client, take, prefix = run.client, run.steps.take, run.prefix

    def members(group_id):
        answer = client.ok("query", "group", group_id)
        return {member["value"] for member in answer.get("members", [])}

    def create():
        bodies = [{"userName": f"{prefix}-m{n}", "displayName": f"M{n}"} for n in range(3)]
        users = [run.create("user", {"schemas": [USER], **body}) for body in bodies]
        body = {"schemas": [GROUP], "displayName": f"{prefix} looms"}
        body["members"] = [{"value": users[0]["id"]}]
        group = run.create("group", body)
        reference = lambda ref: ref.endswith(f"/Users/{users[0]['id']}")  # noqa: E731
        member = {"value": users[0]["id"], "type": "User", "display": "M0", "$ref": reference}
        contains({"displayName": f"{prefix} looms", "members": [member]}, group)
        return group, [user["id"] for user in users]

    made = take("create a group with a member", create)

    def add():
        group, users = need(made)
        value = f'[{{"value": "{users[1]}"}}, {{"value": "{users[2]}"}}]'
        client.ok("modify", "group", group["id"], "add", "members", value)
        equal(set(users), members(group["id"]), "members")
        # Once more changes nothing.
        client.ok("modify", "group", group["id"], "add", "members", value)
        equal(set(users), members(group["id"]), "members")

    take("add members", add)

    def remove():
        group, users = need(made)
        client.ok("modify", "group", group["id"], "remove", f'members[value eq "{users[1]}"]')
        equal({users[0], users[2]}, members(group["id"]), "members")

    take("remove one member", remove)

    def nested():
        group, users = need(made)
        body = {"schemas": [GROUP], "displayName": f"{prefix} mills"}
        body["members"] = [{"value": group["id"]}]
        outer = run.create("group", body)
        contains({"members": [{"value": group["id"], "type": "Group"}]}, outer)
        user = client.ok("query", "user", users[0])
        direct = {"value": group["id"], "display": f"{prefix} looms", "type": "direct"}
        contains({"groups": [direct, {"value": outer["id"], "type": "indirect"}]}, user)

    take("a user shows its direct and indirect groups", nested)

    def queries():
        group, users = need(made)
        condition = f'members[value eq "{users[0]}"]'
        listed = client.ok("query", "group", "--filter", condition)
        equal([group["id"]], [found["id"] for found in listed["Resources"]], condition)
        answer = client.ok("query", "group", group["id"], "--excluded-attribute", "members")
        contains({"displayName": f"{prefix} looms"}, answer)
        absent(answer, "members")

    take("find a group by its member, and read it without members", queries)

    def replace():
        group, users = need(made)
        body = {"schemas": [GROUP], "id": group["id"], "displayName": f"{prefix} looms 2"}
        body["members"] = [{"value": users[1]}]
        client.ok("replace", "group", body=body)
        client.ok("query", "group", group["id"], expect={"displayName": f"{prefix} looms 2"})
        equal({users[1]}, members(group["id"]), "members")

    take("replace a group", replace)

    def delete_member():
        group, users = need(made)
        client.ok("delete", "user", users[1])
        equal(set(), members(group["id"]), "members")

    take("deleting a user takes it out of its groups", delete_member)

    def delete():
        group, users = need(made)
        client.ok("delete", "group", group["id"])
        client.refused(404, "query", "group", group["id"])
        user = client.ok("query", "user", users[0])
        if group["id"] in str(user.get("groups")):
            raise Mismatch("the user still shows the group")

    take("deleting a group takes it from its members", delete)
