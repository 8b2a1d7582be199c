// Receives changes: over a socket, or by polling where a socket cannot be opened. Says at once when there is no daemon.

import { isConnected, setLost, sinceNews, takeNow } from "./freshness.js";
import { ago, t } from "./language.js";
import { element } from "./words.js";

const POLL_MS = 2000;
// Polls before the socket is tried again.
const POLLS = 3;
// A socket brings something every five seconds; one that does not is dead.
const SILENCE_S = 12;
const ANSWER_MS = 10000;

let next = 0;
let started;
let state = ["connecting", ""];

const token = () => sessionStorage.getItem("token");

// Sends a request and returns the answer.
export async function fetched(path, options = {}) {
  const headers = { ...options.headers };
  if (token()) headers.authorization = `Bearer ${token()}`;
  const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MS), ...options, headers });
  element("login").hidden = answer.status !== 401;
  if (answer.ok) return answer;
  const isJson = (answer.headers.get("content-type") ?? "").startsWith("application/json");
  throw new Error((isJson && (await answer.json()).err) || `${answer.status} ${answer.statusText}`);
}

export const ask = async (path, options) => (await fetched(path, options)).json();

export const send = (path, method, body) =>
  ask(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

const query = () => `since=${next}&air=true`;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function showConnection(key, name, reason = "") {
  state = [key, name, reason];
  drawConnection();
}

// Once a second as well: the age of the last news counts.
export function drawConnection() {
  const [key, name, reason] = state;
  const seconds = sinceNews();
  const since = isConnected() || seconds === undefined ? "" : ` · ${t("lastNews", { ago: ago(seconds) })}`;
  element("connection").textContent = `${t(key, { reason })}${since}`;
  element("connection").className = name;
  document.body.classList.toggle("gone", !isConnected());
}

function lose(key, reason) {
  setLost();
  showConnection(key, "bad", reason);
}

// Applies news; returns false if they come from another process, whose numbers start over, so that everything is needed.
function apply(news, key, take, forget) {
  takeNow(news.now);
  showConnection(key, "good");
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

// Receives until the socket is closed; returns true if it was open.
function receive(take, forget) {
  // Relative to the page: Home Assistant serves it below a path of its own.
  const url = new URL(`api/socket?${query()}`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const protocols = ["metertap"];
  if (token()) {
    const bytes = String.fromCharCode(...new TextEncoder().encode(token()));
    protocols.push(`bearer.${btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`);
  }
  return new Promise((done) => {
    const socket = new WebSocket(url, protocols);
    let wasOpen = false;
    const leave = () => document.hidden && socket.close();
    const end = () => {
      document.removeEventListener("visibilitychange", leave);
      clearInterval(watch);
      done(wasOpen);
    };
    document.addEventListener("visibilitychange", leave);
    const watch = setInterval(() => {
      if (!wasOpen || sinceNews() <= SILENCE_S) return;
      // Closing waits for the other end, which is gone.
      socket.onclose = socket.onmessage = null;
      socket.close();
      end();
    }, 1000);
    socket.onmessage = (event) => {
      wasOpen = true;
      if (!apply(JSON.parse(event.data), "live", take, forget)) socket.close();
    };
    socket.onclose = end;
  });
}

async function poll(take, forget) {
  try {
    apply(await ask(`api/live?${query()}`), "livePolled", take, forget);
  } catch (error) {
    lose("notConnected", error.message);
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
  // Polled first: without the token, the answer shows the login, and the socket would only be refused.
  await poll(take, forget);
  for (;;) {
    await visible();
    if (element("login").hidden && (await receive(take, forget)) && !document.hidden) lose("reconnecting");
    for (let i = 0; i < POLLS && !document.hidden; i++) {
      await pause(POLL_MS / 2);
      await poll(take, forget);
    }
  }
}
