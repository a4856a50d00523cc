// Shows what the edge tells about each answer, and drives the buttons.
"use strict";

// member reads the last entry of a Cache-Status field (RFC 9211): the tier
// nearest to us.
function member(field) {
  const last = (field || "").split(",").pop().split(";").map((s) => s.trim());
  const params = {};
  for (const p of last.slice(1)) {
    const at = p.indexOf("=");
    params[at < 0 ? p : p.slice(0, at)] = at < 0 ? true : p.slice(at + 1);
  }
  return { cache: last[0], params };
}

function outcome(params) {
  if (params.hit) return params.detail ? `hit, ${params.detail}` : "hit: the origin was not asked";
  if (params.collapsed) return "collapsed: joined the fetch of another request";
  if (params["fwd-status"] === "304") return "validated: the origin said 304";
  return `asked the origin (${params.fwd || "?"})${params.stored ? ", and kept" : ""}`;
}

async function panel() {
  const answer = await fetch(location.href, { cache: "no-store" });
  await answer.arrayBuffer();
  const raw = answer.headers.get("Cache-Status");
  const { cache, params } = member(raw);
  const navigation = performance.getEntriesByType("navigation")[0];
  const age = answer.headers.get("Age");
  const show = {
    cache: cache || "no edge: this came straight from the origin",
    outcome: raw ? outcome(params) : "–",
    age: age === null ? "just made" : `${age} s`,
    protocol: (navigation && navigation.nextHopProtocol) || "unknown",
    status: raw || "–",
  };
  for (const [name, text] of Object.entries(show)) {
    document.querySelector(`[data-edge="${name}"]`).textContent = text;
  }
}

function out(path) {
  return document.querySelector(`pre[data-for="${path}"]`);
}

function tell(path, line) {
  const pre = out(path);
  pre.textContent = [line, ...pre.textContent.split("\n")].slice(0, 12).join("\n").trimEnd();
}

async function ask(path, init) {
  const began = performance.now();
  const answer = await fetch(path, { cache: "no-store", ...init });
  const body = await answer.arrayBuffer();
  const took = Math.round(performance.now() - began);
  const text = body.byteLength > 300 ? `${body.byteLength} bytes` : new TextDecoder().decode(body).trim();
  tell(path, `${answer.status} in ${took} ms · ${answer.headers.get("Cache-Status")} · ${text}`);
}

function wire() {
  document.querySelector("[data-again]").addEventListener("click", panel);
  for (const b of document.querySelectorAll("[data-get]")) {
    b.addEventListener("click", () => {
      const init = b.dataset.range ? { headers: { Range: b.dataset.range } } : {};
      for (let n = Number(b.dataset.times || 1); n > 0; n--) ask(b.dataset.get, init);
    });
  }
  for (const b of document.querySelectorAll("[data-post]")) {
    b.addEventListener("click", async () => {
      const answer = await fetch(b.dataset.post, { method: "POST" });
      tell("/flaky", (await answer.text()).trim());
    });
  }
  for (const f of document.querySelectorAll("[data-note]")) {
    f.addEventListener("submit", (e) => {
      e.preventDefault();
      ask(f.dataset.note, { method: "POST", body: f.elements.text.value });
    });
  }
  for (const b of document.querySelectorAll("[data-events]")) {
    b.addEventListener("click", () => {
      b.disabled = true;
      new EventSource(b.dataset.events).onmessage = (e) => tell(b.dataset.events, e.data);
    });
  }
  for (const f of document.querySelectorAll("[data-socket]")) {
    let socket;
    f.addEventListener("submit", (e) => {
      e.preventDefault();
      const text = f.elements.text.value;
      if (socket && socket.readyState === WebSocket.OPEN) return socket.send(text);
      socket = new WebSocket(new URL(f.dataset.socket, location.href.replace(/^http/, "ws")));
      socket.onopen = () => socket.send(text);
      socket.onmessage = (m) => tell(f.dataset.socket, `echo: ${m.data}`);
      socket.onclose = () => tell(f.dataset.socket, "closed");
    });
  }
}

wire();
panel();
