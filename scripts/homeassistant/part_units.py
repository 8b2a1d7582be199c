"""`metertap check` and Home Assistant accept the same units."""

import subprocess

from rig import mqtt, say


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
