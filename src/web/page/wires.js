// Ports: state, counters, and the last telegram as received and as decoded.

import { age, isConnected } from "./freshness.js";
import { duration, number, t, word } from "./language.js";
import { element, isMasked, keyStates, make, maskedText, setText } from "./words.js";

const panels = new Map(); // port -> elements

function panel(name) {
  let made = panels.get(name);
  if (made) return made;
  const all = make("article", undefined, "card port");
  all.dataset.port = name;
  const parts = ["state", "counts", "fields", "raw"].map((part) => make(part === "raw" ? "pre" : "div", "", part));
  const details = make("details");
  details.append(make("summary", t("lastTelegram")), parts[3]);
  all.append(make("h3", name), parts[0], parts[1], parts[2], details);
  element("ports").querySelector(":scope > p")?.remove();
  element("ports").append(all);
  made = { all, state: parts[0], counts: parts[1], fields: parts[2], raw: parts[3] };
  panels.set(name, made);
  return made;
}

// State of a receiver or port in words; unknown while there is no daemon to ask.
export function drawState(of, one) {
  const reason = one.reason ? `: ${one.reason}` : "";
  const state = isConnected() ? t("stateSince", { state: word("state", one.state), time: duration(age(one.since)) }) : t("stateUnknown");
  setText(of, `${state}${reason}${one.device ? ` · ${one.device}` : ""}`);
  const isWell = one.state === "up" && isConnected();
  of.className = isWell ? "state good" : one.state === "starting" || !isConnected() ? "state" : "state bad";
}

// The telegram as text if it is text, otherwise as hex, sixteen bytes per line.
export function raw(telegram) {
  const bytes = Uint8Array.from(atob(telegram.bytes), (letter) => letter.charCodeAt(0));
  // TIC and IEC 62056-21 frame their lines with control characters from 2 to 6.
  const isText = (byte) => (byte >= 2 && byte <= 6) || byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte < 127);
  if (bytes.every(isText)) {
    return new TextDecoder().decode(bytes).replace(/[\x02-\x06\r]/g, "");
  }
  return hexLines(Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(""));
}

// Hexadecimal digits, sixteen bytes a line. An id may stand in them in any order: hidden with the ids.
export function hexLines(digits) {
  if (isMasked()) return t("hiddenBytes", { count: digits.length / 2 });
  return digits.toLowerCase().replace(/(..)(?=.)/g, "$1 ").replace(/(.{47}) /g, "$1\n");
}

export const written = (value) =>
  value !== null && typeof value === "object" && "value" in value
    ? `${value.value} ${value.unit ?? ""}`
    : typeof value === "object" ? JSON.stringify(value) : String(value);

function fields(meters) {
  return meters.flatMap((meter) => {
    const list = make("dl");
    for (const [name, value] of Object.entries(meter.last?.reading ?? {})) {
      const text = written(value);
      if (text !== "" && text !== "[]") list.append(make("dt", name), make("dd", maskedText(text)));
    }
    const [box, title] = [make("details"), make("summary", maskedText(t("decodedAs", { name: meter.name, type: meter.type })))];
    box.dataset.meter = `${meter.id} ${meter.type}`;
    box.append(title, list);
    return [box];
  });
}

export function drawWires(receivers, telegrams, meters) {
  const ports = Object.values(receivers).filter((one) => one.reports !== undefined);
  for (const [name, made] of panels) {
    if (!(name in receivers)) {
      made.all.remove();
      panels.delete(name);
    }
  }
  for (const one of ports) {
    const made = panel(one.receiver);
    drawState(made.state, one);
    const troubles = Object.entries(one.troubles).map(([kind, count]) => `${number(count)} ${kind}`);
    const counts = [t("reports", { count: one.reports, number: number(one.reports) }), ...troubles, ...keyStates(one), t("opened", { count: one.opened, number: number(one.opened) })];
    setText(made.counts, counts.join(" · "));
    const telegram = telegrams[one.receiver];
    const state = `${telegram?.at} ${element("mask").checked}`;
    if (made.drawn === state) continue;
    made.drawn = state;
    made.raw.textContent = telegram ? maskedText(raw(telegram)) : "";
    const open = new Set([...made.fields.querySelectorAll("details[open]")].map((box) => box.dataset.meter));
    made.fields.replaceChildren(...fields(meters.filter((meter) => meter.heard_by === one.receiver)));
    for (const box of made.fields.children) box.open = open.has(box.dataset.meter);
  }
}
