"""What the server says about itself."""

from client import contains, non_empty

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def steps(run):
    client, take = run.client, run.steps.take

    def config():
        supported = {"supported": True}
        answer = client.ok("query", "serviceproviderconfig")
        expected = {"patch": supported, "filter": supported, "authenticationSchemes": [{}]}
        contains(expected, answer)
        run.config = answer

    def schemas():
        answer = client.ok("query", "schema")
        contains([{"id": USER}, {"id": GROUP}, {"id": ENTERPRISE}], answer["Resources"])

    def schema():
        user_name = {"name": "userName", "required": True, "uniqueness": "server"}
        expected = {"id": USER, "name": "User", "attributes": [user_name]}
        client.ok("query", "schema", USER, expect=expected)

    def resource_types():
        answer = client.ok("query", "resourcetype")
        user = {"name": "User", "endpoint": "/Users", "schema": USER}
        group = {"name": "Group", "endpoint": "/Groups", "schema": GROUP}
        contains([user, group], answer["Resources"])
        run.types = {element["name"].lower() for element in answer["Resources"]}

    def resource_type():
        expected = {"name": "User", "schemaExtensions": [{"schema": ENTERPRISE}]}
        answer = client.ok("query", "resourcetype", "User", expect=expected)
        contains({"location": non_empty}, answer["meta"])

    take("read the service provider configuration", config)
    take("list the schemas", schemas)
    take("read one schema", schema)
    take("list the resource types", resource_types)
    take("read one resource type", resource_type)
    take("an unknown schema is 404", lambda: client.refused("404", "query", "schema", "urn:none"))
