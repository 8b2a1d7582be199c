// Usage of a meter over time: chart, sums, comparison with the period before, table and export.

import { SPANS, begin, longLabel, shortLabel, slots, spanLabel } from "./calendar.js";
import { barChart } from "./chart.js";
import { ask, fetched } from "./connection.js";
import { now } from "./freshness.js";
import { number, t, word } from "./language.js";
import { amount, make, setText } from "./words.js";

const REFRESH_MS = 60000;
const IMPORT = "energy_import_total";
const EXPORT = "energy_export_total";

// What can be shown of the counters of a meter: import and export together, and every other counter by itself.
function views(types) {
  return Object.entries(types).flatMap(([type, counters]) => {
    const names = Object.keys(counters);
    const both = counters[IMPORT] && counters[EXPORT];
    const single = names.filter((name) => !both || (name !== IMPORT && name !== EXPORT));
    const made = single.map((name) => ({ key: `${type} ${name}`, label: `${type} · ${counterName(name)}`, type, value: name }));
    const first = { key: `${type} both`, label: `${type} · ${t("importExport")}`, type, value: IMPORT, back: EXPORT };
    made.sort((a, b) => rank(a) - rank(b));
    return both ? [first, ...made] : made;
  });
}

// Name of a counter; that of a tariff register says which.
function counterName(name) {
  const [, counter, number] = name.match(/^(energy_(?:import|export))_t(\d)$/) ?? [];
  return counter ? t("registerOf", { counter: word("counter", `${counter}_total`), number }) : word("counter", name);
}

// Rows that a frame takes: ten years of days would stop the page.
const ROWS_A_FRAME = 200;

const rank = (view) => (/^(total|count|energy_import_total)$/.test(view.value) ? 0 : /reactive|_t\d$/.test(view.value) ? 2 : 1);

// Values by slot: each period belongs to the slot with its middle in it, as the zone of the daemon may be another one.
function byslot(counter, begins, end, key = "points") {
  const values = new Array(begins.length);
  if (!counter) return values;
  const half = begins.length > 1 ? (begins[1] - begins[0]) / 2 : 0;
  let i = 0;
  counter.points.forEach(([second], n) => {
    const middle = second * 1000 + half;
    if (middle < begins[0] || middle >= end) return;
    while (i + 1 < begins.length && begins[i + 1] <= middle) i++;
    const value = key === "points" ? counter.points[n][1] : counter[key]?.[n];
    if (value !== null) values[i] = value;
  });
  return values;
}

const sum = (values) => values.reduce((total, value) => (value === undefined ? total : (total ?? 0) + value), undefined);

export function historyPanel(id) {
  const all = make("section", undefined, "history");
  const path = `api/meters/${encodeURIComponent(id)}/history`;
  let [by, span, at, view] = ["days", "month", new Date(now()), undefined];
  let asked = 0;
  let newest = 0;

  const chart = barChart(t("chartLabel"));
  const select = (label, values, texts, change) => {
    const [box, list] = [make("label"), make("select")];
    list.append(...values.map((value, i) => Object.assign(make("option", texts[i]), { value })));
    list.addEventListener("change", () => change(list.value));
    box.append(make("span", label), list);
    return { box, list };
  };
  const lengths = Object.keys(SPANS);
  const lengthList = select(t("by"), lengths, lengths.map((one) => t(`by.${one}`)), (value) => {
    by = value;
    span = SPANS[by][0];
    offerSpans();
    refresh();
  });
  lengthList.list.value = by;
  lengthList.list.className = "by";
  const spanList = select(t("span"), [], [], (value) => {
    span = value;
    refresh();
  });
  spanList.list.className = "span";
  const offerSpans = () => {
    spanList.list.replaceChildren(...SPANS[by].map((one) => Object.assign(make("option", t(`span.${one}`)), { value: one })));
    spanList.list.value = span;
  };
  offerSpans();
  const viewList = select(t("counter"), [], [], (value) => {
    view = value;
    refresh();
  });
  viewList.list.className = "counter";
  const button = (text, label, click) => {
    const made = make("button", text);
    made.type = "button";
    if (label) made.setAttribute("aria-label", label);
    made.addEventListener("click", click);
    return made;
  };
  const move = (count) => () => {
    at = begin(span, at, count);
    refresh();
  };
  const earlier = button("‹", t("earlier"), move(-1));
  const later = button("›", t("later"), move(1));
  earlier.className = "earlier";
  const period = make("strong", "", "period");
  const tools = make("div", undefined, "tools");
  tools.append(viewList.box, lengthList.box, spanList.box, earlier, period, later);
  const sums = make("p", "", "sums");
  const note = make("p", "", "faint");
  const table = make("details");
  const rows = make("table");
  const wide = make("div", undefined, "wide");
  wide.tabIndex = 0;
  wide.setAttribute("role", "region");
  wide.setAttribute("aria-label", t("asTable"));
  wide.append(rows);
  table.append(make("summary", t("asTable")), wide);
  const files = make("p", undefined, "tools");
  for (const format of ["csv", "json"]) {
    const made = button(t("download", { format: format.toUpperCase() }), undefined, () => download(format));
    made.className = format;
    files.append(made);
  }
  all.append(make("h3", t("history")), tools, sums, chart.all, note, table, files);

  const range = () => (span === "all" ? undefined : [begin(span, at), begin(span, at, 1)]);

  async function download(format) {
    const wanted = range();
    const part = wanted ? `&from=${wanted[0] / 1000}&to=${wanted[1] / 1000}` : "";
    const answer = await fetched(`${path}?by=${by}${part}&format=${format}`);
    const link = make("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `${id.replace(/[^\w.-]/g, "_")}-${by}.${format}`;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  async function refresh() {
    asked = Date.now();
    const turn = ++newest;
    const wanted = range();
    const before = wanted && [begin(span, at, -1), wanted[0]];
    const part = wanted ? `&from=${before[0] / 1000}&to=${wanted[1] / 1000}` : "";
    setText(period, wanted ? spanLabel(span, wanted[0]) : "");
    for (const one of [earlier, later]) one.hidden = !wanted;
    later.disabled = wanted && wanted[1] > now();
    try {
      const { types } = await ask(`${path}?by=${by}${part}`);
      // Another request was made meanwhile.
      if (turn === newest) draw(types, wanted, before);
    } catch (error) {
      setText(note, error.message);
    }
  }

  function draw(types, wanted, before) {
    const offered = views(types);
    if (!offered.some((one) => one.key === view)) view = offered[0]?.key;
    const keys = offered.map((one) => one.key).join();
    if (viewList.list.dataset.keys !== keys) {
      viewList.list.dataset.keys = keys;
      viewList.list.replaceChildren(...offered.map((one) => Object.assign(make("option", one.label), { value: one.key })));
    }
    viewList.list.value = view;
    const one = offered.find(({ key }) => key === view);
    const value = types[one.type][one.value];
    const back = one.back && types[one.type][one.back];
    const first = value.points[0]?.[0] ?? now() / 1000;
    const [from, to] = wanted ?? [new Date(first * 1000), new Date(now())];
    const begins = wanted ? slots(by, from, to) : slots(by, begin(by, from), to);
    const earlierBegins = before ? slots(by, before[0], before[1]) : [];
    const [used, fed, coverage] = [byslot(value, begins, to), byslot(back, begins, to), byslot(value, begins, to, "coverage")];
    const usedBefore = byslot(value, earlierBegins, from);
    const credits = byslot(back, begins, to, "cost");
    const costs = byslot(value, begins, to, "cost").map((cost, i) => sum([cost, credits[i]]));
    const priced = byslot(value, begins, to, "priced");
    const unit = value.unit;
    const money = (cost) => `${number(cost, 2, 2)} ${value.currency ?? ""}`.trim();
    const text = (i) => {
      const words = [];
      if (used[i] === undefined) words.push(t("unknown"));
      else words.push(back ? t("importOf", { amount: amount(used[i], unit) }) : amount(used[i], unit));
      if (fed[i] !== undefined) {
        words.push(t("exportOf", { amount: amount(fed[i], unit) }));
        words.push(t("netOf", { amount: amount((used[i] ?? 0) - fed[i], unit) }));
      }
      if (costs[i] !== undefined) words.push(priced[i] < 1 ? t("costOfPart", { cost: money(costs[i]), share: number(100 * priced[i], 0) }) : money(costs[i]));
      if (usedBefore[i] !== undefined) words.push(t("beforeOf", { amount: amount(usedBefore[i], unit) }));
      if (coverage[i] < 1) words.push(t("measured", { share: number(100 * coverage[i], 0) }));
      return words.join(" · ");
    };
    const chartSlots = begins.map((start, i) => ({
      value: used[i],
      back: fed[i],
      before: usedBefore[i],
      coverage: coverage[i],
      label: () => shortLabel(by, span, start),
      title: () => longLabel(by, start),
      text: () => text(i),
    }));
    chart.show(chartSlots, unit);
    const isEstimated = coverage.some((share) => share < 1);
    const isPartlyPriced = priced.some((share, i) => share < 1 && costs[i] !== undefined);
    const notes = [isEstimated && t("estimates"), isPartlyPriced && t("partlyPriced")].filter(Boolean);
    setText(note, value.points.length ? notes.join(" ") : t("noUsage"));
    drawSums({ used, fed, back, usedBefore, begins, to, unit, costs, money });
    const hasCosts = costs.some((cost) => cost !== undefined);
    const line = (slot, i) => {
      const made = make("tr");
      const cells = [amountOr(used[i], unit), ...(back ? [amountOr(fed[i], unit)] : []), amountOr(usedBefore[i], unit), ...(hasCosts ? [costs[i] === undefined ? "" : money(costs[i])] : []), coverage[i] === undefined ? "" : `${number(100 * coverage[i], 0)} %`];
      made.append(Object.assign(make("th", slot.title()), { scope: "row" }), ...cells.map((text) => make("td", text)));
      return made;
    };
    const head = make("tr");
    const titles = [t("begin"), back ? t("import") : t("usage"), ...(back ? [t("export")] : []), t("before"), ...(hasCosts ? [t("cost")] : []), t("coverage")];
    head.append(...titles.map((text) => Object.assign(make("th", text), { scope: "col" })));
    table.ontoggle = () => {
      if (!table.open) return rows.replaceChildren();
      const [top, body] = [make("thead"), make("tbody")];
      top.append(head);
      rows.replaceChildren(top, body);
      const more = () => {
        // Another table has taken its place.
        if (body.parentElement !== rows) return;
        const done = body.children.length;
        body.append(...chartSlots.slice(done, done + ROWS_A_FRAME).map((slot, i) => line(slot, done + i)));
        if (body.children.length < chartSlots.length) requestAnimationFrame(more);
      };
      more();
    };
    table.ontoggle();
  }

  const amountOr = (value, unit) => (value === undefined ? "" : amount(value, unit));

  // Sums of the span, and of the same part of the one before.
  function drawSums({ used, fed, back, usedBefore, begins, to, unit, costs, money }) {
    const total = sum(used);
    const words = [];
    if (total !== undefined) words.push(back ? t("importOf", { amount: amount(total, unit) }) : t("sumOf", { amount: amount(total, unit) }));
    if (back) {
      const given = sum(fed) ?? 0;
      words.push(t("exportOf", { amount: amount(given, unit) }), t("netOf", { amount: amount((total ?? 0) - given, unit) }));
    }
    const cost = sum(costs);
    if (cost !== undefined) words.push(t("costOf", { amount: money(cost) }));
    const end = (i) => begins[i + 1] ?? to;
    const parts = begins.map((start, i) => Math.max(0, Math.min(1, (now() - start) / (end(i) - start))));
    const earlierTotal = sum(usedBefore.map((value, i) => (value === undefined ? undefined : value * (parts[i] ?? 1))));
    if (total !== undefined && earlierTotal > 0) {
      const change = number(100 * (total / earlierTotal - 1), 0);
      const isSoFar = to > now();
      words.push(t(isSoFar ? "beforeSoFar" : "beforeWhole", { amount: amount(earlierTotal, unit), change: change.startsWith("-") || change === "0" ? change : `+${change}` }));
    }
    setText(sums, words.join(" · "));
  }

  refresh();
  return {
    all,
    tick() {
      if (Date.now() - asked > REFRESH_MS) refresh();
    },
  };
}
