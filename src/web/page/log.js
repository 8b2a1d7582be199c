// Events of the log, newest first.

import { clockTime } from "./language.js";
import { element, make, maskedText } from "./words.js";

let drawn;

export function drawEvents(events) {
  const state = `${events.length} ${events.at(-1)?.time} ${element("mask").checked}`;
  if (state === drawn) return;
  drawn = state;
  const line = (event) => {
    const made = make("li", undefined, event.level);
    const time = make("time", clockTime(new Date(event.time)));
    time.dateTime = event.time;
    made.append(time, make("b", event.level), make("span", maskedText(event.text)));
    return made;
  };
  element("events").replaceChildren(...events.toReversed().map(line));
}
