"""Broker, Home Assistant and metertaps of the test."""

import asyncio
import signal
import socket
import time

import home


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

    async def start_metertap(self, config, name="metertap", host=None):
        """Starts it, on a machine called `host` if there is one."""
        file = self.folder / f"{name}.toml"
        file.write_text(config)
        with open(self.folder / f"{name}.log", "ab") as log:
            command = (self.metertap, "-v", "run", "--config", file)
            if host:
                rename = f'echo {host} > /proc/sys/kernel/hostname && exec "$0" "$@"'
                command = ("unshare", "--uts", "sh", "-c", rename, *command)
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


def entity(entities, unique_id):
    assert unique_id in entities, f"no {unique_id} among {sorted(entities)}"
    return entities[unique_id]


def grid(energy_from, energy_to=None):
    """A source of the energy dashboard."""
    return {"type": "grid", "stat_energy_from": energy_from, "stat_energy_to": energy_to, "stat_cost": None, "entity_energy_price": None,
            "number_energy_price": None, "stat_compensation": None, "entity_energy_price_export": None,
            "number_energy_price_export": None, "cost_adjustment_day": 0}


async def validated(hass, sources):
    """Saves sources of the energy dashboard; returns what it finds wrong with them."""
    await hass.call("energy/save_prefs", energy_sources=sources, device_consumption=[])
    found = await hass.call("energy/validate")
    return [issue for one in found["energy_sources"] for issue in one]


async def publish(hass, topic, payload):
    """Publishes a retained message by Home Assistant's own service."""
    data = {"topic": topic, "payload": payload, "retain": True}
    await hass.call("call_service", domain="mqtt", service="publish", service_data=data)
