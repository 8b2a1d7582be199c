// A telegram that is pasted, explained by the daemon.

import { send } from "./connection.js";
import { t } from "./language.js";
import { written } from "./wires.js";
import { element, isMasked, make, maskedText } from "./words.js";

// Parts of a telegram: its layers and records, with their bytes.
export function partList(parts) {
  const made = make("dl", undefined, "parts");
  for (const { layer, bytes, text } of parts) {
    const about = make("dd");
    about.append(make("code", isMasked() ? "" : bytes), make("span", maskedText(text)));
    made.append(make("dt", layer), about);
  }
  return made;
}

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
    const parts = partList(decoded.parts);
    const notes = decoded.notes.map((note) => make("p", note, "bad"));
    shown.replaceChildren(make("p", t("decodedProtocol", { protocol: decoded.protocol })), ...notes, ...readings, parts);
  } catch (error) {
    shown.replaceChildren(make("p", error.message, "bad"));
  }
});
