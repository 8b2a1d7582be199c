// A telegram that is pasted, explained by the daemon.

import { send } from "./connection.js";
import { t } from "./language.js";
import { written } from "./wires.js";
import { element, make } from "./words.js";

function list(pairs) {
  const made = make("dl");
  for (const [name, text] of pairs) made.append(make("dt", name), make("dd", text));
  return made;
}

element("decoder").addEventListener("submit", async (event) => {
  event.preventDefault();
  const shown = element("decoded");
  try {
    const decoded = await send("api/decode", "POST", { telegram: element("pasted").value, key: element("pasted-key").value });
    const readings = decoded.readings.map((reading) =>
      list([...Object.entries(reading).filter(([, value]) => typeof value !== "object"), ...Object.entries(reading.reading ?? {})].map(([name, value]) => [name, written(value)])));
    const parts = list(decoded.parts.map((part) => [part.layer, `${part.bytes} ${part.text}`.trim()]));
    const notes = decoded.notes.map((note) => make("p", note, "bad"));
    shown.replaceChildren(make("p", t("decodedProtocol", { protocol: decoded.protocol })), ...notes, ...readings, parts);
  } catch (error) {
    shown.replaceChildren(make("p", error.message, "bad"));
  }
});
