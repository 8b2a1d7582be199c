// Table of all meters received, sorted and filtered.

import { openClaim } from "./claim.js";
import { ago, amount, element, make, masked, shown } from "./words.js";

// Columns that are first sorted with the largest value on top.
const NUMBERS = ["value", "change", "times", "last_seen", "snr_db"];

let sort = { key: "times", down: true };

export function startTable(draw) {
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      const key = button.dataset.sort;
      sort = { key, down: sort.key === key ? !sort.down : NUMBERS.includes(key) };
      draw();
    });
  }
  element("filter").addEventListener("input", draw);
}

function cells(meter) {
  return [
    masked(meter.id),
    meter.type,
    meter.commodity,
    meter.value === undefined ? "" : amount(meter.value, meter.unit),
    meter.change ? `${meter.change > 0 ? "+" : ""}${shown(meter.change)}` : "",
    meter.times,
    ago(meter.last_seen),
    meter.snr_db === undefined ? "" : `${meter.snr_db.toFixed(1)} dB${meter.margin_db === undefined ? "" : " (expected)"}`,
    meter.frequency_hz === undefined ? "" : `${(meter.frequency_hz / 1e6).toFixed(3)} MHz`,
    meter.heard_by,
  ];
}

const rows = new Map(); // "id type" -> row; kept, so that a button is not replaced while it is pressed

function row(meter) {
  const key = `${meter.id} ${meter.type}`;
  let made = rows.get(key);
  if (!made) {
    made = make("tr");
    const claim = make("button", "mine?", "claim");
    claim.addEventListener("click", () => openClaim(made.meter));
    const first = make("td");
    first.append(claim);
    made.append(first, ...cells(meter).map(() => make("td")));
    rows.set(key, made);
  }
  made.meter = meter;
  made.className = meter.mine ? "mine" : "";
  const button = made.firstChild.firstChild;
  button.hidden = meter.mine;
  button.setAttribute("aria-label", `${masked(meter.id)} is mine`);
  cells(meter).forEach((text, i) => {
    const cell = made.children[i + 1];
    if (cell.textContent !== String(text)) cell.textContent = text;
  });
  return made;
}

function order(a, b) {
  const [x, y] = [a[sort.key] ?? -Infinity, b[sort.key] ?? -Infinity];
  const isText = typeof x === "string" || typeof y === "string";
  const difference = isText ? String(x).localeCompare(String(y), "en", { numeric: true }) : x - y;
  return (sort.down ? -difference : difference) || a.id.localeCompare(b.id, "en", { numeric: true });
}

export function drawTable(meters) {
  const wanted = element("filter").value.trim().toLowerCase();
  const fits = (meter) => `${meter.id} ${meter.type} ${meter.name} ${meter.commodity}`.toLowerCase().includes(wanted);
  const drawn = meters.filter(fits).sort(order).map(row);
  const body = element("meters").tBodies[0];
  const isSame = drawn.length === body.children.length && drawn.every((one, i) => body.children[i] === one);
  if (!isSame) body.replaceChildren(...drawn);
  element("count").textContent = `${drawn.length} of ${meters.length}`;
  for (const button of document.querySelectorAll("[data-sort]")) {
    const isIt = button.dataset.sort === sort.key;
    button.closest("th").ariaSort = isIt ? (sort.down ? "descending" : "ascending") : "none";
  }
}
