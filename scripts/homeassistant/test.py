"""Runs metertap, mosquitto and Home Assistant together, and asserts on what Home Assistant shows.

Usage: test.py FOLDER METERTAP [PART…]. Parts: start, energy, lifecycle, forms, units. Each prints what it has seen.
"""

import asyncio
import pathlib
import signal
import socket
import subprocess
import sys
import time

import home
import meters



def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


BROKER, HA, PAGE = free_port(), free_port(), free_port()
RADIO = 1048576


class Test:
    def __init__(self, folder, metertap):
        self.folder, self.metertap = folder, metertap
        self.ha = home.HomeAssistant(folder / "ha", HA)
        self.broker = None
        self.daemons = {}

    async def start_broker(self):
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {BROKER} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {self.folder}/\n"
            "autosave_interval 1\nautosave_on_changes true\nmax_queued_messages 100000\nuser root\n"
        )
        with open(self.folder / "mosquitto.log", "ab") as log:
            self.broker = await asyncio.create_subprocess_exec("mosquitto", "-c", config, stdout=log, stderr=log)
        await asyncio.sleep(1)

    async def stop_broker(self):
        self.broker.terminate()
        await self.broker.wait()

    async def start_metertap(self, config, name="metertap"):
        file = self.folder / f"{name}.toml"
        file.write_text(config)
        with open(self.folder / f"{name}.log", "ab") as log:
            command = (self.metertap, "-v", "run", "--config", file)
            self.daemons[name] = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)

    async def stop_metertap(self, name="metertap", how=signal.SIGTERM):
        self.daemons[name].send_signal(how)
        await self.daemons.pop(name).wait()

    def reload(self, config, name="metertap"):
        (self.folder / f"{name}.toml").write_text(config)
        self.daemons[name].send_signal(signal.SIGHUP)

    async def end(self):
        for name in list(self.daemons):
            await self.stop_metertap(name)
        if self.ha.process and self.ha.process.returncode is None:
            await self.ha.stop()
        if self.broker and self.broker.returncode is None:
            await self.stop_broker()


def mqtt(instance="test", more="", homeassistant=""):
    return (f'[mqtt]\nhost = "127.0.0.1:{BROKER}"\ninstance = "{instance}"\n{more}\n[homeassistant]\n{homeassistant}\n'
            f'[web]\nlisten = "0.0.0.0:{PAGE}"\n')


def without_page(config):
    return config.replace(f'[web]\nlisten = "0.0.0.0:{PAGE}"\n', "")


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


DSMR5 = [
    "0-0:1.0.0(260131120000W)", "1-0:1.8.1(000671.578*kWh)", "1-0:1.8.2(000842.472*kWh)", "1-0:2.8.1(000010.500*kWh)",
    "1-0:2.8.2(000020.250*kWh)", "0-0:96.14.0(0001)", "1-0:1.7.0(00.333*kW)", "1-0:2.7.0(00.000*kW)",
    "0-0:96.7.21(00003)", "0-0:96.7.9(00001)", "1-0:32.32.0(00002)", "1-0:52.32.0(00002)", "1-0:72.32.0(00002)",
    "1-0:32.36.0(00000)", "1-0:52.36.0(00000)", "1-0:72.36.0(00000)", "1-0:32.7.0(230.1*V)", "1-0:52.7.0(229.8*V)",
    "1-0:72.7.0(231.0*V)", "1-0:31.7.0(001*A)", "1-0:51.7.0(000*A)", "1-0:71.7.0(000*A)", "1-0:21.7.0(00.333*kW)",
    "1-0:41.7.0(00.000*kW)", "1-0:61.7.0(00.000*kW)", "1-0:22.7.0(00.000*kW)", "1-0:42.7.0(00.000*kW)",
    "1-0:62.7.0(00.000*kW)", "0-1:24.1.0(003)", "0-1:96.1.0(474153303031)", "0-1:24.2.1(260131120000W)(00473.789*m3)",
]


def entity(entities, unique_id):
    assert unique_id in entities, f"no {unique_id} among {sorted(entities)}"
    return entities[unique_id]


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
    config = mqtt() + (
        f'[[radio]]\nname = "roof"\nsource = "rtl_tcp://127.0.0.1:{port}"\ncenter_freq = 912600155\nsample_rate = {RADIO}\n'
        '[[meter]]\nid = 33445566\nname = "Both"\nunit = "kWh"\nscale = 0.01\n'
        '[[meter]]\nid = 41007788\nname = "Solar"\nprotocol = "netidm"\nunit = "kWh"\nscale = 0.01\n'
        '[[meter]]\nid = 1545554322\nname = "Water"\nunit = "gal"\nscale = 0.1\n'
    ) + main.wire("main") + lists.wire("lists")
    # As a newcomer does: the unit comes later.
    await test.start_metertap(config.replace('unit = "gal"\nscale = 0.1\n', ""))
    main.send(DSMR5)
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
                      "metertap_474153303031_gas", "metertap_MAIN_energy_import_t1", "metertap_LISTS_energy_import_total")
            return all(key in entities and entities[key]["state"] not in (None, "unknown", "unavailable") for key in wanted) and entities

        entities = await hass.until("values of all meters", all_there, 120)
        lists.send(["1-0:1.7.0(00.600*kW)"])
        await asyncio.sleep(5)
        devices = {}
        for key, one in entities.items():
            devices.setdefault(one["device"]["serial_number"], set()).add(one["device"]["id"])
        assert all(len(ids) == 1 for ids in devices.values()), devices
        say(f"{len(entities)} entities of {len(devices)} devices, each meter one")
        shown = [key for key, one in entities.items() if key.startswith("metertap_MAIN_") and not one["disabled_by"]]
        hidden = [key for key, one in entities.items() if key.startswith("metertap_MAIN_") and one["disabled_by"]]
        say(f"DSMR 5: {len(shown)} entities enabled, {len(hidden)} disabled")
        assert 8 <= len(shown) <= 15, shown
        device = entity(entities, "metertap_MAIN_energy_import_t1")["device"]
        say(f"device: {device['name']}, {device['model']}, {device['configuration_url']}")
        assert device["configuration_url"].startswith("http://")
        net = entity(entities, "metertap_41007788_total")
        assert "device_class" not in net["attributes"], net["attributes"]
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
    test.base = config
    await test.stop_metertap()


def hourly_of(hass):
    async def is_there():
        return (await hass.entities())["metertap_LISTS_energy_import_total"]["state"] == "100.5"
    return is_there


async def part_energy(test):
    """Item 5: what the energy dashboard adds up over everything that happens to a counter."""
    names = ["wrap", "exchange", "higher", "upwards", "downwards", "restarts", "outage_all", "outage_latest"]
    # Beginning with a letter whose code has a letter: an id of digits alone would be taken for one in hexadecimal.
    ids = {name: "M_" + name.upper() for name in names}
    wires = {name: await meters.P1(ids[name]).start() for name in names}
    first = {"wrap": 99_985, "exchange": 50_000, "higher": 3, "upwards": 1000, "downwards": 1000, "restarts": 200,
             "outage_all": 300, "outage_latest": 400}
    own = {"wrap": 'digits = 5\n', "higher": "max_rate = 1000\n"}
    sections = {name: wires[name].wire(name) + f'[[meter]]\nid = "{ids[name]}"\n{own.get(name, "")}' for name in names}
    spool = f'spool = "{test.folder}/spool.redb"'
    spool_latest = f'spool = "{test.folder}/latest.redb"\nbacklog = "latest"'
    config = mqtt("energy", spool) + "".join(text for name, text in sections.items() if name != "outage_latest")
    latest = without_page(mqtt("latest", spool_latest)) + sections["outage_latest"]
    await test.start_metertap(config, "energy")
    await test.start_metertap(latest, "latest")
    for name, wire in wires.items():
        wire.imports(first[name])
    sensor = {name: f"metertap_{ids[name]}_energy_import_total" for name in names}

    async def five_minutes(hass, count):
        entities = await hass.entities()
        statistics = {name: entities[sensor[name]]["entity_id"] for name in names}

        async def compiled():
            sums = await hass.sums(list(statistics.values()))
            return len(sums) == len(names) and all(rows >= count for rows, _ in sums.values()) and sums
        sums = await hass.until("five-minute statistics", compiled, 700)
        return {name: sums[statistics[name]][1] for name in names}

    async def settle(name, number):
        wires[name].imports(number)
        await asyncio.sleep(4.5)

    async with test.ha.connect() as hass:
        async def all_there():
            entities = await hass.entities()
            return all(sensor[name] in entities and entities[sensor[name]]["state"] not in ("unknown", "unavailable") for name in names)
        await hass.until("all counters", all_there, 120)
        entities = await hass.entities()
        sources = [entities[sensor[name]]["entity_id"] for name in names]
        grid = [{"type": "grid", "stat_energy_from": one, "stat_energy_to": None, "stat_cost": None, "entity_energy_price": None,
                 "number_energy_price": None, "stat_compensation": None, "entity_energy_price_export": None,
                 "number_energy_price_export": None, "cost_adjustment_day": 0} for one in sources]
        await hass.call("energy/save_prefs", energy_sources=grid, device_consumption=[])
        before = await five_minutes(hass, 1)
        say(f"sums before: {before}")
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
                "outage_latest": 30}
    async with test.ha.connect() as hass:
        rise = {}

        async def is_expected():
            after = await five_minutes(hass, 2)
            rise.update({name: round(after[name] - before[name], 3) for name in names})
            return rise == expected
        try:
            # What happened last may be in the statistics after next.
            await hass.until("sums as expected", is_expected, 400)
        except AssertionError as error:
            say(error)
        say(f"rise of the sums: {rise}")
        say(f"expected:         {expected}")
        validated = await hass.call("energy/validate")
        issues = [issue for kind in ("energy_sources", "device_consumption") for one in validated[kind] for issue in one]
        say(f"energy/validate: {issues}; recorder/validate_statistics: {await hass.call('recorder/validate_statistics')}")
        assert rise == expected and not issues
    await test.stop_metertap("energy")
    await test.stop_metertap("latest")


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


async def part_forms(test):
    """Item 6: from one message per device to one per sensor and back, by SIGHUP."""
    one = await meters.P1("FORM").start()
    one.send(DSMR5[1:20])
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


async def part_units(test):
    """Item 7: `metertap check` refuses what Home Assistant refuses, and nothing else."""
    from homeassistant.components.sensor.const import DEVICE_CLASS_UNITS, SensorDeviceClass
    units = ["Wh", "kWh", "MWh", "MJ", "GJ", "L", "m³", "gal", "ft³", "CCF", "MCF"]
    compared = 0
    for device_class in ("energy", "gas", "water", "volume"):
        accepted = {str(unit) for unit in DEVICE_CLASS_UNITS[SensorDeviceClass(device_class)]}
        for unit in units:
            file = test.folder / "units.toml"
            file.write_text(mqtt() + f'[[radio]]\nsource = "rtlsdr"\n[[meter]]\nid = 1\nunit = "{unit}"\ndevice_class = "{device_class}"\n')
            done = subprocess.run([test.metertap, "check", "--config", file], stdout=subprocess.PIPE, text=True)
            assert (done.returncode == 0) == (unit in accepted), (device_class, unit, done.stdout)
            compared += 1
    say(f"{compared} pairs of device class and unit: check and Home Assistant agree")


async def main(folder, metertap, *parts):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    test = Test(folder, metertap)
    parts = parts or ("units", "start", "lifecycle", "forms", "energy")
    try:
        await test.start_broker()
        say("starting Home Assistant; the first time it installs what it needs")
        await test.ha.start()
        await test.ha.set_up(BROKER)
        say("Home Assistant is set up")
        for part in parts:
            say(f"── {part}")
            await globals()[f"part_{part}"](test)
        complaints = test.ha.complaints()
        # The broker was away; and a device whose entities have moved to messages of their own has nothing left to clean up.
        expected = ("No device components to cleanup", "failed to receive on socket", "No ACK from MQTT server", "Failed to connect to MQTT server", "connection was lost", "custom integration")
        complaints = [line for line in complaints if not any(text in line for text in expected)]
        say(f"{len(complaints)} complaints in Home Assistant's log")
        for line in complaints[:20]:
            print("  ", line[:300])
        assert not complaints
        say("ok")
    finally:
        await test.end()


asyncio.run(main(*sys.argv[1:]))
