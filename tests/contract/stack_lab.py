"""Small templates with a function behind a custom resource, for the tests of the local cloud's stacks."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from tests.local_cloud.deploy import Deployment
from tests.local_cloud.server import LocalCloud

# Notes each event, and answers as the property How of the custom resource says.
ANSWERING = """
    import http.client, json, os, urllib.parse

    def handler(event, context):
        with open(os.environ["JOURNAL"], "a") as journal:
            journal.write(json.dumps(event) + "\\n")
        if "ResponseURL" not in event:
            return event
        how = event["ResourceProperties"].get("How", "well")
        if how == "never":
            raise ValueError("not today")
        same = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
        number = event["ResourceProperties"].get("Number", "1")
        answer = {"Status": "SUCCESS", "PhysicalResourceId": f"fleet-{number}", "Data": {"Count": 7}, **same}
        if event["RequestType"] == "Delete":
            answer["PhysicalResourceId"] = event["PhysicalResourceId"]
        if how == "failed" or how == "failed " + event["RequestType"]:
            answer |= {"Status": "FAILED", "Reason": "because it must"}
        if how == "nameless":
            del answer["PhysicalResourceId"]
        if how == "someone else's":
            answer["RequestId"] = "another"
        if how == "large":
            answer["Data"]["Text"] = "x" * 4096
        url = urllib.parse.urlsplit(event["ResponseURL"])
        for _ in range(2 if how == "twice" else 1):
            connection = http.client.HTTPConnection(url.netloc)
            path = url.path if how == "unsigned" else f"{url.path}?{url.query}"
            headers = {"Content-Type": "application/json"} if how == "typed" else {}
            method = "POST" if how == "posted" else "PUT"
            connection.request(method, path, json.dumps(answer).encode(), headers)
            status = connection.getresponse().status
            with open(os.environ["JOURNAL"], "a") as journal:
                journal.write(json.dumps({"status": status}) + "\\n")
"""
ROLE = """
    Role:
      Type: AWS::IAM::Role
      Properties:
        AssumeRolePolicyDocument:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}]
"""
FUNCTION = """
    Function:
      Type: AWS::Serverless::Function
      Properties:
        FunctionName: !Sub ${AWS::StackName}-answering
        Handler: app.handler
        Runtime: python3.13
        Timeout: 60
        CodeUri: code
        Role: !GetAtt Role.Arn
        Environment: {Variables: {JOURNAL: !Ref Journal, COLOUR: !Ref Colour}}
"""
FLEET = """
    Fleet:
      Type: Custom::Fleet
      Properties:
        ServiceToken: !GetAtt Function.Arn
        How: !Ref How
        Number: !Ref Number
        Colours: [!Ref Colour, 7, true]
"""
PARAMETERS = """
  Parameters:
    Journal: {Type: String}
    Colour: {Type: String, Default: red}
    How: {Type: String, Default: well}
    Number: {Type: Number, Default: 1}
"""


class StackLab:
    """One folder with a template and a function's code, and the stack that is deployed from it."""

    def __init__(self, cloud: LocalCloud, folder: Path, name: str) -> None:
        self.cloud = cloud
        self.name = name
        self._folder = folder
        self._journal = folder / "journal"
        self.write_code(ANSWERING)
        self.write(ROLE + FUNCTION + FLEET)

    def write(self, resources: str, more: str = "") -> None:
        indented = textwrap.indent(textwrap.dedent(resources), "  ")
        text = "\n".join([textwrap.dedent(PARAMETERS), "Resources:", indented, textwrap.dedent(more)])
        (self._folder / "template.yaml").write_text(text)

    def write_code(self, source: str) -> None:
        (self._folder / "code").mkdir(exist_ok=True)
        (self._folder / "code" / "app.py").write_text(textwrap.dedent(source))

    def deploy(self, layer_note: str = "", **parameters: str) -> Deployment:
        return self.cloud.deploy(
            stack=self.name,
            template=self._folder / "template.yaml",
            parameters={"Journal": str(self._journal)} | parameters,
            layer_note=layer_note,
        )

    def journal(self) -> list[dict[str, Any]]:
        """Return what the function noted since this was asked last."""
        if not self._journal.exists():
            return []
        lines = self._journal.read_text().splitlines()
        self._journal.unlink()
        return [json.loads(line) for line in lines]

    def asked(self) -> list[dict[str, Any]]:
        """Return the events of CloudFormation that the function has got since the journal was read last."""
        return [event for event in self.journal() if "RequestType" in event]
