// Configured and wired meters, each with its value and usage; and the outputs.

import { ask } from "./connection.js";
import { ago, amount, element, make, masked } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const HISTORY_MS = 60000;
const HOURS = 24;

const histories = new Map(); // id -> {asked, steps, days}

// Usage of the last days, requested once a minute.
function history(id) {
  const known = histories.get(id) ?? { asked: 0 };
  if (Date.now() - known.asked > HISTORY_MS) {
    histories.set(id, { ...known, asked: Date.now() });
    const path = `api/meters/${encodeURIComponent(id)}/history`;
    Promise.all([ask(path), ask(`${path}?by=days`)])
      .then(([steps, days]) => histories.set(id, { asked: Date.now(), steps: steps.types, days: days.types }))
      // Nothing was counted yet: request it again sooner.
      .catch(() => histories.set(id, { asked: Date.now() - HISTORY_MS + 5000 }));
  }
  return known;
}

// History of the counter that is the meter's value.
const counter = (types, meter) => {
  const counters = Object.entries(types?.[meter.type] ?? {});
  return (counters.find(([name]) => /^(total|count|energy_import_total)$/.test(name)) ?? counters[0])?.[1];
};

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// Chart of the usage per hour.
function chart(points, unit) {
  const end = Date.now() / 1000;
  const begin = Math.max(end - HOURS * 3600, points[0][0]);
  const least = Math.min(0, ...points.map(([, rate]) => rate));
  const most = Math.max(...points.map(([, rate]) => rate), least + 1e-9);
  const x = (at) => (100 * (at - begin)) / Math.max(1, end - begin);
  const y = (rate) => 29 - (28 * (rate - least)) / (most - least);
  // Each point holds until the next one begins, for an hour at most.
  const until = (at, i) => x(Math.min(points[i + 1]?.[0] ?? end, at + 3600));
  const line = points
    .map(([at, rate], i) => `${Math.max(0, x(at))},${y(rate)} ${Math.max(0, until(at, i))},${y(rate)}`)
    .join(" ");
  const svg = shape("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img" });
  const hours = Math.max(1, Math.round((end - begin) / 3600));
  svg.setAttribute("aria-label", `at most ${amount(most, unit)} in the last ${hours} h`);
  const last = until(points.at(-1)[0], points.length - 1);
  const area = `${Math.max(0, x(points[0][0]))},${y(0)} ${line} ${last},${y(0)}`;
  svg.append(shape("polygon", { points: area }), shape("polyline", { points: line }));
  return svg;
}

// Present power according to the meter itself.
function power(meter) {
  const fields = meter.last?.reading ?? {};
  const apparent = [fields.apparent_power_import, fields.apparent_power_export];
  const [used, back] = fields.power_net
    ? [fields.power_net]
    : [fields.power_import ?? fields.power ?? apparent[0], fields.power_export ?? (fields.power_import ? undefined : apparent[1])];
  return used && { value: used.value - (back?.value ?? 0), unit: used.unit };
}

function card(meter) {
  const made = make("article", undefined, "card");
  made.dataset.meter = `${meter.id} ${meter.type}`;
  made.append(make("h3", meter.name === meter.id ? masked(meter.id) : meter.name));
  if (meter.value !== undefined) made.append(make("p", amount(meter.value, meter.unit), "value"));
  const { steps, days } = history(meter.id);
  const [rates, uses] = [counter(steps, meter), counter(days, meter)];
  const now = power(meter) ?? (meter.rate === undefined ? undefined : { value: meter.rate, unit: meter.rate_unit });
  const words = [];
  if (now) words.push(`now ${amount(now.value, now.unit)}`);
  const today = uses?.points.at(-1);
  if (today && today[0] > Date.now() / 1000 - 86400) words.push(`today ${amount(today[1], uses.unit)}`);
  if (words.length) made.append(make("p", words.join(" · "), "rate"));
  if (rates?.points.length) made.append(chart(rates.points, rates.unit));
  const margin = meter.margin_db === undefined ? "" : `, expected, ${meter.margin_db.toFixed(1)} dB to spare`;
  const signal = meter.snr_db === undefined ? "" : ` · ${meter.snr_db.toFixed(1)} dB${margin}`;
  made.append(make("p", `${masked(meter.id)} · ${meter.type} · ${ago(meter.last_seen)}${signal}`, "faint"));
  return made;
}

export function drawCards(meters) {
  const mine = meters.filter((meter) => meter.mine);
  if (mine.length) element("cards").replaceChildren(...mine.map(card));
}

export function drawSinks(sinks) {
  const line = (one) => {
    const trouble = one.trouble ? `: ${one.trouble}` : "";
    const text = `${one.name}: ${one.delivered} delivered, ${one.waiting} waiting, ${one.lost} lost${trouble}`;
    return make("li", text, one.trouble ? "bad" : "");
  };
  element("sinks").replaceChildren(...sinks.map(line));
  const hint = sinks.map((one) => one.hint).find(Boolean);
  element("hint").textContent = hint ?? "";
  element("hint").hidden = !hint;
}
