// Receivers: spectrum of the last quarter of a second, waterfall of the last half minute with the packets in it, and
// histogram of the samples.

import { locale, number, t } from "./language.js";
import { element, isMasked, keyStates, make, masked, setText } from "./words.js";
import { drawState } from "./wires.js";

const ROWS = 120;
const BINS = 512;
const HEIGHT = 80;
// Width of a Manchester signal, for the frame around a packet.
const WIDTH_HZ = 33000;
// Range of the colors in decibels, from the darkest to the brightest.
const RANGE_DB = 30;
const MOST_LABELS = 16;
// Packets and meters that are remembered of a receiver.
const MOST_MARKS = 1200;
// Distance from a packet within which a click chooses its meter.
const NEAR_PX = 24;

const scheme = matchMedia("(prefers-color-scheme: dark)");
const views = new Map(); // receiver -> {rows, marks, elements}

// From the noise up: dark, blue, green, yellow, white.
const STOPS = [[10, 12, 30], [24, 60, 140], [30, 150, 130], [240, 220, 70], [255, 255, 255]];
const COLORS = Array.from({ length: 256 }, (_, i) => {
  const place = (i / 255) * (STOPS.length - 1);
  const [low, part] = [Math.min(Math.floor(place), STOPS.length - 2), place - Math.min(Math.floor(place), STOPS.length - 2)];
  return STOPS[low].map((from, c) => Math.round(from + (STOPS[low + 1][c] - from) * part));
});

function canvas(name, width, height, label) {
  const made = make("canvas", undefined, name);
  [made.width, made.height] = [width, height];
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", label);
  return made;
}

function view(name) {
  let made = views.get(name);
  if (made) return made;
  const all = make("article", undefined, "card receiver");
  all.dataset.receiver = name;
  made = {
    all,
    rows: [],
    marks: [],
    meters: new Map(), // id -> {mine, name}
    chosen: "",
    state: make("p", "", "state"),
    spectrum: canvas("spectrum", BINS, HEIGHT, t("spectrum")),
    waterfall: canvas("waterfall", BINS, ROWS, t("waterfall")),
    marked: canvas("marked", BINS, ROWS, t("marked")),
    scale: make("p", "", "scale"),
    choice: make("select", undefined, "choice"),
    summary: make("span", "", "summary"),
    levels: canvas("levels", 256, 40, t("levels")),
    figures: make("p", "", "figures"),
  };
  const fall = make("div", undefined, "fall");
  fall.append(made.waterfall, made.marked);
  const chooser = make("p", undefined, "tools");
  const label = make("label");
  label.append(make("span", t("markMeter")), made.choice);
  chooser.append(label, made.summary);
  made.choice.addEventListener("change", () => choose(made, made.choice.value));
  made.marked.addEventListener("click", (event) => choose(made, markAt(made, event)?.id ?? ""));
  const strength = make("div", undefined, "strength");
  strength.append(made.levels, made.figures);
  all.append(make("h3", name), made.state, made.spectrum, fall, made.scale, chooser, strength);
  // Another size or color scheme: drawn anew with the next look.
  new ResizeObserver(() => (made.isNew = true)).observe(made.marked);
  scheme.addEventListener("change", () => (made.isNew = true));
  element("receivers").querySelector(":scope > p")?.remove();
  element("receivers").append(all);
  views.set(name, made);
  return made;
}

export function takeRows(rows) {
  for (const row of rows) {
    const one = view(row.receiver);
    row.bins = Uint8Array.from(atob(row.bins), (letter) => letter.charCodeAt(0));
    row.time = Date.parse(row.at);
    // The median is noise, as packets are few and narrow.
    row.floor = row.bins.toSorted()[row.bins.length >> 1];
    // The same row again.
    if (one.rows.length && one.rows.at(-1).time >= row.time) continue;
    one.rows.push(row);
    if (one.rows.length > ROWS) one.rows.shift();
    one.isNew = true;
  }
}

export function takeMarks(meters) {
  for (const meter of meters) {
    const one = views.get(meter.heard_by);
    if (!one || meter.frequency_hz === undefined) continue;
    one.marks.push({ time: Date.parse(meter.last_seen), hz: meter.frequency_hz, id: meter.id, mine: meter.mine });
    if (one.marks.length > MOST_MARKS) one.marks.shift();
    if (one.meters.size < MOST_MARKS) one.meters.set(meter.id, { mine: meter.mine, name: meter.name });
    one.isNew = true;
  }
}

function drawSpectrum(one, row) {
  const context = one.spectrum.getContext("2d");
  context.clearRect(0, 0, BINS, HEIGHT);
  context.strokeStyle = getComputedStyle(one.spectrum).color;
  context.beginPath();
  row.bins.forEach((value, bin) => {
    const y = HEIGHT - 6 - ((value - row.floor) / 2 / RANGE_DB) * (HEIGHT - 10);
    context.lineTo(bin + 0.5, Math.max(1, Math.min(HEIGHT - 1, y)));
  });
  context.stroke();
}

function drawWaterfall(one) {
  const context = one.waterfall.getContext("2d");
  const image = context.createImageData(BINS, ROWS);
  one.rows.forEach((row, i) => {
    // Newest on top.
    const begin = 4 * BINS * (one.rows.length - 1 - i);
    for (let bin = 0; bin < row.bins.length; bin++) {
      const level = Math.max(0, Math.min(255, ((row.bins[bin] - row.floor) / 2 / RANGE_DB) * 255));
      const [red, green, blue] = COLORS[level | 0];
      image.data.set([red, green, blue, 255], begin + 4 * bin);
    }
  });
  context.putImageData(image, 0, 0);
}

// Draws frames around packets, with the ids of their meters.
function drawMarks(one) {
  const box = one.marked.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  [one.marked.width, one.marked.height] = [Math.max(1, box.width * ratio), Math.max(1, box.height * ratio)];
  const context = one.marked.getContext("2d");
  context.scale(ratio, ratio);
  context.font = "11px system-ui, sans-serif";
  const oldest = one.rows[0].time;
  one.marks = one.marks.filter((mark) => mark.time >= oldest);
  const labels = [];
  for (const mark of one.marks.toReversed()) {
    const place = one.rows.findIndex((row) => row.time >= mark.time);
    const row = one.rows[place];
    if (!row || row.center_hz === undefined) continue;
    const x = ((mark.hz - row.center_hz) / row.span_hz + 0.5) * box.width;
    const width = Math.max(8, (WIDTH_HZ / row.span_hz) * box.width);
    const y = ((one.rows.length - 1 - place) / ROWS) * box.height;
    const height = Math.max(6, (2 / ROWS) * box.height);
    const isChosen = mark.id === one.chosen;
    context.globalAlpha = one.chosen && !isChosen ? 0.3 : 1;
    context.lineWidth = isChosen ? 2 : 1;
    context.strokeStyle = context.fillStyle = isChosen ? "#ffd84d" : mark.mine ? "#7dff9a" : "#ffffff";
    context.strokeRect(x - width / 2, y - height / 2, width, height);
    mark.place = { x, y };
    if (one.chosen && !isChosen) continue;
    const label = masked(mark.id);
    const long = context.measureText(label).width;
    const isRight = x + width + long < box.width;
    const left = isRight ? x + width / 2 + 3 : x - width / 2 - 3 - long;
    const base = Math.max(10, y + 4);
    // A label that would overlap another one is left out.
    const isFree = labels.every((other) => Math.abs(other.base - base) > 11 || other.left > left + long + 3 || left > other.right + 3);
    if (isFree && labels.length < MOST_LABELS) {
      context.fillText(label, left, base);
      labels.push({ base, left, right: left + long });
    }
  }
}

// The packet next to where the pointer is.
function markAt(one, event) {
  const box = one.marked.getBoundingClientRect();
  const far = ({ place }) => Math.hypot(place.x - (event.clientX - box.left), place.y - (event.clientY - box.top));
  const near = one.marks.filter((mark) => mark.place && far(mark) < NEAR_PX);
  return near.sort((a, b) => far(a) - far(b))[0];
}

// Marks all packets of a meter; of all meters if there is none.
function choose(one, id) {
  one.chosen = id;
  one.isNew = true;
  if (one.rows.length) drawMarks(one);
  drawChoice(one);
}

// Meters to choose from, one's own first, and how often the chosen one was received.
function drawChoice(one) {
  const order = ([a, x], [b, y]) => y.mine - x.mine || a.localeCompare(b, locale, { numeric: true });
  const meters = [...one.meters].sort(order);
  const keys = `${isMasked()} ${meters.map(([id]) => id).join()}`;
  if (one.offered !== keys) {
    one.offered = keys;
    const option = (value, text) => Object.assign(make("option", text), { value });
    const name = (id, meter) => (meter.name === id ? masked(id) : `${meter.name} (${masked(id)})`);
    one.choice.replaceChildren(option("", t("allMeters")), ...meters.map(([id, meter]) => option(id, name(id, meter))));
  }
  one.choice.value = one.chosen;
  const marks = one.marks.filter((mark) => mark.id === one.chosen);
  const hz = marks.map((mark) => mark.hz);
  const [least, most] = [Math.min(...hz), Math.max(...hz)];
  const where = marks.length && (least === most ? mhz(least) : `${mhz(least)} – ${mhz(most)}`);
  setText(one.summary, one.chosen ? [t("packetsShown", { count: marks.length, number: number(marks.length) }), where].filter(Boolean).join(" · ") : "");
}

function drawLevels(one, row) {
  const { width, height } = one.levels;
  const context = one.levels.getContext("2d");
  context.clearRect(0, 0, width, height);
  const most = Math.max(...row.levels);
  const wide = width / row.levels.length;
  const { color, outlineColor } = getComputedStyle(one.levels);
  row.levels.forEach((share, i) => {
    const isEnd = i === 0 || i === row.levels.length - 1;
    context.fillStyle = isEnd ? outlineColor : color;
    const tall = share > 0 ? Math.max(1, (share / most) * height) : 0;
    context.fillRect(i * wide, height - tall, wide - 1, tall);
  });
}

export const mhz = (hz) => `${number(hz / 1e6, 3, 3)} MHz`;

function drawFigures(one, row, state) {
  const center = row.center_hz;
  one.scale.replaceChildren(
    ...(center === undefined
      ? [make("span", `±${mhz(row.span_hz / 2)}`)]
      : [-0.5, 0, 0.5].map((part) => make("span", mhz(center + part * row.span_hz)))),
  );
  const figures = [
    t("noise", { level: `${number(row.noise_dbfs, 1, 1)} dBFS` }),
    t("power", { level: `${number(row.power_dbfs, 1, 1)} dBFS` }),
    t("clipped", { share: `${number(100 * row.clipped, 2, 2)} %` }),
    state?.crystal_ppm !== undefined && t("crystal", { ppm: number(state.crystal_ppm, 0) }),
    state?.gain && t("gain", { gain: state.gain }),
    state && t("lost", { number: number(state.dropped) }),
    ...keyStates(state),
  ];
  one.figures.textContent = figures.filter(Boolean).join(" · ");
  one.figures.className = row.clipped > 0.001 ? "figures bad" : "figures";
}

export function drawAir(receivers) {
  for (const one of Object.values(receivers)) {
    if (one.reports !== undefined) continue;
    const made = view(one.receiver);
    drawState(made.state, one);
  }
  for (const [name, one] of views) {
    const row = one.rows.at(-1);
    if (row) drawChoice(one);
    if (!row || !one.isNew) continue;
    one.isNew = false;
    drawSpectrum(one, row);
    drawWaterfall(one);
    drawMarks(one);
    drawLevels(one, row);
    drawFigures(one, row, receivers[name]);
  }
}
