// Receives changes: over a socket, or by polling where a socket cannot be opened.

import { element } from "./words.js";

const POLL_MS = 2000;
// Polls before the socket is tried again.
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
  const body = isJson ? await answer.json() : undefined;
  if (!answer.ok) throw new Error(body?.err ?? `${answer.status} ${answer.statusText}`);
  return body;
}

const query = () => `since=${next}&air=true`;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function showConnection(text, name) {
  element("connection").textContent = text;
  element("connection").className = name;
}

// Applies news; returns false if they come from another process, whose numbers start over, so that everything is needed.
function apply(news, take, forget) {
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
    const leave = () => document.hidden && socket.close();
    document.addEventListener("visibilitychange", leave);
    let wasOpen = false;
    socket.onmessage = (event) => {
      wasOpen = true;
      showConnection("live", "good");
      if (!apply(JSON.parse(event.data), take, forget)) socket.close();
    };
    socket.onclose = () => {
      document.removeEventListener("visibilitychange", leave);
      done(wasOpen);
    };
  });
}

async function poll(take, forget) {
  try {
    apply(await ask(`api/live?${query()}`), take, forget);
    showConnection("live, by asking", "good");
  } catch (error) {
    showConnection(`not connected: ${error.message}`, "bad");
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
    if (element("login").hidden && (await receive(take, forget)) && !document.hidden) showConnection("reconnecting", "bad");
    for (let i = 0; i < POLLS && !document.hidden; i++) {
      await pause(POLL_MS / 2);
      await poll(take, forget);
    }
  }
}
