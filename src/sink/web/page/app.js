// Looks at the API every two seconds. Everything heard is text, and is only ever put into the page as such.
"use strict";

const PERIOD_MS = 2000;
const MOST_POINTS = 240;

const element = (id) => document.getElementById(id);
const points = new Map(); // "id type" -> [{at, value, power}]
const first = new Map(); // "id type" -> the value first seen
let next = 0;
let meters = [];
let sort = { key: "times", down: true };

async function ask(path) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers });
  element("login").hidden = answer.status !== 401;
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function make(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

// The counter of a reading: its value, its unit.
function counter(reading) {
  const fields = Object.entries(reading?.reading ?? {});
  const isCounter = ([name, field]) =>
    field && typeof field.value === "number" &&
    (name === "count" || /^(kWh|MWh|Wh|GJ|MJ|m3|m³|gal|ft³|L|l|CCF|MCF)$/.test(field.unit ?? ""));
  const found = fields.find(isCounter);
  return found && { value: found[1].value, unit: (found[1].unit ?? "").replace("m3", "m³") };
}

// What is used at the moment, where the meter says so.
function power(reading) {
  const field = reading?.reading?.power_import;
  const back = reading?.reading?.power_export;
  if (!field) return undefined;
  return { value: field.value - (back?.value ?? 0), unit: field.unit };
}

const shown = (number) => number.toLocaleString("en", { maximumFractionDigits: 3 });

function ago(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

function remember(reading) {
  const key = `${reading.id} ${(reading.type ?? reading.Type ?? "").toLowerCase().replace("+", "plus")}`;
  const told = counter(reading);
  if (!told) return;
  const list = points.get(key) ?? [];
  // A meter's clock may stand still; ours does not.
  const at = Date.parse(reading.received ?? reading.time ?? reading.Time);
  list.push({ at, value: told.value, power: power(reading)?.value });
  if (list.length > MOST_POINTS) list.shift();
  points.set(key, list);
}

// The power that the meter tells, or what was used an hour, between one reading and the next; a counter that has
// fallen begins anew.
function rates(key) {
  const list = points.get(key) ?? [];
  if (list.some((point) => point.power !== undefined)) {
    return list.map((point) => point.power).filter((power) => power !== undefined);
  }
  const rates = [];
  for (let i = 1; i < list.length; i++) {
    const hours = (list[i].at - list[i - 1].at) / 3600000;
    const used = list[i].value - list[i - 1].value;
    if (hours > 0 && used >= 0) rates.push(used / hours);
  }
  return rates;
}

function chart(values) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const least = Math.min(...values, 0);
  const span = Math.max(...values, 1e-9) - least;
  const at = (value, i) => `${(100 * i) / Math.max(1, values.length - 1)},${29 - (28 * (value - least)) / span}`;
  line.setAttribute("points", values.map(at).join(" "));
  svg.append(line);
  return svg;
}

function card(meter) {
  const made = make("article", undefined, "card");
  made.append(make("h3", meter.name));
  const [now, total] = [power(meter.last), counter(meter.last)];
  const value = now ?? total;
  if (value) made.append(make("p", `${shown(value.value)} ${value.unit}`, "value"));
  if (now && total) made.append(make("p", `${shown(total.value)} ${total.unit}`, "faint"));
  const values = rates(`${meter.id} ${meter.type}`);
  if (values.length > 1) {
    made.append(chart(values));
    if (total && !now) made.append(make("p", `${shown(values.at(-1))} ${total.unit}/h`, "faint"));
  }
  const signal = meter.snr_db === undefined ? "" : `, ${meter.snr_db} dB`;
  made.append(make("p", `${meter.id} · ${meter.type} · ${ago(meter.last_seen)}${signal}`, "faint"));
  return made;
}

function row(meter) {
  const made = make("tr", undefined, meter.mine ? "mine" : "");
  const mhz = meter.frequency_hz === undefined ? "" : `${(meter.frequency_hz / 1e6).toFixed(3)} MHz`;
  const cells = [
    meter.id,
    meter.type,
    meter.commodity,
    meter.value === undefined ? "" : shown(meter.value),
    meter.change ? `+${shown(meter.change)}` : "",
    meter.times,
    meter.snr_db === undefined ? "" : `${meter.snr_db.toFixed(1)} dB`,
    mhz,
    meter.heard_by,
  ];
  made.append(...cells.map((cell) => make("td", cell)));
  return made;
}

function draw() {
  const wanted = element("filter").value.trim().toLowerCase();
  const fits = (meter) => `${meter.id} ${meter.type} ${meter.name} ${meter.commodity}`.toLowerCase().includes(wanted);
  const order = (a, b) => {
    const [x, y] = [a[sort.key] ?? -Infinity, b[sort.key] ?? -Infinity];
    const difference = typeof x === "string" ? String(x).localeCompare(String(y), "en", { numeric: true }) : x - y;
    return sort.down ? -difference : difference;
  };
  const rows = meters.filter(fits).sort(order).map(row);
  element("meters").tBodies[0].replaceChildren(...rows);
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.setAttribute("aria-pressed", String(button.dataset.sort === sort.key));
  }
  const mine = meters.filter((meter) => meter.mine);
  const none = make("p", "No meter of yours was heard yet.", "faint");
  element("cards").replaceChildren(...(mine.length ? mine.map(card) : [none]));
}

function list(id, items) {
  element(id).replaceChildren(...items.map(([text, isWell]) => make("li", text, isWell ? "" : "bad")));
}

async function look() {
  try {
    let page;
    do {
      page = await ask(`/api/readings?since=${next}`);
      page.readings.forEach(remember);
      next = page.next;
    } while (page.readings.length === 500);
    meters = (await ask("/api/meters")).meters;
    for (const meter of meters) {
      const [key, told] = [`${meter.id} ${meter.type}`, counter(meter.last)];
      if (!told) continue;
      if (!first.has(key)) first.set(key, told.value);
      meter.value = told.value;
      meter.change = told.value - first.get(key);
    }
    const status = await ask("/api/status");
    list("receivers", Object.values(status.receivers).map((one) => {
      const reason = one.reason ? `: ${one.reason}` : "";
      return [`${one.receiver} ${one.state} since ${ago(one.since)}${reason}`, one.state === "up" || one.state === "starting"];
    }));
    list("sinks", status.sinks.map((one) => {
      const trouble = one.trouble ? `: ${one.trouble}` : "";
      return [`${one.name}: ${one.delivered} delivered, ${one.waiting} waiting, ${one.lost} lost${trouble}`, !one.trouble];
    }));
    draw();
    say("live", "good");
  } catch (error) {
    say(`not connected (${error.message})`, "bad");
  }
  setTimeout(look, PERIOD_MS);
}

function say(text, name) {
  element("connection").textContent = text;
  element("connection").className = name;
}

for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => {
    const key = button.dataset.sort;
    sort = { key, down: sort.key === key ? !sort.down : true };
    draw();
  });
}
element("filter").addEventListener("input", draw);
element("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", element("token").value);
});
look();
