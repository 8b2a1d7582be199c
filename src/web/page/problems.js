// What does not work, in words, on top of the page: ports and receivers that are down, silent meters, failing outputs, prices
// that are not known.

import { age, freshness, isConnected } from "./freshness.js";
import { duration, t, word } from "./language.js";
import { element, make, masked, maskedText } from "./words.js";

let drawn;

export function drawProblems(meters, { missing, receivers, sinks, prices }) {
  const isWell = (state) => state === "up" || state === "starting";
  const of = (name, reason) => (reason ? `${name}: ${reason}` : name);
  const down = Object.values(receivers)
    .filter((one) => !isWell(one.state))
    .map((one) => of(t("receiverDown", { name: one.receiver, state: word("state", one.state), time: duration(age(one.since)) }), one.reason));
  const silent = meters
    .filter((meter) => meter.mine && freshness(meter) === "silent")
    .map((meter) => t("silentMeter", { name: title(meter), time: duration(age(meter.last_seen)) }));
  const unheard = missing.map((meter) => t("missingMeter", { name: title(meter) }));
  const failing = sinks.filter((sink) => sink.trouble).map((sink) => of(sink.name, sink.trouble));
  const unpriced = prices.filter((source) => source.trouble).map((source) => of(t("pricesOf", { source: source.source }), source.trouble));
  // Without the daemon nothing of this is known.
  const lines = isConnected() ? [...down, ...silent, ...unheard, ...failing, ...unpriced].map(maskedText) : [];
  if (lines.join("\n") === drawn) return;
  drawn = lines.join("\n");
  element("problems").replaceChildren(...lines.map((line) => make("li", line)));
}

// The name of a meter, or its id.
export const title = (meter) => (meter.name === meter.id ? masked(meter.id) : meter.name);
