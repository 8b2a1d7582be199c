"""Totals of the energy dashboard over everything that happens to a counter."""

import asyncio
import json
import signal

import meters
from rig import grid, mqtt, publish, say, validated, without_page


# As rtlamr2mqtt announces a meter.
OLD_TOPIC = "homeassistant/sensor/rtlamr2mqtt/555_reading/config"
OLD_ENTITY = "sensor.old_meter_reading"
OLD = {
    "name": "Reading", "unique_id": "555_reading", "state_topic": "rtlamr/555/state", "device_class": "energy",
    "value_template": "{{ value_json.reading }}", "unit_of_measurement": "kWh", "state_class": "total_increasing",
    "device": {"identifiers": ["meter_555"], "name": "Old meter"},
}


async def part_energy(test):
    """Item 5: what the energy dashboard adds up over everything that happens to a counter."""
    names = ["wrap", "exchange", "higher", "upwards", "downwards", "restarts", "outage_all", "outage_latest"]
    # Beginning with a letter whose code has a letter: an id of digits alone would be taken for one in hexadecimal.
    ids = {name: "M_" + name.upper() for name in names}
    wires = {name: await meters.P1(ids[name]).start() for name in names}
    # A meter that rtlamr2mqtt has read until now.
    wires["history"] = await meters.P1("M_HISTORY").start()
    first = {"wrap": 99_985, "exchange": 50_000, "higher": 3, "upwards": 1000, "downwards": 1000, "restarts": 200,
             "outage_all": 300, "outage_latest": 400}
    own = {"wrap": 'digits = 5\n', "higher": "max_rate = 1000\n"}
    sections = {name: wires[name].wire(name) + f'[[meter]]\nid = "{ids[name]}"\n{own.get(name, "")}' for name in names}
    sections["history"] = wires["history"].wire("history")
    spool = f'spool = "{test.folder}/spool.redb"'
    spool_latest = f'spool = "{test.folder}/latest.redb"\nbacklog = "latest"'
    config = mqtt("energy", spool) + "".join(text for name, text in sections.items() if name != "outage_latest")
    latest = without_page(mqtt("latest", spool_latest)) + sections["outage_latest"]
    await test.start_metertap(config, "energy")
    await test.start_metertap(latest, "latest")
    for name in names:
        wires[name].imports(first[name])
    sensor = {name: f"metertap_{ids[name]}_energy_import_total" for name in names}

    async def five_minutes(hass, count):
        entities = await hass.entities()
        statistics = {name: entities[sensor[name]]["entity_id"] for name in names} | {"history": OLD_ENTITY}

        async def compiled():
            sums = await hass.sums(list(statistics.values()))
            return len(sums) == len(statistics) and all(rows >= count for rows, _ in sums.values()) and sums
        sums = await hass.until("five-minute statistics", compiled, 700)
        return {name: sums[statistics[name]][1] for name in statistics}

    async def settle(name, number):
        wires[name].imports(number)
        await asyncio.sleep(4.5)

    async with test.ha.connect() as hass:
        async def all_there():
            entities = await hass.entities()
            return all(sensor[name] in entities and entities[sensor[name]]["state"] not in ("unknown", "unavailable") for name in names)
        await hass.until("all counters", all_there, 120)
        await publish(hass, "rtlamr/555/state", '{"reading": 1000}')
        await publish(hass, OLD_TOPIC, json.dumps(OLD))
        entities = await hass.entities()
        sources = [entities[sensor[name]]["entity_id"] for name in names]
        await validated(hass, [grid(one) for one in sources])
        before = await five_minutes(hass, 1)
        say(f"sums before: {before}")
        # From rtlamr2mqtt to metertap as docs/switching.md says: its device is deleted, the new entity gets its name.
        await publish(hass, OLD_TOPIC, "")
        wires["history"].imports(1000)
        new = "metertap_M_HISTORY_energy_import_total"

        async def is_new():
            entities = await hass.entities()
            return new in entities and "555_reading" not in entities and entities
        entities = await hass.until("the new entity alone", is_new)
        await hass.call("config/entity_registry/update", entity_id=entities[new]["entity_id"], new_entity_id=OLD_ENTITY)
        wires["history"].imports(1010)
    # A meter is believed with its second reading; each number is sent several times.
    await settle("wrap", 99_997)
    await settle("wrap", 2)
    await settle("wrap", 13)
    for name, steps in {"exchange": [50_010, 3, 13], "higher": [5, 60_000, 60_004], "upwards": [1010, 9_000_000, 1015],
                        "downwards": [1010, 1008, 1012]}.items():
        for step in steps:
            await settle(name, step)
    await settle("restarts", 210)
    await test.ha.stop()
    await settle("restarts", 220)
    await test.ha.start()
    await test.stop_metertap("energy", signal.SIGKILL)
    await settle("restarts", 230)
    await test.start_metertap(config, "energy")
    await settle("restarts", 240)
    await test.stop_broker()
    # A day in a few seconds: dozens of readings while the broker is away.
    for hour in range(24):
        wires["outage_all"].imports(300 + hour)
        wires["outage_latest"].imports(400 + hour)
        await asyncio.sleep(0.3)
    await test.start_broker()
    await settle("restarts", 250)
    await settle("outage_all", 330)
    await settle("outage_latest", 430)
    expected = {"wrap": 28, "exchange": 20, "higher": 6, "upwards": 15, "downwards": 12, "restarts": 50, "outage_all": 30,
                "outage_latest": 30, "history": 10}
    async with test.ha.connect() as hass:
        rise = {}

        async def is_expected():
            after = await five_minutes(hass, 2)
            rise.update({name: round(after[name] - before[name], 3) for name in after})
            return rise == expected
        try:
            # What happened last may be in the statistics after next.
            await hass.until("sums as expected", is_expected, 400)
        except AssertionError as error:
            say(error)
        say(f"rise of the sums: {rise}")
        say(f"expected:         {expected}")
        issues = await validated(hass, [grid(one) for one in [*sources, OLD_ENTITY]])
        say(f"energy/validate: {issues}; recorder/validate_statistics: {await hass.call('recorder/validate_statistics')}")
        assert rise == expected and not issues
    await test.stop_metertap("energy")
    await test.stop_metertap("latest")
