"""Dead, removed, renamed and changed meters; several installations; forms of announcements."""

import asyncio
import signal

import meters
from rig import mqtt, publish, say, without_page


async def part_lifecycle(test):
    """Item 6: dead, removed, renamed and changed meters; two installations."""
    one, two = await meters.P1("ONE").start(), await meters.P1("TWO").start()
    one.imports(100)
    two.imports(200)
    meter = '[[meter]]\nid = "ONE"\nexpire = 10\n'
    config = mqtt("life") + one.wire("one") + two.wire("two") + meter
    await test.start_metertap(config, "life")
    await test.start_metertap(without_page(mqtt("other")) + (await meters.P1("OTHER").start()).wire("one"), "other")
    key = "metertap_ONE_energy_import_total"
    async with test.ha.connect() as hass:
        async def state(expected, key=key):
            return (await hass.entities()).get(key, {}).get("state") == expected

        def is_state(expected, key=key):
            return lambda: state(expected, key)

        await hass.until("both meters", is_state("200", "metertap_TWO_energy_import_total"))
        await hass.until("both meters", is_state("100"))
        name = (await hass.entities())[key]["entity_id"]
        # Renamed by SIGHUP: the ids stay.
        test.reload(config.replace(meter, meter + 'name = "House"\n'), "life")

        async def is_renamed():
            one = (await hass.entities())[key]
            return one["device"]["name"] == "House" and one["entity_id"] == name
        await hass.until("the new name under the old entity id", is_renamed)
        say(f"renamed, still {name}")
        # The last will of an earlier connection, which the broker gives up only now.
        await publish(hass, "readings/metertap/life/status", "offline")

        async def is_corrected():
            return "Status corrected after a late last will" in (test.folder / "life.log").read_text()
        await hass.until("the correction", is_corrected)
        await hass.until("the meter", is_state("100"))
        say("a late last will does not leave the meters unavailable")
        # Dead while metertap restarts.
        one.is_silent = True
        await test.stop_metertap("life", signal.SIGKILL)
        await test.start_metertap(config, "life")
        # By the last will at once; longer than `expire`, and after metertap is there again, by the meter's own silence.
        await asyncio.sleep(15)

        async def is_dead():
            entities = await hass.entities()
            return entities[key]["state"] == "unavailable" and entities["metertap_TWO_energy_import_total"]["state"] == "200"
        await hass.until("unavailability of the dead meter alone", is_dead, 40)
        say("a meter that is silent from the start is unavailable")
        one.is_silent = False
        await hass.until("the meter again", is_state("100"), 40)
        # Removed while metertap is stopped.
        await test.stop_metertap("life")
        await test.start_metertap(mqtt("life") + one.wire("one") + meter, "life")

        async def is_gone():
            entities = await hass.entities()
            return not any("_TWO_" in key for key in entities) and not any(
                key.endswith("life_status_two") for key in entities) and entities
        entities = await hass.until("the end of the second wire", is_gone)
        say("a wire that was removed while metertap was stopped is gone")
        assert any("_other_" in key for key in entities), sorted(entities)
        await test.stop_metertap("other")
        await asyncio.sleep(2)
        assert await state("100"), "the other installation's end is its own"
        say("two installations: the end of one leaves the other's meters available")
    await test.stop_metertap("life")


async def part_hosts(test):
    """Two installations with default names, on machines of their own."""
    attic, cellar = await meters.P1("M_ATTIC").start(), await meters.P1("M_CELLAR").start()
    attic.imports(100)
    cellar.imports(200)
    config = without_page(mqtt()).replace('instance = "test"\n', "")
    await test.start_metertap(config + attic.wire("hall"), "attic", host="attic")
    await test.start_metertap(config + cellar.wire("hall"), "cellar", host="cellar")
    async with test.ha.connect() as hass:
        async def states():
            entities = await hass.entities()
            return [entities.get(f"metertap_{meter}_energy_import_total", {}).get("state") for meter in ("M_ATTIC", "M_CELLAR")]

        async def are_both_there():
            return await states() == ["100", "200"]
        await hass.until("both meters", are_both_there)
        names = sorted({one["device"]["name"] for one in (await hass.entities()).values()})
        assert "metertap attic" in names and "metertap cellar" in names, names
        # One ends, and comes back; the other does not notice.
        await test.stop_metertap("cellar")

        async def is_one_away():
            return await states() == ["100", "unavailable"]
        await hass.until("the end of one", is_one_away)
        await test.start_metertap(config + cellar.wire("hall"), "cellar", host="cellar")
        await hass.until("both meters again", are_both_there)
        count = len([key for key in await hass.entities() if "ATTIC" in key or "CELLAR" in key])
        say(f"two hosts with default names: {count} entities of both meters, each available for itself")
    for name in ("attic", "cellar"):
        log = (test.folder / f"{name}.log").read_text()
        assert "Another metertap" not in log and "deleted" not in log, log
        await test.stop_metertap(name)


async def part_forms(test):
    """Item 6: from one message per device to one per sensor and back, by SIGHUP."""
    one = await meters.P1("FORM").start()
    one.send(meters.DSMR5[1:20])
    config = mqtt("forms") + one.wire("form")
    await test.start_metertap(config, "forms")
    async with test.ha.connect() as hass:
        async def ours():
            entities = await hass.entities()
            return {key: value for key, value in entities.items() if "_FORM_" in key or "_forms_" in key}

        async def all_there():
            entities = await ours()
            return len(entities) > 15 and entities

        first = await hass.until("the meter", all_there)
        await asyncio.sleep(3)
        first = await ours()
        ids = {key: one["entity_id"] for key, one in first.items()}
        for form in ("sensor", "device"):
            test.reload(config.replace("[homeassistant]", f'[homeassistant]\ndiscovery = "{form}"'), "forms")

            async def is_same():
                entities = await ours()
                enabled = [one for one in entities.values() if not one["disabled_by"]]
                return {key: one["entity_id"] for key, one in entities.items()} == ids and all(
                    one["state"] not in (None, "unavailable") for one in enabled)
            await asyncio.sleep(5)
            await hass.until(f"the same {len(ids)} entities by {form}", is_same, 30)
            say(f"discovery = \"{form}\": the same {len(ids)} entities")
    await test.stop_metertap("forms")
