// Helpers for elements, amounts and ids.

import { number, word } from "./language.js";

export const element = (id) => document.getElementById(id);

export function make(tag, text, name) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  return made;
}

// Sets a text only if it differs: a selection in it stays, and nothing is read out again.
export function setText(of, text) {
  if (of.textContent !== text) of.textContent = text;
}

const SVG = "http://www.w3.org/2000/svg";

export function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// A value with its unit, without trailing zeros.
export const amount = (value, unit) => `${number(value)} ${unit}`.trim();

export const isMasked = () => element("mask").checked;

// The id, or its last two digits while ids are hidden: long ones, and short ones with a digit.
export const masked = (id) => (isMasked() && /\d/.test(id) ? `…${id.slice(-2)}` : id);

// The text, with its long numbers shortened while ids are hidden: they may be ids, unless they have a decimal point.
export const maskedText = (text) =>
  isMasked() ? text.replace(/(?<![\d.])[0-9A-Fa-f]*\d[0-9A-Fa-f]{5,}(?![\d.])/g, (id) => `…${id.slice(-2)}`) : text;

// States of keys by which a meter's telegrams can be read: nothing to show.
const READABLE = ["plain", "decrypted", "default_key", "decrypted_before"];

// What keeps telegrams of configured meters from being read: id and state, such as "no key".
export function keyStates(receiver) {
  const states = Object.entries(receiver?.keys ?? {}).filter(([, state]) => !READABLE.includes(state));
  return states.map(([id, state]) => `${masked(id)}: ${word("key", state)}`);
}
