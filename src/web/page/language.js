// Texts in the first of the browser's languages that there is a file for; numbers and times by its locale.

const LANGUAGES = ["en", "de", "nl", "fr"];

export const locale = navigator.language || "en";
const wanted = (navigator.languages ?? [locale]).map((tag) => tag.slice(0, 2).toLowerCase());
export const language = wanted.find((one) => LANGUAGES.includes(one)) ?? "en";

const texts = await (await fetch(`text-${language}.json`)).json();
const plural = new Intl.PluralRules(language);

// The text of this key, with its {placeholders} filled in; of several forms, that for the number {count}.
export function t(key, values = {}) {
  const forms = texts[key] ?? key;
  const text = typeof forms === "string" ? forms : forms[plural.select(values.count)] ?? forms.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

// The text of a word that the daemon sends, or the word.
export const word = (prefix, name) => (texts[`${prefix}.${name}`] ? t(`${prefix}.${name}`) : name);

// Writes the texts of elements that name them.
export function translate(root) {
  for (const one of root.querySelectorAll("[data-text]")) one.textContent = t(one.dataset.text);
  for (const one of root.querySelectorAll("[data-label]")) one.setAttribute("aria-label", t(one.dataset.label));
  for (const one of root.querySelectorAll("[data-hint]")) one.placeholder = t(one.dataset.hint);
}

const numbers = new Map();

export function number(value, digits = 3, least = 0) {
  const key = `${digits} ${least}`;
  if (!numbers.has(key)) {
    numbers.set(key, new Intl.NumberFormat(locale, { maximumFractionDigits: digits, minimumFractionDigits: least, signDisplay: "negative" }));
  }
  return numbers.get(key).format(value);
}

const relative = new Intl.RelativeTimeFormat(language, { numeric: "always", style: "short" });
const UNITS = [["second", 1, 90], ["minute", 60, 5400], ["hour", 3600, 129600], ["day", 86400, Infinity]];

// So many seconds ago, in words.
export function ago(seconds) {
  const [unit, length] = UNITS.find(([, , most]) => seconds < most);
  return relative.format(-Math.round(Math.max(0, seconds) / length), unit);
}

const durations = new Map();

// A length of time in words.
export function duration(seconds) {
  const [unit, length] = UNITS.find(([, , most]) => seconds < most);
  const digits = seconds / length < 10 ? 1 : 0;
  const key = `${unit} ${digits}`;
  if (!durations.has(key)) durations.set(key, new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: digits }));
  return durations.get(key).format(seconds / length);
}

const formats = new Map();

// A date or time; `options` as those of Intl.DateTimeFormat.
export function time(at, options) {
  const key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale, options));
  return formats.get(key).format(at);
}

export const clockTime = (at) => time(at, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

document.documentElement.lang = language;
translate(document);
