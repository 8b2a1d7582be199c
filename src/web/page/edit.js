// Dialog that adds a meter to the configuration, changes or removes it: shows what would be written, and writes it.

import { ask, send } from "./connection.js";
import { number, t, word } from "./language.js";
import { title } from "./problems.js";
import { amount, element, masked } from "./words.js";

const TEXTS = ["name", "unit", "area", "protocol", "key"];
const NUMBERS = ["scale", "digits"];
// Those that a new section may have.
const NEW = ["name", "unit", "scale"];
const UNITS = {
  electricity: ["kWh", "Wh", "MWh"],
  electric: ["kWh", "Wh", "MWh"],
  gas: ["m³", "ft³", "CCF", "MCF", "kWh"],
  water: ["m³", "L", "gal", "ft³", "CCF"],
  heat: ["kWh", "MWh", "MJ", "GJ"],
};

// Messages that have no unit, and those that are encrypted with a key of the meter.
const COUNTS = /^(scm|scmplus|idm|netidm|r900|r900bcd)$/;
const FOR_COUNTS = ["unit", "scale", "digits", "protocol"];
const isMeant = (name) => (COUNTS.test(meter.type) ? name !== "key" : !FOR_COUNTS.includes(name) && (name !== "key" || meter.type === "wmbus"));

let meter;
let before = {};
let removes = false;

const field = (name) => element(`edit-${name}`);
const isNew = () => !meter.configured;

export async function openEdit(of) {
  meter = of;
  before = {};
  removes = false;
  if (!isNew()) {
    const answer = await ask(`api/meters/${encodeURIComponent(meter.id)}`);
    before = { ...answer.configuration, protocol: answer.configuration?.protocol?.join(", ") };
  }
  const value = meter.value === undefined ? "" : ` · ${t("reads", { amount: amount(meter.value, meter.unit) })}`;
  element("edit-title").textContent = isNew() ? t("addMeter") : t("editMeter", { name: title(meter) });
  element("edit-meter").textContent = `${masked(meter.id)} · ${meter.type} · ${word("commodity", meter.commodity)}${value}`;
  for (const name of [...TEXTS, ...NUMBERS]) {
    field(name).value = before[name] ?? "";
    // What is in the file already can be changed and removed, also where it has no effect.
    field(name).parentElement.hidden = isNew() ? !(NEW.includes(name) && isMeant(name)) : !isMeant(name) && before[name] === undefined;
  }
  element("edit-remove").hidden = isNew();
  const units = UNITS[meter.commodity] ?? [...new Set(Object.values(UNITS).flat())];
  element("units").replaceChildren(...units.map((unit) => Object.assign(document.createElement("option"), { value: unit })));
  again();
  element("edit").showModal();
  field("name").focus();
}

// After a change of the input, the section shown is out of date.
function again() {
  removes = false;
  element("edit-section").hidden = true;
  element("edit-submit").textContent = t("preview");
  for (const part of ["what", "error"]) element(`edit-${part}`).textContent = "";
  effect();
}

// What the dial would read with another size of one count.
function effect() {
  const scale = field("scale").valueAsNumber;
  const counts = meter.value === undefined ? NaN : meter.value / (before.scale ?? 1);
  const isKnown = meter.snr_db !== undefined && Number.isFinite(scale) && Number.isFinite(counts);
  element("edit-effect").textContent = isKnown ? t("wouldRead", { amount: `${number(counts * scale)} ${field("unit").value}`.trim() }) : "";
}

// The members of the request: only what differs.
function changes() {
  const value = (name) => (NUMBERS.includes(name) ? (field(name).value === "" ? null : Number(field(name).value)) : field(name).value.trim() || null);
  const made = {};
  for (const name of isNew() ? NEW : [...TEXTS, ...NUMBERS]) {
    const now = value(name);
    if (now !== (before[name] === undefined || before[name] === "" ? null : before[name])) made[name] = name === "protocol" && now ? now.split(/[\s,]+/) : now;
  }
  return made;
}

function request(write) {
  const path = `api/meters/${encodeURIComponent(meter.id)}`;
  if (removes) return send(path, "DELETE", { write });
  const given = Object.fromEntries(Object.entries(changes()).filter(([, value]) => value !== null));
  const remove = Object.keys(changes()).filter((name) => !(name in given));
  if (!isNew()) return send(path, "PATCH", { ...given, remove, write });
  return send("api/meters", "POST", { id: meter.id, protocol: meter.type, ...given, write });
}

async function attempt(write) {
  element("edit-error").textContent = "";
  try {
    return await request(write);
  } catch (error) {
    element("edit-error").textContent = error.message;
    return undefined;
  }
}

function showPreview(added) {
  const what = t(removes ? "willRemove" : isNew() ? "willAppend" : "willChange", { file: added.file });
  element("edit-what").textContent = added.ends_publishing_all ? `${what} ${t("endsPublishing")}` : what;
  element("edit-section").textContent = added.section;
  element("edit-section").hidden = false;
  element("edit-submit").textContent = t(removes ? "removeIt" : "writeIt");
}

for (const name of [...TEXTS, ...NUMBERS]) field(name).addEventListener("input", again);
element("edit-cancel").addEventListener("click", () => element("edit").close());
element("edit-remove").addEventListener("click", async () => {
  again();
  removes = true;
  const added = await attempt(false);
  if (added) showPreview(added);
});
// The first time it is shown, the second time written: by the button, and by Enter.
element("edit-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const isShown = !element("edit-section").hidden;
  const added = await attempt(isShown);
  if (!added) return;
  if (!isShown) return showPreview(added);
  element("edit").close();
  if (removes) location.hash = "#now";
});
