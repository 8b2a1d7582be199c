"""Home Assistant of the test: started, set up as a person would by its flows, and asked over its WebSocket."""

import asyncio
import json
import os
import pathlib
import secrets

import aiohttp

CONFIGURATION = """
homeassistant:
  name: Test
  unit_system: metric
  time_zone: Europe/Vienna
  currency: EUR
  country: AT
  latitude: 48.2
  longitude: 16.4
  elevation: 180
api:
config:
recorder:
  commit_interval: 1
history:
energy:
sensor:
logger:
  default: warning
"""


class HomeAssistant:
    def __init__(self, folder: pathlib.Path, port: int):
        self.folder, self.port = folder, port
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "stderr.log"
        self.process = None
        self.token = None
        folder.mkdir(parents=True)
        (folder / "configuration.yaml").write_text(CONFIGURATION)
        # Since 2026 the address is not read from the configuration file.
        storage = folder / ".storage"
        storage.mkdir()
        stable = {
            "server_port": port, "server_host": ["127.0.0.1"], "cors_allowed_origins": [], "login_attempts_threshold": -1,
            "ip_ban_enabled": True, "ssl_profile": "intermediate_v6", "use_x_frame_options": True,
            "created_at": "2026-01-01T00:00:00+00:00", "error": None, "error_message": None,
        }
        http = {"version": 3, "minor_version": 1, "key": "http",
                "data": {"stable": stable, "pending": None, "yaml_migration_done": True}}
        (storage / "http").write_text(json.dumps(http))

    async def start(self):
        """Starts it and waits until it is up, MQTT included."""
        hass = pathlib.Path(os.sys.executable).parent / "hass"
        with open(self.log, "ab") as log:
            self.process = await asyncio.create_subprocess_exec(hass, "-c", self.folder, stdout=log, stderr=log)
        for _ in range(1200):
            assert self.process.returncode is None, f"Home Assistant has ended: see {self.log}"
            try:
                async with aiohttp.ClientSession() as session, session.get(self.url + "/api/onboarding"):
                    break
            except aiohttp.ClientError:
                await asyncio.sleep(0.5)
        if self.token:
            async with self.connect() as socket:
                await socket.until("the start", lambda: socket.is_running())

    async def stop(self):
        self.process.terminate()
        await self.process.wait()

    async def set_up(self, broker: int):
        """Makes the owner, and adds MQTT by its own flow."""
        async with aiohttp.ClientSession() as session:
            owner = {"client_id": self.url + "/", "name": "Owner", "username": "owner",
                     "password": secrets.token_hex(8), "language": "en"}
            async with session.post(self.url + "/api/onboarding/users", json=owner) as answer:
                code = (await answer.json())["auth_code"]
            grant = {"client_id": self.url + "/", "grant_type": "authorization_code", "code": code}
            async with session.post(self.url + "/auth/token", data=grant) as answer:
                self.token = (await answer.json())["access_token"]
        async with self.connect() as socket:
            long_lived = await socket.call("auth/long_lived_access_token", client_name="test", lifespan=30)
        self.token = long_lived
        headers = {"Authorization": "Bearer " + self.token}
        async with aiohttp.ClientSession(headers=headers) as session:
            flows = self.url + "/api/config/config_entries/flow"
            async with session.post(flows, json={"handler": "mqtt"}) as answer:
                flow = await answer.json()
            form = {"broker": "127.0.0.1", "port": broker, "protocol": "5",
                    "other_settings": {"set_ca_cert": "off", "set_client_cert": False, "transport": "tcp"}}
            async with session.post(f"{flows}/{flow['flow_id']}", json=form) as answer:
                flow = await answer.json()
            assert flow.get("type") == "create_entry", flow
        # Stopped earlier, it would leave its database unclean.
        async with self.connect() as socket:
            await socket.until("the start", lambda: socket.is_running())

    def connect(self):
        return Socket(self.url, self.token)

    def complaints(self):
        """Lines of the log about MQTT, templates or sensors that nobody wants to see."""
        lines = self.log.read_text(errors="replace").splitlines()
        topics = ("mqtt", "template", "sensor", "recorder", "energy")
        return [line for line in lines
                if any(level in line for level in (" WARNING ", " ERROR ")) and any(topic in line for topic in topics)]


class Socket:
    """WebSocket of Home Assistant."""

    def __init__(self, url, token):
        self.url, self.token, self.number = url, token, 0

    async def __aenter__(self):
        self.session = aiohttp.ClientSession()
        self.socket = await self.session.ws_connect(self.url + "/api/websocket", max_msg_size=0)
        await self.socket.receive_json()
        await self.socket.send_json({"type": "auth", "access_token": self.token})
        answer = await self.socket.receive_json()
        assert answer["type"] == "auth_ok", answer
        return self

    async def __aexit__(self, *_):
        await self.socket.close()
        await self.session.close()

    async def call(self, kind, **more):
        self.number += 1
        await self.socket.send_json({"id": self.number, "type": kind, **more})
        while True:
            answer = await self.socket.receive_json()
            if answer.get("id") == self.number and answer["type"] == "result":
                assert answer["success"], (kind, answer["error"])
                return answer["result"]

    async def is_running(self):
        return (await self.call("get_config"))["state"] == "RUNNING"

    async def until(self, what, is_true, seconds=60):
        """Waits until the coroutine returns something true, and returns it."""
        for _ in range(seconds * 5):
            result = await is_true()
            if result:
                return result
            await asyncio.sleep(0.2)
        raise AssertionError(f"no {what} within {seconds} s")

    async def entities(self):
        """Entities of metertap with their state and device, by unique id."""
        devices = {device["id"]: device for device in await self.call("config/device_registry/list")}
        states = {state["entity_id"]: state for state in await self.call("get_states")}
        entities = {}
        for entity in await self.call("config/entity_registry/list"):
            if entity["platform"] == "mqtt":
                state = states.get(entity["entity_id"], {})
                entities[entity["unique_id"]] = {
                    **entity,
                    "device": devices.get(entity["device_id"]),
                    "state": state.get("state"),
                    "attributes": state.get("attributes", {}),
                }
        return entities

    async def sums(self, ids):
        """Rise of the sum of each statistic over all five-minute statistics, in its own unit."""
        rows = await self.call("recorder/statistics_during_period", start_time="2026-01-01T00:00:00Z", period="5minute",
                               statistic_ids=ids, types=["sum"])
        return {key: (len(row), row[-1]["sum"]) for key, row in rows.items() if row}
