"""`/Me`: the resource of the user that a token was issued for (RFC 7644 §3.11)."""

from client import Client, Skip, contains, equal
from discovery import USER


def steps(run):
    client, take, prefix, target = run.client, run.steps.take, run.prefix, run.target

    def no_user():
        client.refused(501, "query", "--me")

    take("/Me is 501 for a token without a user", no_user)

    def issue():
        if not target.management:
            raise Skip("tokens of users need the management API")
        user = run.create("user", {"schemas": [USER], "userName": f"{prefix}-me", "title": "Dr."})
        token = target.management.user_token(target.directory_id, user["id"])
        return user, Client(target.base_url, token)

    made = take("issue a token for a user", issue)

    def mine():
        if made is None:
            raise Skip("there is no token of a user")
        return made

    def read():
        user, me = mine()
        equal(user, me.ok("query", "--me"), "the user as read at /Me")
        answer = me.ok("query", "--me", "--attribute", "title")
        contains({"id": user["id"], "title": "Dr."}, answer)
        equal(False, "userName" in answer, "userName shown")

    take("read /Me", read)

    def modify():
        user, me = mine()
        me.ok("modify", "--me", "replace", "displayName", "Me", expect={"displayName": "Me"})
        client.ok("query", "user", user["id"], expect={"displayName": "Me", "title": "Dr."})

    take("modify /Me", modify)

    def replace():
        user, me = mine()
        body = {"schemas": [USER], "userName": user["userName"], "displayName": "Myself"}
        me.ok("replace", "user", "--me", body=body, expect={"displayName": "Myself"})
        answer = client.ok("query", "user", user["id"], expect={"displayName": "Myself"})
        equal(False, "title" in answer, "title shown")

    take("replace /Me", replace)

    def delete():
        user, me = mine()
        me.ok("delete", "--me")
        client.refused(404, "query", "user", user["id"])

    take("delete /Me", delete)
