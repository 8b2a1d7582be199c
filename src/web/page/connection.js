// Follows what happens: over a socket, and where there is none by asking again and again.

import { element } from "./words.js";

const POLL_MS = 2000;
// Asked so often before the socket is tried again.
const POLLS = 3;

let next = 0;
let started;

const token = () => sessionStorage.getItem("token");

export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token()) headers.authorization = `Bearer ${token()}`;
  const answer = await fetch(path, { ...options, headers });
  element("login").hidden = answer.status !== 401;
  const isJson = (answer.headers.get("content-type") ?? "").startsWith("application/json");
  const said = isJson ? await answer.json() : undefined;
  if (!answer.ok) throw new Error(said?.err ?? `${answer.status} ${answer.statusText}`);
  return said;
}

const wish = () => `since=${next}&air=true`;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function say(text, name) {
  element("connection").textContent = text;
  element("connection").className = name;
}

// True where it was news; false where another process has begun to count anew, so that all must be asked for.
function hear(news, take, forget) {
  const isAnother = started !== undefined && started !== news.started;
  started = news.started;
  if (isAnother) {
    forget();
    if (next > 0) {
      next = 0;
      return false;
    }
  }
  next = news.next;
  take(news);
  return true;
}

// Until the socket is closed; true if it was open.
function listen(take, forget) {
  // Beside the page, wherever that is: Home Assistant serves it below a path of its own.
  const place = new URL(`api/socket?${wish()}`, location.href);
  place.protocol = place.protocol === "https:" ? "wss:" : "ws:";
  const words = ["metertap"];
  if (token()) {
    const bytes = String.fromCharCode(...new TextEncoder().encode(token()));
    words.push(`bearer.${btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`);
  }
  return new Promise((done) => {
    const socket = new WebSocket(place, words);
    const leave = () => document.hidden && socket.close();
    document.addEventListener("visibilitychange", leave);
    let wasOpen = false;
    socket.onmessage = (event) => {
      wasOpen = true;
      say("live", "good");
      if (!hear(JSON.parse(event.data), take, forget)) socket.close();
    };
    socket.onclose = () => {
      document.removeEventListener("visibilitychange", leave);
      done(wasOpen);
    };
  });
}

async function poll(take, forget) {
  try {
    hear(await ask(`api/live?${wish()}`), take, forget);
    say("live, by asking", "good");
  } catch (error) {
    say(`not connected: ${error.message}`, "bad");
  }
}

const visible = () =>
  new Promise((done) => {
    if (!document.hidden) return done();
    document.addEventListener("visibilitychange", done, { once: true });
  });

export async function follow(take, forget) {
  element("login").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("token", element("token").value);
    poll(take, forget);
  });
  // Asked first, so that nobody knocks at the socket without the token.
  await poll(take, forget);
  for (;;) {
    await visible();
    if (element("login").hidden && (await listen(take, forget)) && !document.hidden) say("connecting again", "bad");
    for (let i = 0; i < POLLS && !document.hidden; i++) {
      await pause(POLL_MS / 2);
      await poll(take, forget);
    }
  }
}
