// Bar chart with axes, drawn as SVG. The value of a slot is shown under the pointer, and by the arrow keys.

import { number, t } from "./language.js";
import { make, setText, shape } from "./words.js";

const HEIGHT = 220;
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 8, 22, 24];
const LABEL_WIDTH = 56;
// A period that is measured to a smaller share is drawn as an estimate.
const MEASURED = 0.95;

// The smallest of 1, 2 and 5 times a power of ten that divides `span` into at most `most` parts.
function niceStep(span, most) {
  const power = 10 ** Math.floor(Math.log10(span / most));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => span / step <= most);
}

// Chart of `slots`: {value, back, before, coverage, label(), title(), text()}. `value` goes up, `back` (what was fed in) down,
// `before` is a line for comparison; each may be undefined. Texts are asked for only where they are shown.
export function barChart(label) {
  const all = make("div", undefined, "chart");
  const svg = shape("svg", { role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": 0 });
  const readout = make("output", "", "readout");
  all.append(readout, svg);
  let [slots, unit, chosen] = [[], "", -1];
  let cursor;
  let isDue = false;

  const width = () => Math.max(240, svg.clientWidth || 600);
  const slotWidth = () => (width() - LEFT - RIGHT) / Math.max(1, slots.length);

  function choose(index) {
    if (!slots.length) return;
    chosen = Math.max(0, Math.min(slots.length - 1, index));
    const slot = slots[chosen];
    svg.setAttribute("aria-valuenow", chosen);
    const text = `${slot.title()}: ${slot.text()}`;
    svg.setAttribute("aria-valuetext", text);
    setText(readout, text);
    cursor?.setAttribute("x", LEFT + chosen * slotWidth());
    cursor?.setAttribute("width", Math.max(1, slotWidth()));
    cursor?.removeAttribute("visibility");
  }

  function draw() {
    const [w, wide] = [width(), slotWidth()];
    svg.setAttribute("viewBox", `0 0 ${w} ${HEIGHT}`);
    const columns = columnsOf(slots, wide);
    const [least, most] = extent(columns);
    const span = most - least || 1;
    const step = niceStep(span, 5);
    const [low, high] = [Math.floor(least / step) * step, Math.ceil(most / step) * step || step];
    const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
    const parts = [];
    for (let i = 0; low + i * step <= high + step / 2; i++) {
      const value = low + i * step;
      const digits = Math.max(0, -Math.floor(Math.log10(step)));
      parts.push(shape("line", { class: value === 0 ? "axis" : "grid", x1: LEFT, x2: w - RIGHT, y1: y(value), y2: y(value) }));
      parts.push(shape("text", { x: LEFT - 6, y: y(value) + 4, class: "right" }, number(Math.abs(value) < step / 2 ? 0 : value, digits)));
    }
    parts.push(shape("text", { x: 2, y: 9 }, unit));
    const every = Math.max(1, Math.ceil(LABEL_WIDTH / wide));
    slots.forEach((slot, i) => {
      if (i % every === 0 && LEFT + i * wide + LABEL_WIDTH / 2 < w) {
        parts.push(shape("text", { x: LEFT + (i + 0.5) * wide, y: HEIGHT - 6, class: "middle" }, slot.label()));
      }
    });
    // One path for all bars of a kind, and one outline for bars without a gap between them: cheap to draw, however many.
    const paths = { bar: "", estimate: "", back: "", before: "" };
    const ends = {};
    const gap = wide > 4 ? wide * 0.15 : 0;
    const zero = y(0).toFixed(1);
    const bar = (kind, left, right, amount) => {
      const isNext = ends[kind] === left;
      paths[kind] += `${isNext ? "" : `${ends[kind] ? `V${zero}` : ""}M${left} ${zero}`}V${y(amount).toFixed(1)}H${right}`;
      ends[kind] = right;
    };
    columns.forEach(({ from, to, value, back, before, coverage }) => {
      const [left, right] = [(LEFT + from * wide + gap).toFixed(1), (LEFT + to * wide - gap).toFixed(1)];
      if (value !== undefined) bar(coverage < MEASURED ? "estimate" : "bar", left, right, value);
      if (back !== undefined) bar("back", left, right, -back);
      if (before !== undefined) paths.before += `M${left} ${y(before).toFixed(1)}H${right}`;
    });
    for (const kind in ends) paths[kind] += `V${zero}`;
    cursor = shape("rect", { class: "cursor", y: TOP, height: HEIGHT - TOP - BOTTOM, visibility: "hidden" });
    svg.replaceChildren(cursor, ...parts, ...Object.entries(paths).map(([name, d]) => shape("path", { class: name, d })));
    if (chosen >= 0) choose(chosen);
  }

  const at = (event) => {
    const box = svg.getBoundingClientRect();
    return Math.floor((((event.clientX - box.left) / box.width) * width() - LEFT) / slotWidth());
  };
  svg.addEventListener("pointermove", (event) => choose(at(event)));
  svg.addEventListener("pointerdown", (event) => choose(at(event)));
  svg.addEventListener("focus", () => chosen < 0 && choose(slots.findLastIndex((slot) => slot.value !== undefined)));
  svg.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };
    const move = steps[event.key];
    if (move === undefined) return;
    event.preventDefault();
    choose(chosen + move);
  });
  // In the next frame, once: the data and the size may both have changed.
  const drawSoon = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      draw();
    });
  };
  new ResizeObserver(drawSoon).observe(svg);

  return {
    all,
    show(newSlots, newUnit) {
      if (newSlots.length !== slots.length) chosen = -1;
      [slots, unit] = [newSlots, newUnit];
      setText(readout, t("chartHint"));
      svg.removeAttribute("aria-valuetext");
      svg.setAttribute("aria-valuemax", Math.max(0, slots.length - 1));
      svg.setAttribute("aria-valuenow", Math.max(0, chosen));
      drawSoon();
    },
  };
}

// Slots as they are drawn. Where several would share a pixel, as ten years of days do, a column of one pixel has their means.
function columnsOf(slots, wide) {
  if (wide >= 1) return slots.map((slot, i) => ({ ...slot, from: i, to: i + 1 }));
  const columns = [];
  const each = Math.ceil(1 / wide);
  for (let from = 0; from < slots.length; from += each) {
    const part = slots.slice(from, from + each);
    const mean = (key) => {
      let [sum, count] = [0, 0];
      for (const { [key]: value } of part) {
        if (value === undefined) continue;
        sum += value;
        count++;
      }
      return count ? sum / count : undefined;
    };
    columns.push({ from, to: from + part.length, value: mean("value"), back: mean("back"), before: mean("before"), coverage: mean("coverage") });
  }
  return columns;
}

// Least and largest value of all columns, with zero.
function extent(columns) {
  let [least, most] = [0, 0];
  for (const { value = 0, back = 0, before = 0 } of columns) {
    least = Math.min(least, value, -back, before);
    most = Math.max(most, value, -back, before);
  }
  return [least, most];
}
