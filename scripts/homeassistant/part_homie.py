"""The profile `homie`, read by a consumer that others wrote."""

import asyncio
import json
import pathlib
import signal

import meters
from rig import BROKER, publish, say


async def part_homie(test):
    """Item 9: devices, properties and `$state` over a kill, a restart and a last will that comes late."""
    main, omni = await meters.P1("MAIN").start(), await meters.P1("OMNI").start()
    main.send(meters.DSMR5)
    omni.send(meters.OMNIPOWER)
    config = f'[mqtt]\nhost = "127.0.0.1:{BROKER}"\nprofile = "homie"\n' + main.wire("main") + omni.wire("omni")
    await test.start_metertap(config, "homie")
    # It begins when everything has been said: what it knows is what is retained.
    await asyncio.sleep(5)
    command = ("/ha/homie/bin/python", pathlib.Path(__file__).parent / "homie_reader.py", str(BROKER))
    reader = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)

    async def until(what, is_true, seconds=60):
        last = None
        for _ in range(seconds):
            last = json.loads(await reader.stdout.readline())
            if is_true(last):
                return last
        raise AssertionError(f"no {what}: {last}")

    def are(state):
        return lambda devices: len(devices) == 3 and all(one["state"] == state for one in devices.values())

    try:
        devices = await until("devices that are ready", are("ready"))
        values = [value for one in devices.values() for node in one["nodes"].values() for value in node.values()]
        assert len(values) >= 10 and all(value is not None for value, _ in values), devices
        assert [671578, "Wh"] in values and [473.789, "m³"] in values, values
        say(f"homieclient: {len(devices)} devices, {len(values)} properties with values")
        await test.stop_metertap("homie", signal.SIGKILL)
        await until("devices that are lost", are("lost"))
        await test.start_metertap(config, "homie")
        await until("devices that are ready again", are("ready"))
        async with test.ha.connect() as hass:
            for device in devices:
                # As if the broker gave the connection of before up only now.
                await publish(hass, f"homie/{device}/$state", "lost")
        await until("devices that are ready after a late last will", are("ready"))
        log = (test.folder / "homie.log").read_text()
        assert log.count("Status corrected after a late last will") == 3, log
        say("homieclient: lost after a kill, ready after the start, and after a last will that came late")
        await test.stop_metertap("homie")
        await until("devices that are disconnected", are("disconnected"))
        say("homieclient: disconnected after the end")
    finally:
        reader.kill()
        await reader.wait()
