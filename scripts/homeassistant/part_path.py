"""The five minutes of docs/homeassistant.md, step by step as it says: from `metertap init` to the energy dashboard."""

import asyncio
import pathlib
import re
import shutil
import subprocess
import time

import meters
from rig import BROKER, entity, grid, say, validated
from terminal import Terminal

# What `metertap` uses if it is told nothing else.
SAMPLE_RATE = 2359296
SCENARIO = f"""
seed = 1
seconds = 2.0
sample_rate = {SAMPLE_RATE}
center_freq = 912600155
noise_dbfs = -26.0
start = "2026-01-31T12:00:00Z"

[[meter]]
type = "scm"
id = 12345678
ert_type = 11
consumption = 482130
at = 0.3
every = 1.0
offset_hz = 150000
snr_db = 20.0
"""


class Guide:
    """The page of documentation."""

    def __init__(self):
        self.text = (pathlib.Path(__file__).parent / "homeassistant.md").read_text()
        self.steps = self.text.split("All of it in the configuration:")[0]

    def command(self, line):
        """Returns the words of a command that the steps name."""
        assert f"`{line}`" in self.steps, f"docs/homeassistant.md does not say `{line}`"
        return line.split()[1:]

    def section(self):
        """Returns the `[[meter]]` of the steps."""
        block = re.search(r"```toml\n(.*?)```", self.steps, re.S).group(1)
        return "\n".join(line.strip() for line in block.splitlines()) + "\n"


async def part_path(test):
    """Item 8: the page followed to the letter."""
    guide = Guide()
    folder = test.folder / "home"
    folder.mkdir()
    scenario, recording = folder / "street.toml", folder / "street.cu8"
    scenario.write_text(SCENARIO)
    subprocess.run([test.metertap, "synth", scenario, "-o", recording], check=True, stdout=subprocess.DEVNULL)
    dongle = f"rtl_tcp://127.0.0.1:{await meters.street(recording, SAMPLE_RATE)}"
    house = await meters.P1("HOUSE").start()
    house.send(meters.DSMR5)
    begun = time.monotonic()

    init = Terminal([test.metertap, *guide.command("metertap init")], folder)
    await init.answer("Another radio", dongle)
    await init.answer("Which band?", "915")
    await init.answer("Another radio", "")
    await init.answer("Another wire", f"tcp://127.0.0.1:{house.port}")
    await init.expect("sends p1")
    await init.answer("Read it?", "")
    await init.answer("Another wire", "")
    await init.answer("Which meter is yours?", "48213")
    await init.answer("Meter 12345678 shows that. Is it yours?", "")
    await init.answer("Which meter is yours?", "")
    await init.answer("MQTT broker", f"127.0.0.1:{BROKER}")
    await init.answer("Home Assistant", "y")
    await init.answer("A page", "")
    await init.answer("phones", "")
    assert await init.end() == 0, init.text
    say(f"init: {time.monotonic() - begun:.0f} s")
    file = folder / "metertap.toml"
    assert "[[meter]]\nid = 12345678\nscale = 0.1\n" in file.read_text(), file.read_text()

    # Later, or without init: another terminal says the same.
    find = guide.command("metertap find --reading 48213")
    found = await asyncio.to_thread(subprocess.run, [test.metertap, *find, "--source", dongle], cwd=folder,
                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert found.returncode == 0 and "[[meter]]\nid = 12345678\nscale = 0.1" in found.stdout, found

    section = guide.section()
    assert section.startswith("[[meter]]\nid = 12345678\n"), section
    file.write_text(file.read_text().replace("[[meter]]\nid = 12345678\nscale = 0.1\n", section))
    check = subprocess.run([test.metertap, *guide.command("metertap check")], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert check.returncode == 0 and "all is well" in check.stdout, check
    say(check.stdout.strip().splitlines()[-1])

    with open(folder / "log", "ab") as log:
        command = (test.metertap, *guide.command("metertap run"))
        test.daemons["home"] = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=log, stderr=log)
    async with test.ha.connect() as hass:
        sensors = {"grid": "metertap_HOUSE_energy_import_t1", "water": "metertap_12345678_total"}

        async def are_there():
            entities = await hass.entities()
            return all(key in entities and entities[key]["state"] not in (None, "unknown", "unavailable")
                       for key in sensors.values()) and entities
        entities = await hass.until("both meters", are_there, 120)
        say(f"both meters are in Home Assistant {time.monotonic() - begun:.0f} s after the start of init")
        device = entity(entities, sensors["water"])["device"]
        areas = {area["area_id"]: area["name"] for area in await hass.call("config/area_registry/list")}
        assert device["name"] == "Water" and areas.get(device["area_id"]) == "Cellar", device
        ids = {kind: entities[key]["entity_id"] for kind, key in sensors.items()}
        sources = [
            grid(ids["grid"]),
            {"type": "water", "stat_energy_from": ids["water"], "stat_cost": None, "entity_energy_price": None,
             "number_energy_price": None},
        ]
        await validated(hass, sources)
        say(f"energy dashboard: saved after {time.monotonic() - begun:.0f} s; waiting for its first statistics")

        async def are_compiled():
            return len(await hass.sums(list(ids.values()))) == 2
        await hass.until("statistics of both", are_compiled, 400)
        issues = await validated(hass, sources)
        assert not issues, issues
        say(f"energy dashboard: {sorted(ids)}, no issue")
    await test.stop_metertap("home")
    shutil.rmtree(folder)
