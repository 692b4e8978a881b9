"use strict";
// One box after the other. What comes next is asked for ahead, so that a key shows it without waiting.

const AHEAD = 8;
const FILTERS = ["whose", "category", "status", "video", "low", "high"];
const DIGITS = "1234567890";
const by = (id) => document.getElementById(id);
const known = new Map(); // number → what the server says of the box
const pictures = new Map(); // number → its picture, loading or loaded
let numbers = []; // the boxes that pass the filters
let at = 0; // where in them
let categories = [];
let mine = []; // numbers that I decided about, the last one last: what undo takes back
let drawing = null; // null, or the corner where a new box begins
let busy = false;
let player = null;

async function ask(address, options) {
  const answer = await fetch(address, options);
  const body = await answer.json().catch(() => ({ error: `HTTP ${answer.status}` }));
  if (!answer.ok) throw new Error(body.error);
  return body;
}

function say(text, wrong = false) {
  by("said").textContent = text;
  by("said").classList.toggle("wrong", wrong);
}

function showProgress(progress) {
  by("bar").max = progress.boxes;
  by("bar").value = progress.decided;
  by("progress").textContent =
    `${progress.decided} of ${progress.boxes} boxes decided, ${progress.mine} by me; ${numbers.length} pass the filters`;
}

async function filter() {
  const wanted = new URLSearchParams(FILTERS.map((name) => [name, by(name).value]));
  const found = await ask(`/numbers?${wanted}`);
  numbers = found.numbers;
  at = 0;
  showProgress(found.progress);
  await show();
}

function ahead() {
  for (const number of numbers.slice(at, at + AHEAD)) {
    if (pictures.has(number)) continue;
    const picture = new Image();
    picture.src = `/frame/${number}`;
    pictures.set(number, picture);
  }
  for (const number of [...pictures.keys()].slice(0, Math.max(0, pictures.size - 200))) pictures.delete(number);
}

async function learn() {
  const wanted = numbers.slice(at, at + AHEAD).filter((number) => !known.has(number));
  if (!wanted.length) return;
  for (const box of await ask(`/boxes?numbers=${wanted}`)) known.set(box.number, box);
}

function rectangle(box, kind) {
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  rect.setAttribute("x", box.x);
  rect.setAttribute("y", box.y);
  rect.setAttribute("width", box.w);
  rect.setAttribute("height", box.h);
  rect.setAttribute("class", kind);
  return rect;
}

async function show() {
  stopDrawing();
  const number = numbers[at];
  if (number === undefined) {
    document.body.dataset.number = "none";
    by("frame").removeAttribute("src");
    by("boxes").replaceChildren();
    by("what").textContent = numbers.length ? "The last one is done" : "No box passes the filters";
    by("about").textContent = "";
    return;
  }
  ahead();
  if (known.has(number)) learn().catch(failed);
  else await learn();
  const box = known.get(number);
  by("frame").src = pictures.get(number).src;
  by("boxes").replaceChildren(
    ...box.others.map((other) => rectangle(other, "other")),
    rectangle(box, `now ${box.verdict ?? ""}`),
  );
  by("what").textContent = `${box.category}, score ${box.score.toFixed(3)}`;
  by("about").textContent =
    `${box.status} · video ${box.video_id} (${box.categories.join(" + ")}) at ${box.time_s.toFixed(2)} s` +
    (box.verdict ? ` · I said: ${box.verdict}` : "");
  document.body.dataset.number = number;
}

async function decide(verdict, changed = {}, number = numbers[at]) {
  if (busy || number === undefined) return;
  busy = true;
  try {
    if (!known.has(number)) for (const box of await ask(`/boxes?numbers=${number}`)) known.set(number, box);
    const { category, x, y, w, h } = { ...known.get(number), ...changed };
    const body = JSON.stringify({ number, verdict, category, x, y, w, h });
    const done = await ask("/decide", { method: "POST", body });
    known.set(number, done.box);
    showProgress(done.progress);
    say(`${verdict}${verdict === "relabel" ? ` to ${category}` : ""}`);
    if (verdict === "undo") at = Math.max(numbers.indexOf(number), 0);
    else {
      mine.push(number);
      at += 1;
    }
  } finally {
    busy = false;
  }
  await show();
}

async function undo() {
  if (busy) return;
  const number = mine.pop() ?? (known.get(numbers[at])?.verdict ? numbers[at] : undefined);
  if (number === undefined) return say("nothing of mine to undo");
  if (!numbers.includes(number)) numbers.splice(at, 0, number);
  await decide("undo", {}, number);
}

function play() {
  player?.pause();
  player = new Audio(`/sound/${numbers[at]}`);
  player.play().then(() => (document.body.dataset.played = numbers[at])).catch(failed);
}

async function step(by_) {
  at = Math.min(Math.max(at + by_, 0), numbers.length);
  say("");
  await show();
}

function corner(event) {
  const stage = by("stage").getBoundingClientRect();
  const part = (value, size) => Math.min(Math.max(value / size, 0), 1);
  return { x: part(event.clientX - stage.left, stage.width), y: part(event.clientY - stage.top, stage.height) };
}

function between(one, other) {
  const [x, y] = [Math.min(one.x, other.x), Math.min(one.y, other.y)];
  return { x, y, w: Math.abs(one.x - other.x), h: Math.abs(one.y - other.y) };
}

function startDrawing() {
  by("stage").classList.add("drawing");
  say("drag from corner to corner");
}

function stopDrawing() {
  by("stage").classList.remove("drawing");
  by("boxes").querySelector(".new")?.remove();
  drawing = null;
}

function pressed(event) {
  if (!by("stage").classList.contains("drawing")) return;
  event.preventDefault();
  drawing = corner(event);
}

function moved(event) {
  if (!drawing) return;
  by("boxes").querySelector(".new")?.remove();
  by("boxes").append(rectangle(between(drawing, corner(event)), "new"));
}

function released(event) {
  if (!drawing) return;
  const box = between(drawing, corner(event));
  stopDrawing();
  if (box.w < 0.01 || box.h < 0.01) return say("too small: drag from corner to corner", true);
  decide("redraw", box).catch(failed);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "INPUT"].includes(event.target.tagName)) return;
  const label = categories[DIGITS.indexOf(event.key)];
  const does = {
    a: () => decide("accept"),
    x: () => decide("reject"),
    d: startDrawing,
    u: undo,
    Escape: stopDrawing,
    " ": play,
    ArrowRight: () => step(1),
    ArrowLeft: () => step(-1),
  }[event.key] ?? (label && (() => decide("relabel", { category: label })));
  if (!does) return;
  event.preventDefault();
  Promise.resolve(does()).catch(failed);
}

function failed(error) {
  say(`not done: ${error.message}`, true);
}

function options(id, names) {
  by(id).append(...names.map((name) => new Option(name, name)));
}

async function start() {
  const about = await ask("/start");
  categories = about.categories;
  document.title = `spm review: ${about.reviewer}`;
  options("category", about.filters.category);
  options("status", about.filters.status);
  options("video", about.filters.video_id);
  by("categories").append(
    ...categories.map((name, n) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.innerHTML = n < DIGITS.length ? `<kbd>${DIGITS[n]}</kbd> ` : "";
      button.append(name);
      button.addEventListener("click", () => {
        button.blur();
        decide("relabel", { category: name }).catch(failed);
      });
      item.append(button);
      return item;
    }),
  );
  for (const name of FILTERS) {
    by(name).addEventListener("change", () => {
      by(name).blur();
      filter().catch(failed);
    });
  }
  document.addEventListener("keydown", key);
  by("stage").addEventListener("pointerdown", pressed);
  document.addEventListener("pointermove", moved);
  document.addEventListener("pointerup", released);
  await filter();
}

start().catch(failed);
