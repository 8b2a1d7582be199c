// Helpers for elements, and for writing numbers, times and ids.

export const element = (id) => document.getElementById(id);

export function make(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

export const shown = (number) => number.toLocaleString("en", { maximumFractionDigits: 3 });

// A value with its unit, without trailing zeros.
export const amount = (value, unit) => `${shown(value)} ${unit}`.trim();

export function ago(time) {
  const seconds = Math.max(0, (Date.now() - Date.parse(time)) / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

const isMasked = () => element("mask").checked;

// The id, or its last two digits while ids are hidden.
export const masked = (id) => (isMasked() ? `…${id.slice(-2)}` : id);

// The text, with its long numbers shortened while ids are hidden: they may be ids, unless they have a decimal point.
export const maskedText = (text) =>
  isMasked() ? text.replace(/(?<![\d.])[0-9A-Fa-f]*\d[0-9A-Fa-f]{5,}(?![\d.])/g, (id) => `…${id.slice(-2)}`) : text;

// States of keys by which a meter's telegrams can be read: nothing to show.
const READABLE = ["plain", "decrypted", "default_key", "decrypted_before"];

// What keeps telegrams of configured meters from being read: id and state, such as "no key".
export function keyStates(receiver) {
  const states = Object.entries(receiver?.keys ?? {}).filter(([, state]) => !READABLE.includes(state));
  return states.map(([id, state]) => `${masked(id)}: ${state.replaceAll("_", " ")}`);
}
