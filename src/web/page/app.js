// Holds the state of the page and draws it whenever something has changed, and once a second, as everything ages. Everything
// received is text, and is inserted only as text.

import { drawAir, takeMarks, takeRows } from "./air.js";
import { drawCards, drawSinks } from "./cards.js";
import { drawConnection, follow } from "./connection.js";
import "./decoder.js";
import { drawDetails, startDetails } from "./details.js";
import { t } from "./language.js";
import { drawEvents } from "./log.js";
import { drawProblems } from "./problems.js";
import { startTable, drawTable } from "./table.js";
import { drawWires } from "./wires.js";
import { element, setText } from "./words.js";

const MOST_EVENTS = 300;

const known = {
  meters: new Map(), // "id type" -> meter of the API
  missing: [],
  receivers: {},
  sinks: [],
  prices: [],
  telegrams: {}, // port -> {at, bytes}
  events: [],
};

function forget() {
  known.meters.clear();
  known.telegrams = {};
  known.events = [];
}

function take(news) {
  for (const meter of news.meters) known.meters.set(`${meter.id} ${meter.type}`, meter);
  known.missing = news.missing;
  known.receivers = news.receivers;
  known.sinks = news.sinks;
  known.prices = news.prices;
  Object.assign(known.telegrams, news.telegrams);
  known.events = known.events.concat(news.events).slice(-MOST_EVENTS);
  setText(element("version"), t("version", { version: news.version }));
  // Only http(s): whoever publishes the program fills it in.
  if (/^https?:/.test(news.homepage ?? "")) Object.assign(element("docs"), { href: news.homepage, hidden: false });
  takeRows(news.rows);
  takeMarks(news.meters);
  draw();
}

function draw() {
  const meters = [...known.meters.values()];
  drawDetails(known);
  // Hidden while details are shown.
  if (element("home").hidden) return;
  drawCards(meters, known.missing, known.receivers);
  drawProblems(meters, known);
  drawTable(meters);
  drawAir(known.receivers);
  drawWires(known.receivers, known.telegrams, meters);
  drawSinks(known.sinks);
  drawEvents(known.events);
}

startTable(draw);
startDetails(draw);
element("mask").checked = localStorage.getItem("mask") === "yes";
element("mask").addEventListener("change", (event) => {
  localStorage.setItem("mask", event.target.checked ? "yes" : "no");
  draw();
});
setInterval(() => {
  drawConnection();
  draw();
}, 1000);
follow(take, forget);
