"""One device per meter, no errors, values at once, few entities."""

import asyncio
import signal
import subprocess
import time

import meters
from rig import RADIO, entity, grid, mqtt, say, validated


async def part_start(test):
    """Items 2, 3, 4, 7: one device per meter, no errors, values at once, few entities."""
    scenario = test.folder / "street.toml"
    head = f'seed = 1\nseconds = 2.0\nsample_rate = {RADIO}\ncenter_freq = 912600155\nnoise_dbfs = -26.0\nstart = "2026-01-31T12:00:00Z"\n'

    def sender(kind, number, at, offset, more):
        return (f'[[meter]]\ntype = "{kind}"\nid = {number}\nat = {at}\nevery = 10.0\noffset_hz = {offset}\nsnr_db = 20.0\n{more}\n')

    scenario.write_text(
        head + sender("scm", 33445566, 0.1, 100000, "ert_type = 7\nconsumption = 48213")
        + sender("idm", 33445566, 0.6, 150000, "ert_type = 7\nconsumption = 48213")
        + sender("netidm", 41007788, 1.0, -100000, "ert_type = 8\nconsumption = 500123\ngeneration = 723001")
        + sender("r900", 1545554322, 1.4, 200000, "consumption = 77000"))
    recording = test.folder / "street.cu8"
    subprocess.run([test.metertap, "synth", scenario, "-o", recording], check=True, stdout=subprocess.DEVNULL)
    port = await meters.street(recording, RADIO)
    main, lists = await meters.P1("MAIN").start(), await meters.P1("LISTS").start(1.0)
    omni = await meters.P1("OMNI").start()
    config = mqtt() + (
        f'[[radio]]\nname = "roof"\nsource = "rtl_tcp://127.0.0.1:{port}"\ncenter_freq = 912600155\nsample_rate = {RADIO}\n'
        '[[meter]]\nid = 33445566\nname = "Both"\nunit = "kWh"\nscale = 0.01\n'
        '[[meter]]\nid = 41007788\nname = "Solar"\nprotocol = "netidm"\nunit = "kWh"\nscale = 0.01\n'
        '[[meter]]\nid = 1545554322\nname = "Water"\nunit = "gal"\nscale = 0.1\n'
    ) + main.wire("main") + lists.wire("lists") + omni.wire("omni")
    # As a newcomer does: the unit comes later.
    await test.start_metertap(config.replace('unit = "gal"\nscale = 0.1\n', ""))
    main.send(meters.DSMR5)
    omni.send(meters.OMNIPOWER)
    # Once an hour everything, then the power alone.
    lists.send(["1-0:1.8.0(000100.500*kWh)", "1-0:1.7.0(00.500*kW)", "1-0:32.7.0(230.1*V)"])
    async with test.ha.connect() as hass:
        async def is_counted():
            return "metertap_1545554322_count" in await hass.entities()

        async def is_replaced():
            entities = await hass.entities()
            return "metertap_1545554322_count" not in entities and "metertap_1545554322_total" in entities
        await hass.until("the count of the water meter", is_counted, 120)
        test.reload(config)
        await hass.until("the total in its place", is_replaced)
        say("a unit that is added replaces the count")

        async def all_there():
            entities = await hass.entities()
            wanted = ("metertap_33445566_total", "metertap_41007788_import", "metertap_1545554322_total",
                      "metertap_474153303031_gas", "metertap_OMNI_power_factor", "metertap_MAIN_energy_import_t1", "metertap_LISTS_energy_import_total")
            return all(key in entities and entities[key]["state"] not in (None, "unknown", "unavailable") for key in wanted) and entities

        entities = await hass.until("values of all meters", all_there, 120)
        lists.send(["1-0:1.7.0(00.600*kW)"])
        await asyncio.sleep(5)
        devices = {}
        for key, one in entities.items():
            # Devices of installations have none.
            if serial_number := one["device"]["serial_number"]:
                devices.setdefault(serial_number, set()).add(one["device"]["id"])
        assert all(len(ids) == 1 for ids in devices.values()), devices
        say(f"{len(entities)} entities of {len(devices)} devices, each meter one")
        for title, meter, least, most in (("DSMR 5", "MAIN", 10, 14), ("Omnipower", "OMNI", 10, 15)):
            own = [one for key, one in entities.items() if key.startswith(f"metertap_{meter}_")]
            shown = [one["entity_id"] for one in own if not one["disabled_by"]]
            say(f"{title}: {len(shown)} entities enabled, {len(own) - len(shown)} disabled")
            assert least <= len(shown) <= most, shown
        device = entity(entities, "metertap_MAIN_energy_import_t1")["device"]
        say(f"device: {device['name']}, {device['model']}, {device['configuration_url']}")
        assert device["configuration_url"].startswith("http://")
        net = entity(entities, "metertap_41007788_total")
        assert "device_class" not in net["attributes"], net["attributes"]
        # The way of a house with solar: what is used and what is fed in.
        ways = [entity(entities, f"metertap_41007788_{way}")["entity_id"] for way in ("import", "export")]
        issues = await validated(hass, [grid(*ways)])
        # The first statistics come within five minutes.
        assert all(issue["type"] == "statistics_not_defined" for issue in issues), issues
        flags = {key: entity(entities, f"metertap_1545554322_{key}") for key in ("leak", "backflow_detected", "no_use")}
        assert all(one["entity_id"].startswith("binary_sensor.") and one["state"] in ("on", "off") for one in flags.values()), flags
        assert entity(entities, "metertap_33445566_tamper")["disabled_by"] == "integration"
        say(f"R900: {', '.join(flags)} are binary sensors; import and export of a meter with solar: no issue of the energy dashboard")
    await test.ha.stop()
    await test.ha.start()
    begun = time.monotonic()
    async with test.ha.connect() as hass:
        async def hourly():
            one = (await hass.entities()).get("metertap_LISTS_energy_import_total")
            return one and one["state"] == "100.5" and one
        await hass.until("the hourly energy after the start of Home Assistant", hourly)
        say(f"hourly energy {time.monotonic() - begun:.1f} s after the start of Home Assistant")
    begun = time.monotonic()
    await test.stop_metertap(how=signal.SIGKILL)
    await test.start_metertap(config)
    async with test.ha.connect() as hass:
        await asyncio.sleep(3)
        await hass.until("the hourly energy after a kill of metertap", hourly_of(hass))
        say(f"hourly energy {time.monotonic() - begun:.1f} s after a kill and start of metertap")
        # The radio and its meters leave the configuration.
        test.reload(mqtt() + main.wire("main") + lists.wire("lists") + omni.wire("omni"))

        async def is_gone():
            entities = await hass.entities()
            return not any(part in key for key in entities for part in ("33445566", "41007788", "1545554322", "_roof")) and entities
        entities = await hass.until("the end of the radio", is_gone)
        entity(entities, "metertap_LISTS_energy_import_total")
        say("a radio that is removed is gone with its meters")
    await test.stop_metertap()


def hourly_of(hass):
    async def is_there():
        return (await hass.entities())["metertap_LISTS_energy_import_total"]["state"] == "100.5"
    return is_there
