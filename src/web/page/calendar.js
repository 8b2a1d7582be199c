// Periods of the calendar: the slots of a chart, and the spans it shows.

import { time } from "./language.js";

// Spans that a chart by hours, days and so on can show; `all` is everything that is known.
export const SPANS = {
  hours: ["day", "week"],
  days: ["month", "year", "all"],
  weeks: ["year", "all"],
  months: ["year", "all"],
  years: ["all"],
};

// Begin of the period with `date` in it, `count` periods later.
export function begin(length, date, count = 0) {
  const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
  switch (length) {
    case "hours":
      return new Date(Math.floor(date / 3600000) * 3600000 + count * 3600000);
    case "day":
    case "days":
      return new Date(year, month, day + count);
    case "week":
    case "weeks":
      return new Date(year, month, day - ((date.getDay() + 6) % 7) + 7 * count);
    case "month":
    case "months":
      return new Date(year, month + count, 1);
    default:
      return new Date(year + count, 0, 1);
  }
}

// Begins of all periods from `from` up to `to`, as numbers: ten years of dates would be slow to compare. Weeks belong to the span in
// which they begin.
export function slots(by, from, to) {
  const begins = [];
  let one = begin(by, from);
  if (one < from) one = begin(by, from, 1);
  while (one < to) {
    begins.push(one.getTime());
    one = begin(by, one, 1);
  }
  return begins;
}

const SHORT = {
  hours: { hour: "2-digit", minute: "2-digit" },
  days: { day: "numeric", month: "numeric" },
  weeks: { day: "numeric", month: "numeric" },
  months: { month: "short" },
  years: { year: "numeric" },
};
const LONG = {
  hours: { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" },
  days: { weekday: "short", day: "numeric", month: "short", year: "numeric" },
  weeks: { day: "numeric", month: "short", year: "numeric" },
  months: { month: "long", year: "numeric" },
  years: { year: "numeric" },
};

export const shortLabel = (by, span, at) => time(at, by !== "years" && span === "all" ? { month: "short", year: "2-digit" } : SHORT[by]);
export const longLabel = (by, at) => time(at, LONG[by]);

export function spanLabel(span, from) {
  const options = { day: LONG.days, week: LONG.weeks, month: LONG.months, year: LONG.years };
  return span === "all" ? "" : time(from, options[span]);
}
