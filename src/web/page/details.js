// Details of one meter, at #meter/<id>: history, all fields, last telegram, reception, refused readings.

import { mhz } from "./air.js";
import { power } from "./cards.js";
import { ask } from "./connection.js";
import { openEdit } from "./edit.js";
import { age, freshness } from "./freshness.js";
import { historyPanel } from "./history.js";
import { ago, clockTime, duration, number, t, time, word } from "./language.js";
import { title } from "./problems.js";
import { partList } from "./decoder.js";
import { hexLines, raw, written } from "./wires.js";
import { amount, element, make, masked, maskedText, setText, shape } from "./words.js";

const REFRESH_MS = 15000;

let shown; // {id, panel, parts, asked, meter}

const wanted = () => (location.hash.startsWith("#meter/") ? decodeURIComponent(location.hash.slice(7)) : undefined);

export function startDetails(draw) {
  const show = () => {
    const id = wanted();
    element("home").hidden = id !== undefined;
    element("details").hidden = id === undefined;
    if (id === undefined) {
      if (shown) {
        element("details").replaceChildren();
        shown = undefined;
        draw();
        // The part that was asked for was hidden until now.
        document.getElementById(location.hash.slice(1))?.scrollIntoView();
      }
      return;
    }
    build(id);
    scrollTo(0, 0);
    element("details").querySelector("h2").focus();
    draw();
  };
  addEventListener("hashchange", show);
  show();
}

function build(id) {
  const parts = {
    heading: make("h2"),
    state: make("p", "", "state"),
    now: make("p", "", "value"),
    facts: make("dl", undefined, "facts"),
    reception: make("div"),
    fields: make("table", undefined, "fields"),
    message: make("pre"),
    raw: make("pre"),
    parts: make("div"),
    refused: make("ul"),
  };
  parts.heading.tabIndex = -1;
  const panel = historyPanel(id);
  const back = make("a", t("back"));
  back.href = "#now";
  const edit = make("button", t("edit"), "edit");
  edit.type = "button";
  edit.addEventListener("click", () => shown.meters.length && openEdit(shown.meters[0]));
  const tools = make("div", undefined, "tools");
  tools.append(back, edit);
  const section = (key, ...content) => {
    const made = make("section");
    made.append(make("h3", t(key)), ...content);
    return made;
  };
  const box = make("div", undefined, "wide");
  box.append(parts.fields);
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", t("fields"));
  const received = make("details");
  received.append(make("summary", t("lastTelegram")), parts.raw, parts.parts);
  const decoded = make("details");
  decoded.append(make("summary", t("lastDecoded")), parts.message);
  element("details").replaceChildren(
    tools, parts.heading, parts.state, parts.now, panel.all,
    section("fields", box),
    section("reception", parts.facts, parts.reception),
    section("telegram", decoded, received),
    section("refused", parts.refused),
  );
  shown = { id, panel, parts, asked: 0, meters: [] };
}

async function refresh(of) {
  of.asked = Date.now();
  try {
    of.answer = await ask(`api/meters/${encodeURIComponent(of.id)}`);
  } catch (error) {
    of.answer = undefined;
  }
  drawAnswer(of);
}

// Members of a reading, with those of objects inside as `a.b`.
function rows(meter, codes) {
  const line = (name, value) => {
    const made = make("tr");
    made.append(
      Object.assign(make("th", name), { scope: "row" }),
      make("td", maskedText(value !== null && typeof value === "object" && "value" in value ? (typeof value.value === "number" ? number(value.value, 6) : String(value.value)) : written(value))),
      make("td", value?.unit ?? ""),
      make("td", (codes[name] ?? []).join(" ")),
    );
    return made;
  };
  const reading = meter.last?.reading ?? {};
  const unknown = meter.last?.unknown ?? {};
  return [...Object.entries(reading), ...Object.entries(unknown)].map(([name, value]) => line(name, value));
}

function drawAnswer(of) {
  const { parts, answer } = of;
  if (!answer) return;
  const head = make("tr");
  head.append(...["field", "fieldValue", "unit", "code"].map((key) => Object.assign(make("th", t(key)), { scope: "col" })));
  const [top, body] = [make("thead"), make("tbody")];
  top.append(head);
  body.append(...answer.types.flatMap((meter) => rows(meter, answer.codes)));
  parts.fields.replaceChildren(top, body);
  parts.message.textContent = maskedText(answer.types.map((meter) => JSON.stringify(meter.last, null, 2)).join("\n"));
  const refused = answer.refused.map((one) => make("li", t("refusedReason", { count: one.count, number: number(one.count), reason: one.reason })));
  parts.refused.replaceChildren(...(refused.length ? refused : [make("li", t("noneRefused"), "faint")]));
  parts.reception.replaceChildren(...answer.reception.map(receptionChart));
  of.telegrams = answer.telegrams;
  // Each record with its bytes: DIF, VIF and value.
  const explained = of.telegrams.flatMap(({ parts }) => parts);
  parts.parts.replaceChildren(...(explained.length ? [partList(explained)] : []));
}

// Receptions in each hour of the last two days, and their mean signal.
function receptionChart({ type, hours }) {
  const [w, h] = [48 * 12, 90];
  const svg = shape("svg", { viewBox: `0 0 ${w} ${h + 16}`, role: "img", class: "reception" });
  const end = hours.at(-1).begin + 3600;
  const most = Math.max(...hours.map((hour) => hour.count));
  const signals = hours.filter((hour) => hour.snr_db !== undefined);
  const best = Math.max(10, ...signals.map((hour) => hour.snr_db));
  const x = (hour) => w - ((end - hour.begin) / 3600) * 12;
  svg.append(shape("line", { x1: 0, x2: w, y1: h, y2: h }));
  for (let begin = end - 48 * 3600; begin < end; begin += 3600) {
    if (new Date(begin * 1000).getHours() % 12 !== 0 || x({ begin }) > w - 36) continue;
    svg.append(shape("line", { x1: x({ begin }), x2: x({ begin }), y1: h, y2: h + 4 }));
    svg.append(shape("text", { x: x({ begin }) + 3, y: h + 13 }, time(begin * 1000, { weekday: "short", hour: "2-digit", minute: "2-digit" })));
  }
  for (const hour of hours) {
    const tall = (hour.count / most) * (h - 10);
    svg.append(shape("rect", { x: x(hour) + 1, y: h - tall, width: 10, height: tall }));
  }
  const points = signals.map((hour) => `${x(hour) + 6},${h - (hour.snr_db / best) * (h - 10)}`).join(" ");
  svg.append(shape("polyline", { points }));
  const least = Math.min(...signals.map((hour) => hour.snr_db));
  const strongest = Math.max(...signals.map((hour) => hour.snr_db));
  const range = signals.length ? t("signalRange", { least: number(least, 1), most: number(strongest, 1) }) : "";
  const caption = [type, t("mostInAnHour", { count: most, number: number(most) }), range].filter(Boolean).join(" · ");
  svg.setAttribute("aria-label", caption);
  const figure = make("figure");
  figure.append(svg, make("figcaption", caption, "faint"));
  return figure;
}

function facts(meter) {
  const list = [
    ["id", masked(meter.id)],
    ["type", meter.type],
    ["commodity", word("commodity", meter.commodity)],
    ["source", [meter.heard_by, ...(meter.also_heard_by ?? [])].join(", ")],
    ["lastReading", `${ago(age(meter.last_seen))}, ${clockTime(new Date(meter.last_seen))}`],
    ["readings", number(meter.times)],
    ["interval", meter.interval_s === undefined ? t("notLearned") : duration(meter.interval_s)],
    ["silentAfter", meter.silent_after_s === undefined ? t("notLearned") : duration(meter.silent_after_s)],
    ["signal", meter.snr_db === undefined ? undefined : `${number(meter.snr_db, 1)} dB`],
    ["frequency", meter.frequency_hz === undefined ? undefined : mhz(meter.frequency_hz)],
  ];
  return list.filter(([, text]) => text !== undefined).flatMap(([key, text]) => [["dt", t(key)], ["dd", text]]);
}

export function drawDetails(known) {
  if (!shown) return;
  const { id, parts } = shown;
  const meters = [...known.meters.values()].filter((meter) => meter.id === id);
  shown.meters = meters;
  if (!meters.length) {
    const missing = known.missing.find((meter) => meter.id === id);
    setText(parts.heading, missing ? title(missing) : masked(id));
    setText(parts.state, t("neverHeard"));
    shown.panel.tick();
    return;
  }
  const meter = meters[0];
  const state = freshness(meter);
  setText(parts.heading, title(meter));
  setText(parts.state, state === "silent" ? t("silentFor", { time: duration(age(meter.last_seen)) }) : ago(age(meter.last_seen)));
  parts.state.className = state === "silent" ? "state bad" : "state faint";
  const present = power(meter);
  const value = meter.value === undefined ? "" : amount(meter.value, meter.unit);
  setText(parts.now, [value, present && state === "fresh" ? t("now", { amount: amount(present.value, present.unit) }) : ""].filter(Boolean).join(" · "));
  const edit = element("details").querySelector(".edit");
  setText(edit, t(meter.configured ? "edit" : "addMeter"));
  const list = meters.flatMap(facts);
  // What has not changed stays, and with it a selection.
  if (parts.facts.children.length !== list.length) parts.facts.replaceChildren(...list.map(([tag]) => make(tag)));
  list.forEach(([, text], i) => setText(parts.facts.children[i], text));
  const telegram = known.telegrams[meter.heard_by];
  const byRadio = shown.telegrams?.filter(({ bytes }) => bytes).map(({ type, bytes }) => `${type}\n${hexLines(bytes)}`).join("\n\n");
  setText(parts.raw, byRadio || (telegram ? maskedText(raw(telegram)) : t("noTelegram")));
  shown.panel.tick();
  if (Date.now() - shown.asked > REFRESH_MS) refresh(shown);
}
