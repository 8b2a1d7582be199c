// Truth about age: the time by the daemon's clock, and whether what is known still holds.

// Usual intervals during which a value is that of now.
const FRESH_INTERVALS = 3;
const LEAST_FRESH_S = 10;
// While the interval of a meter is not known yet.
const UNKNOWN_FRESH_S = 120;
const UNKNOWN_SILENT_S = 7200;

let ahead = 0; // of this browser's clock over the daemon's, in milliseconds
let lastNews; // by this browser's clock
let connected = false;

export function takeNow(now) {
  ahead = Date.now() - Date.parse(now);
  lastNews = Date.now();
  connected = true;
}

export const setLost = () => (connected = false);
export const isConnected = () => connected;
export const sinceNews = () => (lastNews === undefined ? undefined : (Date.now() - lastNews) / 1000);
export const now = () => Date.now() - ahead;

// Seconds since a time of the daemon.
export const age = (at) => Math.max(0, (now() - Date.parse(at)) / 1000);

// `fresh`: its values are those of now. `late`: they may not be. `silent`: it should have reported long ago.
export function freshness(meter) {
  const seconds = age(meter.last_seen);
  if (seconds > (meter.silent_after_s ?? UNKNOWN_SILENT_S)) return "silent";
  const fresh = meter.interval_s === undefined ? UNKNOWN_FRESH_S : Math.max(LEAST_FRESH_S, FRESH_INTERVALS * meter.interval_s);
  return connected && seconds <= fresh ? "fresh" : "late";
}
