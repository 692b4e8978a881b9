"use strict";
// Shows one box after the other. The next boxes are loaded in advance, so that they appear at once.

const PRELOADED = 8; // boxes and images loaded in advance
const CACHED_IMAGES = 200;
const MIN_SIDE = 0.01; // of a drawn box, as a fraction of the image
const FILTERS = ["decided_by", "category", "status", "video_id", "min_score", "max_score"];
const DIGITS = "1234567890";
const element = (id) => document.getElementById(id);
const boxes = new Map(); // number → the box, as the server describes it
const images = new Map(); // number → the image of its frame, loading or loaded
let numbers = []; // of the boxes that pass the filters
let position = 0; // of the shown box in numbers
let categories = [];
let decided = []; // numbers of the boxes that I decided about in this session, for undo
let startCorner = null; // of the box that is being drawn
let busy = false;
let player = null;

async function request(url, options) {
  const response = await fetch(url, options);
  const body = await response.json().catch(() => ({ error: `HTTP ${response.status}` }));
  if (!response.ok) throw new Error(body.error);
  return body;
}

function showMessage(text, isError = false) {
  element("message").textContent = text;
  element("message").classList.toggle("error", isError);
}

function showProgress(progress) {
  element("bar").max = progress.boxes;
  element("bar").value = progress.decided;
  element("progress").textContent =
    `${progress.decided} of ${progress.boxes} boxes decided, ${progress.own} by me; ${numbers.length} pass the filters`;
}

async function applyFilters() {
  const query = new URLSearchParams(FILTERS.map((name) => [name, element(name).value]));
  const result = await request(`/numbers?${query}`);
  numbers = result.numbers;
  position = 0;
  showProgress(result.progress);
  await show();
}

function preloadImages() {
  for (const number of numbers.slice(position, position + PRELOADED)) {
    if (images.has(number)) continue;
    const image = new Image();
    image.src = `/frame/${number}`;
    images.set(number, image);
  }
  const surplus = Math.max(0, images.size - CACHED_IMAGES);
  for (const number of [...images.keys()].slice(0, surplus)) images.delete(number);
}

async function preloadBoxes() {
  const missing = numbers.slice(position, position + PRELOADED).filter((number) => !boxes.has(number));
  if (!missing.length) return;
  for (const box of await request(`/boxes?numbers=${missing}`)) boxes.set(box.number, box);
}

function rectangle(box, className) {
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  rect.setAttribute("x", box.x);
  rect.setAttribute("y", box.y);
  rect.setAttribute("width", box.w);
  rect.setAttribute("height", box.h);
  rect.setAttribute("class", className);
  return rect;
}

function showNoBox() {
  document.body.dataset.number = "none";
  element("frame").removeAttribute("src");
  element("boxes").replaceChildren();
  element("title").textContent = numbers.length ? "No more boxes" : "No box passes the filters";
  element("details").textContent = "";
}

async function show() {
  stopDrawing();
  const number = numbers[position];
  if (number === undefined) return showNoBox();
  preloadImages();
  if (boxes.has(number)) preloadBoxes().catch(showError);
  else await preloadBoxes();
  const box = boxes.get(number);
  element("frame").src = images.get(number).src;
  element("boxes").replaceChildren(
    ...box.others.map((other) => rectangle(other, "other")),
    rectangle(box, `current ${box.verdict ?? ""}`),
  );
  element("title").textContent = `${box.category}, score ${box.score.toFixed(3)}`;
  element("details").textContent =
    `${box.status} · video ${box.video_id} (${box.categories.join(" + ")}) at ${box.time_s.toFixed(2)} s` +
    (box.verdict ? ` · my decision: ${box.verdict}` : "");
  document.body.dataset.number = number;
}

async function decide(verdict, changes = {}, number = numbers[position]) {
  if (busy || number === undefined) return;
  busy = true;
  try {
    if (!boxes.has(number)) for (const box of await request(`/boxes?numbers=${number}`)) boxes.set(number, box);
    const { category, x, y, w, h } = { ...boxes.get(number), ...changes };
    const body = JSON.stringify({ number, verdict, category, x, y, w, h });
    const result = await request("/decide", { method: "POST", body });
    boxes.set(number, result.box);
    showProgress(result.progress);
    showMessage(verdict === "relabel" ? `relabel as ${category}` : verdict);
    if (verdict === "undo") position = Math.max(numbers.indexOf(number), 0);
    else {
      decided.push(number);
      position += 1;
    }
  } finally {
    busy = false;
  }
  await show();
}

async function undo() {
  if (busy) return;
  const shown = numbers[position];
  const number = decided.pop() ?? (boxes.get(shown)?.verdict ? shown : undefined);
  if (number === undefined) return showMessage("you have no decision to undo");
  if (!numbers.includes(number)) numbers.splice(position, 0, number);
  await decide("undo", {}, number);
}

function play() {
  player?.pause();
  player = new Audio(`/sound/${numbers[position]}`);
  player.play().then(() => (document.body.dataset.played = numbers[position])).catch(showError);
}

async function move(steps) {
  position = Math.min(Math.max(position + steps, 0), numbers.length);
  showMessage("");
  await show();
}

function corner(event) {
  const canvas = element("canvas").getBoundingClientRect();
  const fraction = (value, size) => Math.min(Math.max(value / size, 0), 1);
  return {
    x: fraction(event.clientX - canvas.left, canvas.width),
    y: fraction(event.clientY - canvas.top, canvas.height),
  };
}

function boxBetween(a, b) {
  return { x: Math.min(a.x, b.x), y: Math.min(a.y, b.y), w: Math.abs(a.x - b.x), h: Math.abs(a.y - b.y) };
}

function startDrawing() {
  element("canvas").classList.add("drawing");
  showMessage("drag from corner to corner");
}

function stopDrawing() {
  element("canvas").classList.remove("drawing");
  element("boxes").querySelector(".drawn")?.remove();
  startCorner = null;
}

function pointerDown(event) {
  if (!element("canvas").classList.contains("drawing")) return;
  event.preventDefault();
  startCorner = corner(event);
}

function pointerMove(event) {
  if (!startCorner) return;
  element("boxes").querySelector(".drawn")?.remove();
  element("boxes").append(rectangle(boxBetween(startCorner, corner(event)), "drawn"));
}

function pointerUp(event) {
  if (!startCorner) return;
  const box = boxBetween(startCorner, corner(event));
  stopDrawing();
  if (box.w < MIN_SIDE || box.h < MIN_SIDE) return showMessage("the box is too small: drag from corner to corner", true);
  decide("redraw", box).catch(showError);
}

function keyDown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "INPUT"].includes(event.target.tagName)) return;
  const category = categories[DIGITS.indexOf(event.key)];
  const action = {
    a: () => decide("accept"),
    x: () => decide("reject"),
    d: startDrawing,
    u: undo,
    Escape: stopDrawing,
    " ": play,
    ArrowRight: () => move(1),
    ArrowLeft: () => move(-1),
  }[event.key] ?? (category && (() => decide("relabel", { category })));
  if (!action) return;
  event.preventDefault();
  Promise.resolve(action()).catch(showError);
}

function showError(error) {
  showMessage(`error: ${error.message}`, true);
}

function addOptions(id, names) {
  element(id).append(...names.map((name) => new Option(name, name)));
}

function categoryButton(name, n) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.innerHTML = n < DIGITS.length ? `<kbd>${DIGITS[n]}</kbd> ` : "";
  button.append(name);
  button.addEventListener("click", () => {
    button.blur();
    decide("relabel", { category: name }).catch(showError);
  });
  item.append(button);
  return item;
}

async function start() {
  const session = await request("/session");
  categories = session.categories;
  document.title = `spm review: ${session.reviewer}`;
  for (const name of ["category", "status", "video_id"]) addOptions(name, session.filters[name]);
  element("categories").append(...categories.map(categoryButton));
  for (const name of FILTERS) {
    element(name).addEventListener("change", () => {
      element(name).blur();
      applyFilters().catch(showError);
    });
  }
  document.addEventListener("keydown", keyDown);
  element("canvas").addEventListener("pointerdown", pointerDown);
  document.addEventListener("pointermove", pointerMove);
  document.addEventListener("pointerup", pointerUp);
  await applyFilters();
}

start().catch(showError);
