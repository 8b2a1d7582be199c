// Dialog that adds a meter to the configuration: shows the section that would be written, and writes it.

import { ask } from "./connection.js";
import { element, masked } from "./words.js";

let meter;

const post = (write) => {
  const scale = element("claim-scale").value;
  const body = {
    id: meter.id,
    protocol: meter.type,
    name: element("claim-name").value || undefined,
    unit: element("claim-unit").value || undefined,
    scale: scale === "" ? undefined : Number(scale),
    write,
  };
  return ask("api/meters", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
};

// After a change of the input, the section shown is out of date.
function again() {
  element("claim-section").hidden = true;
  element("claim-write").hidden = true;
  element("claim-show").hidden = false;
  element("claim-what").textContent = "";
  element("claim-error").textContent = "";
}

export function openClaim(of) {
  meter = of;
  element("claim-meter").textContent = `${masked(meter.id)} · ${meter.type} · ${meter.commodity} · reads ${meter.value ?? "?"}`;
  for (const field of ["name", "unit", "scale"]) element(`claim-${field}`).value = "";
  again();
  element("claim").showModal();
}

async function attempt(write) {
  element("claim-error").textContent = "";
  try {
    return await post(write);
  } catch (error) {
    element("claim-error").textContent = error.message;
    return undefined;
  }
}

for (const field of ["name", "unit", "scale"]) element(`claim-${field}`).addEventListener("input", again);
element("claim-cancel").addEventListener("click", () => element("claim").close());
element("claim-show").addEventListener("click", async () => {
  const added = await attempt(false);
  if (!added) return;
  const ends = added.ends_publishing_all ? " From then on only your meters are published, no longer all that are received." : "";
  element("claim-what").textContent = `This will be appended to ${added.file}; nothing else in it changes.${ends}`;
  element("claim-section").textContent = added.section;
  element("claim-section").hidden = false;
  element("claim-show").hidden = true;
  element("claim-write").hidden = false;
  element("claim-write").focus();
});
element("claim-write").addEventListener("click", async () => {
  if (await attempt(true)) element("claim").close();
});
