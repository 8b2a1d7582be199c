// Holds the state of the page and draws it whenever something has changed. Everything received is text, and is inserted
// only as text.

import { drawAir, takeMarks, takeRows } from "./air.js";
import { drawCards, drawSinks } from "./cards.js";
import { follow } from "./connection.js";
import { drawEvents } from "./log.js";
import { startTable, drawTable } from "./table.js";
import { drawWires } from "./wires.js";
import { element } from "./words.js";

const MOST_EVENTS = 300;

const known = {
  meters: new Map(), // "id type" -> meter of the API
  receivers: {},
  sinks: [],
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
  known.receivers = news.receivers;
  known.sinks = news.sinks;
  Object.assign(known.telegrams, news.telegrams);
  known.events = known.events.concat(news.events).slice(-MOST_EVENTS);
  takeRows(news.rows);
  takeMarks(news.meters);
  draw();
}

function draw() {
  const meters = [...known.meters.values()];
  drawCards(meters);
  drawTable(meters);
  drawAir(known.receivers);
  drawWires(known.receivers, known.telegrams, meters);
  drawSinks(known.sinks);
  drawEvents(known.events);
}

startTable(draw);
element("mask").checked = localStorage.getItem("mask") === "yes";
element("mask").addEventListener("change", (event) => {
  localStorage.setItem("mask", event.target.checked ? "yes" : "no");
  draw();
});
follow(take, forget);
