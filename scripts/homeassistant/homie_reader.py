"""Prints once a second what homieclient of PyPI, a consumer of Homie, knows: a line of JSON with its devices."""

import json
import sys
import time

from homieclient import HomieClient


def values(node):
    found = {name: getattr(node, name) for name in node.properties}
    return {name: [one["value"], one["unit"]] for name, one in found.items()}


client = HomieClient(port=int(sys.argv[1]))
client.connect()
while True:
    devices = {
        device.id: {"name": device.name, "state": device.state, "nodes": {node.id: values(node) for node in device.nodes}}
        for device in client.devices
    }
    print(json.dumps(devices), flush=True)
    time.sleep(1)
