"""Reads a Microsoft Graph with Microsoft's own client and prints what it has read as JSON.

    program.py BASE TOKEN    BASE is http://127.0.0.1:PORT/v1.0
"""

import asyncio
import json
import sys

from kiota_abstractions.authentication import AuthenticationProvider
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.groups.delta.delta_request_builder import DeltaRequestBuilder as GroupsDelta
from msgraph.generated.users.delta.delta_request_builder import DeltaRequestBuilder as UsersDelta
from msgraph.generated.users.users_request_builder import UsersRequestBuilder as Users


class Token(AuthenticationProvider):
    """Shows a token, also where http is spoken."""

    def __init__(self, token):
        self.token = token

    async def authenticate_request(self, request, additional_authentication_context={}):
        request.headers.try_add("Authorization", f"Bearer {self.token}")


async def pages(builder, page):
    """Every page, by the links that the client was given; the last one holds the delta link."""
    while True:
        yield page
        if not page.odata_next_link:
            return
        page = await builder.with_url(page.odata_next_link).get()


async def users(client):
    query = Users.UsersRequestBuilderGetQueryParameters(
        select=["id", "userPrincipalName", "accountEnabled", "jobTitle"],
        expand=["manager($select=id)"],
        top=2,
    )
    first = await client.users.get(RequestConfiguration(query_parameters=query))
    read, count = [], 0
    async for page in pages(client.users, first):
        count += 1
        read += page.value
    shown = {
        user.id: {
            "name": user.user_principal_name,
            "enabled": user.account_enabled,
            "title": user.job_title,
            "manager": user.manager.id if user.manager else None,
        }
        for user in read
    }
    return {"pages": count, "rows": len(read), "users": shown}


async def some_users(client):
    query = Users.UsersRequestBuilderGetQueryParameters(
        filter="id in ('u001','u003')", select=["id", "department"])
    page = await client.users.get(RequestConfiguration(query_parameters=query))
    return [[user.id, user.department] for user in page.value]


async def guests(client):
    query = Users.UsersRequestBuilderGetQueryParameters(
        filter="userType ne 'Member'", count=True, top=1, select=["id"])
    configuration = RequestConfiguration(query_parameters=query)
    configuration.headers.add("ConsistencyLevel", "eventual")
    return (await client.users.get(configuration)).odata_count


async def users_delta(client, link):
    if link:
        first = await client.users.delta.with_url(link).get()
    else:
        query = UsersDelta.DeltaRequestBuilderGetQueryParameters(
            select=["userPrincipalName", "jobTitle", "manager"])
        first = await client.users.delta.get(RequestConfiguration(query_parameters=query))
    read, removed = {}, {}
    async for page in pages(client.users.delta, first):
        for user in page.value:
            gone = (user.additional_data or {}).get("@removed")
            if gone:
                removed[user.id] = gone["reason"]
            else:
                read[user.id] = user.user_principal_name
        link = page.odata_delta_link
    return {"users": read, "removed": removed}, link


async def groups_delta(client, link):
    if link:
        first = await client.groups.delta.with_url(link).get()
    else:
        query = GroupsDelta.DeltaRequestBuilderGetQueryParameters(select=["displayName", "members"])
        first = await client.groups.delta.get(RequestConfiguration(query_parameters=query))
    names, members = {}, []
    async for page in pages(client.groups.delta, first):
        for group in page.value:
            if group.display_name:
                names[group.id] = group.display_name
            for member in (group.additional_data or {}).get("members@delta", []):
                members.append([group.id, member["id"], "@removed" not in member])
        link = page.odata_delta_link
    return {"groups": names, "members": sorted(members)}, link


async def main():
    base, token = sys.argv[1:3]
    adapter = GraphRequestAdapter(Token(token))
    adapter.base_url = base
    client = GraphServiceClient(request_adapter=adapter)
    said = {"list": await users(client), "some": await some_users(client), "guests": await guests(client)}
    said["users_delta"], users_link = await users_delta(client, None)
    said["groups_delta"], groups_link = await groups_delta(client, None)
    print(json.dumps(said), flush=True)
    # The other side changes something before it lets this one go on.
    sys.stdin.readline()
    said = {}
    said["users_delta"], _ = await users_delta(client, users_link)
    said["groups_delta"], _ = await groups_delta(client, groups_link)
    print(json.dumps(said), flush=True)


asyncio.run(main())
