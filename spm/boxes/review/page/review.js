import { Images, MIN_SIDE, boxBetween, element, playSound, pointOn, request } from "./common.js";

// Shows one box after the other. The next boxes are loaded in advance, so that they appear at once.

const PRELOADED = 8; // boxes and images loaded in advance
const FILTERS = ["decided_by", "category", "status", "video_id", "min_score", "max_score"];
const DIGITS = "1234567890";
const boxes = new Map(); // number → the box, as the server describes it
const images = new Images();
let numbers = []; // of the boxes that pass the filters
let position = 0; // of the shown box in numbers
let categories = [];
let decided = []; // numbers of the boxes that I decided about in this session, for undo
let startCorner = null; // of the box that is being drawn
let busy = false;

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
  images.preload(numbers.slice(position, position + PRELOADED));
  if (boxes.has(number)) preloadBoxes().catch(showError);
  else await preloadBoxes();
  const box = boxes.get(number);
  element("frame").src = images.source(number);
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

async function move(steps) {
  position = Math.min(Math.max(position + steps, 0), numbers.length);
  showMessage("");
  await show();
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
  startCorner = pointOn(element("canvas"), event);
}

function pointerMove(event) {
  if (!startCorner) return;
  element("boxes").querySelector(".drawn")?.remove();
  element("boxes").append(rectangle(boxBetween(startCorner, pointOn(element("canvas"), event)), "drawn"));
}

function pointerUp(event) {
  if (!startCorner) return;
  const box = boxBetween(startCorner, pointOn(element("canvas"), event));
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
    " ": () => playSound(numbers[position]),
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
