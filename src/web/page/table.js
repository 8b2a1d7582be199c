// Table of all meters received, sorted and filtered.

import { mhz } from "./air.js";
import { openEdit } from "./edit.js";
import { age, freshness } from "./freshness.js";
import { ago, locale, number, t, word } from "./language.js";
import { amount, element, make, masked, setText } from "./words.js";

// Columns that are first sorted with the largest value on top.
const NUMBERS = ["value", "change", "times", "last_seen", "snr_db"];

// Until a column is chosen: one's own first.
let sort = { key: "times", down: true, isDefault: true };

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
    meter.type,
    word("commodity", meter.commodity),
    meter.value === undefined ? "" : amount(meter.value, meter.unit),
    meter.change ? `${meter.change > 0 ? "+" : ""}${number(meter.change)}` : "",
    number(meter.times),
    ago(age(meter.last_seen)),
    meter.snr_db === undefined ? "" : `${number(meter.snr_db, 1, 1)} dB${meter.margin_db === undefined ? "" : ` (${t("expected")})`}`,
    meter.frequency_hz === undefined ? "" : mhz(meter.frequency_hz),
    meter.heard_by,
  ];
}

const rows = new Map(); // "id type" -> row; kept, so that a button is not replaced while it is pressed

function row(meter) {
  const key = `${meter.id} ${meter.type}`;
  let made = rows.get(key);
  if (!made) {
    made = make("tr");
    const add = make("button", t("add"), "add");
    add.type = "button";
    add.addEventListener("click", () => openEdit(made.meter));
    const [first, second] = [make("td"), make("td")];
    first.append(add);
    const link = make("a");
    link.href = `#meter/${encodeURIComponent(meter.id)}`;
    second.append(link);
    made.append(first, second, ...cells(meter).map(() => make("td")));
    rows.set(key, made);
  }
  made.meter = meter;
  made.className = [meter.mine ? "mine" : "", freshness(meter) === "silent" ? "silent" : ""].join(" ").trim();
  const button = made.firstChild.firstChild;
  button.hidden = meter.mine;
  button.setAttribute("aria-label", t("addMeterId", { id: masked(meter.id) }));
  setText(made.children[1].firstChild, masked(meter.id));
  cells(meter).forEach((text, i) => setText(made.children[i + 2], String(text)));
  return made;
}

function order(a, b) {
  if (sort.isDefault && a.mine !== b.mine) return a.mine ? -1 : 1;
  // Amounts of different units are not compared.
  if (sort.key === "value" && a.unit !== b.unit) return a.unit.localeCompare(b.unit, locale);
  const [x, y] = [a[sort.key] ?? -Infinity, b[sort.key] ?? -Infinity];
  const isText = typeof x === "string" || typeof y === "string";
  const difference = isText ? String(x).localeCompare(String(y), locale, { numeric: true }) : x - y;
  return (sort.down ? -difference : difference) || a.id.localeCompare(b.id, locale, { numeric: true });
}

export function drawTable(meters) {
  const wanted = element("filter").value.trim().toLowerCase();
  const fits = (meter) => `${meter.id} ${meter.type} ${meter.name} ${meter.commodity}`.toLowerCase().includes(wanted);
  const drawn = meters.filter(fits).sort(order).map(row);
  const body = element("meters").tBodies[0];
  const isSame = drawn.length === body.children.length && drawn.every((one, i) => body.children[i] === one);
  if (!isSame) body.replaceChildren(...drawn);
  setText(element("count"), t("shownOf", { shown: number(drawn.length), all: number(meters.length) }));
  for (const button of document.querySelectorAll("[data-sort]")) {
    const isIt = button.dataset.sort === sort.key;
    button.closest("th").ariaSort = isIt ? (sort.down ? "descending" : "ascending") : "none";
  }
}
