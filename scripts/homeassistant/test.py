"""Runs metertap, mosquitto and Home Assistant together, and asserts on what Home Assistant shows.

Usage: test.py FOLDER METERTAP [PART…]. Each part prints what it has seen.
"""

import asyncio
import pathlib
import sys

import rig
from part_energy import part_energy
from part_homie import part_homie
from part_lifecycle import part_forms, part_hosts, part_lifecycle
from part_path import part_path
from part_start import part_start
from part_units import part_units
from rig import say

PARTS = {
    "units": part_units, "start": part_start, "lifecycle": part_lifecycle, "hosts": part_hosts, "forms": part_forms,
    "path": part_path, "homie": part_homie, "energy": part_energy,
}


async def main(folder, metertap, *parts):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    test = rig.Test(folder, metertap)
    parts = parts or PARTS
    try:
        await test.start_broker()
        say("starting Home Assistant; the first time it installs what it needs")
        await test.ha.start()
        await test.ha.set_up(rig.BROKER)
        say("Home Assistant is set up")
        for part in parts:
            say(f"── {part}")
            await PARTS[part](test)
        complaints = test.ha.complaints()
        # The new entity of a meter that rtlamr2mqtt has read has minutes of history, which give way to the old one's. The broker was
        # away; and a device whose entities have moved to messages of their own has nothing left to clean up.
        expected = (
            "because the new statistic_id is already in use", "because the new entity_id is already in use", "connection was lost",
            "failed to receive on socket", "No ACK from MQTT server", "Failed to connect to MQTT server",
            "No device components to cleanup", "custom integration",
        )
        complaints = [line for line in complaints if not any(text in line for text in expected)]
        say(f"{len(complaints)} complaints in Home Assistant's log")
        for line in complaints[:20]:
            print("  ", line[:300])
        assert not complaints
        say("ok")
    finally:
        await test.end()


asyncio.run(main(*sys.argv[1:]))
