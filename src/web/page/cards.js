// Configured and wired meters, each with its value and usage; and the outputs.

import { ask } from "./connection.js";
import { age, freshness, now } from "./freshness.js";
import { ago, duration, number, t, word } from "./language.js";
import { title } from "./problems.js";
import { amount, element, make, masked, setText, shape } from "./words.js";

const HISTORY_MS = 60000;
const HOURS = 24;

const histories = new Map(); // id -> {asked, steps, days}

// Usage of the last days, requested once a minute.
function history(id) {
  const known = histories.get(id) ?? { asked: 0 };
  if (Date.now() - known.asked > HISTORY_MS) {
    histories.set(id, { ...known, asked: Date.now() });
    const path = `api/meters/${encodeURIComponent(id)}/history`;
    const from = Math.floor(now() / 1000) - 3 * 86400;
    Promise.all([ask(path), ask(`${path}?by=days&from=${from}`)])
      .then(([steps, days]) => histories.set(id, { asked: Date.now(), steps: steps.types, days: days.types }))
      // Nothing was counted yet: request it again sooner.
      .catch(() => histories.set(id, { ...known, asked: Date.now() - HISTORY_MS + 5000 }));
  }
  return known;
}

// History of the counter that is the meter's value.
const counter = (types, meter) => {
  const counters = Object.entries(types?.[meter.type] ?? {});
  return (counters.find(([name]) => /^(total|count|energy_import_total)$/.test(name)) ?? counters[0])?.[1];
};

// Chart of the usage per hour over the last day.
function chart(points, unit) {
  const end = now() / 1000;
  const begin = end - HOURS * 3600;
  const least = Math.min(0, ...points.map(([, rate]) => rate));
  const most = Math.max(...points.map(([, rate]) => rate), least + 1e-9);
  const x = (at) => Math.max(0, (100 * (at - begin)) / (end - begin));
  const y = (rate) => 29 - (28 * (rate - least)) / (most - least);
  // Each point holds until the next one begins, for an hour at most.
  const until = (at, i) => x(Math.min(points[i + 1]?.[0] ?? end, at + 3600));
  const line = points.map(([at, rate], i) => `${x(at)},${y(rate)} ${until(at, i)},${y(rate)}`).join(" ");
  const svg = shape("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img" });
  svg.setAttribute("aria-label", t("atMost", { amount: amount(most, unit), hours: HOURS }));
  const last = until(points.at(-1)[0], points.length - 1);
  const area = `${x(points[0][0])},${y(0)} ${line} ${last},${y(0)}`;
  svg.append(shape("polygon", { points: area }), shape("polyline", { points: line }));
  const figure = make("div", undefined, "spark");
  const scale = make("p", undefined, "scale");
  scale.append(make("span", t("hoursAgo", { hours: HOURS })), make("span", t("upTo", { amount: amount(most, unit) })), make("span", t("rightNow")));
  figure.append(svg, scale);
  return figure;
}

// Present power according to the meter itself.
export function power(meter) {
  const fields = meter.last?.reading ?? {};
  const apparent = [fields.apparent_power_import, fields.apparent_power_export];
  const [used, back] = fields.power_net
    ? [fields.power_net]
    : [fields.power_import ?? fields.power ?? apparent[0], fields.power_export ?? (fields.power_import ? undefined : apparent[1])];
  return used && { value: used.value - (back?.value ?? 0), unit: used.unit };
}

const cards = new Map(); // "id type" -> elements; kept, so that a link is not replaced while it is pressed

// How far a packet that was received because it was expected stands above what would have been refused.
const margin = (meter) => (meter.margin_db === undefined ? "" : `, ${t("expectedMargin", { margin: number(meter.margin_db, 1) })}`);

function card(key, id) {
  let made = cards.get(key);
  if (made) return made;
  const all = make("article", undefined, "card");
  all.dataset.meter = key;
  made = {
    all,
    name: make("a"),
    value: make("p", "", "value"),
    rate: make("p", "", "rate"),
    chart: make("div"),
    state: make("p", "", "bad"),
    foot: make("p", "", "faint"),
  };
  made.name.href = `#meter/${encodeURIComponent(id)}`;
  const heading = make("h3");
  heading.append(made.name);
  all.append(heading, made.value, made.rate, made.chart, made.state, made.foot);
  cards.set(key, made);
  return made;
}

function drawCard(meter, receivers) {
  const made = card(`${meter.id} ${meter.type}`, meter.id);
  const state = freshness(meter);
  setText(made.name, title(meter));
  setText(made.value, meter.value === undefined ? "" : amount(meter.value, meter.unit));
  const { steps, days } = history(meter.id);
  const [rates, uses] = [counter(steps, meter), counter(days, meter)];
  const present = power(meter) ?? (meter.rate === undefined ? undefined : { value: meter.rate, unit: meter.rate_unit });
  const words = [];
  // Once it is old, it is no longer what is used now.
  if (present && state === "fresh") words.push(t("now", { amount: amount(present.value, present.unit) }));
  const today = uses?.points.at(-1);
  if (today && today[0] > now() / 1000 - 86400) {
    const cost = uses.cost?.at(-1);
    const values = { amount: amount(today[1], uses.unit), cost: `${number(cost ?? 0, 2, 2)} ${uses.currency ?? ""}`.trim() };
    words.push(t(cost === null || cost === undefined ? "today" : "todayCost", values));
  }
  setText(made.rate, words.join(" · "));
  if (rates !== made.drawn) {
    made.drawn = rates;
    made.chart.replaceChildren(...(rates?.points.length ? [chart(rates.points, rates.unit)] : []));
  }
  const source = receivers[meter.heard_by];
  const isDown = source && source.state !== "up" && source.state !== "starting";
  const silent = state === "silent" ? t("silentFor", { time: duration(age(meter.last_seen)) }) : "";
  setText(made.state, [silent, isDown ? t("sourceDown", { name: meter.heard_by, state: word("state", source.state) }) : ""].filter(Boolean).join(" · "));
  made.all.className = `card ${state}`;
  const signal = meter.snr_db === undefined ? "" : ` · ${number(meter.snr_db, 1)} dB${margin(meter)}`;
  setText(made.foot, `${masked(meter.id)} · ${meter.type} · ${ago(age(meter.last_seen))}${signal}`);
  return made.all;
}

function drawMissing(meter) {
  const made = card(`${meter.id} missing`, meter.id);
  setText(made.name, title(meter));
  setText(made.state, t("neverHeard"));
  made.all.className = "card silent";
  setText(made.foot, masked(meter.id));
  return made.all;
}

export function drawCards(meters, missing, receivers) {
  const mine = meters.filter((meter) => meter.mine).map((meter) => drawCard(meter, receivers));
  const drawn = [...mine, ...missing.map(drawMissing)];
  const box = element("cards");
  if (!drawn.length) {
    if (!box.querySelector(":scope > p")) box.replaceChildren(make("p", t("noMeter"), "faint"));
    return;
  }
  const isSame = drawn.length === box.children.length && drawn.every((one, i) => box.children[i] === one);
  if (!isSame) box.replaceChildren(...drawn);
}

export function drawSinks(sinks) {
  const line = (one) => {
    const trouble = one.trouble ? `: ${one.trouble}` : "";
    const counts = { name: one.name, delivered: number(one.delivered), waiting: number(one.waiting), lost: number(one.lost) };
    return make("li", `${t("sink", counts)}${trouble}`, one.trouble ? "bad" : "");
  };
  element("sinks").replaceChildren(...sinks.map(line));
  const hint = sinks.map((one) => one.hint).find(Boolean);
  element("hint").textContent = hint ?? "";
  element("hint").hidden = !hint;
}
