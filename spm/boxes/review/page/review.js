// The page that reviews boxes: shows one box after the other, and connects its parts. What a person
// changes about a box is a draft until it is accepted.

import { Canvas, moved, resized } from "./canvas.js";
import { ClassChooser } from "./classes.js";
import {
  copyCommand,
  element,
  explain,
  onClicks,
  playSound,
  request,
  showImage,
} from "./common.js";
import { listenToKeys } from "./keys.js";
import * as panel from "./review_panel.js";
import { ReviewQueue } from "./review_queue.js";
import { Zoom } from "./zoom.js";

const POLL_MS = 3000;
const STEP = 0.005; // of the frame: a press of an arrow key; held down, three times as much
const ID = 1; // of the box under review

const queue = new ReviewQueue();
const chooser = new ClassChooser();
const canvas = new Canvas({
  drawn: (sides) => change(sides),
  changed: (box) => change(box),
  selected: (box) => select(box !== null),
  accepted: (other) => run(() => goTo(other.number)),
});
const zoom = new Zoom(() => canvas.cancel());
let session = null;
let number = null; // of the shown box
let box = null; // the shown box, as the server describes it
let draft = null; // {id, category, x, y, w, h}: the box as it will be accepted
let isSelected = false;
let isEnd = false;
let busy = false;
let shows = 0; // how often a box was asked for

const SIDES = ["x", "y", "w", "h"];
const isRedrawn = () => SIDES.some((side) => draft[side] !== box[side]);

function changes() {
  const found = [];
  if (draft.category !== box.category) found.push(`the class is ${draft.category}`);
  if (isRedrawn()) found.push("the box is redrawn");
  return found;
}

function render() {
  const label = `${draft.category} ${box.score.toFixed(2)}`;
  const others = box.others.map((other) => ({
    ...other,
    label: `${other.category} ${other.score.toFixed(2)}`,
  }));
  const content = { boxes: [{ ...draft, label }], suggestions: others, likely: draft.category };
  canvas.show(content, isSelected ? ID : null);
  element("canvas").dataset.verdict = box.verdict ?? "";
  panel.showBox(box, draft, panel.quickClasses(box, session.categories), rename);
  panel.showDraft(changes());
  document.body.dataset.changed = changes().length ? "yes" : "no";
}

function reset() {
  const { category, x, y, w, h } = box;
  draft = { id: ID, category, x, y, w, h };
  select(false);
}

async function show() {
  chooser.close();
  canvas.cancel();
  const ticket = ++shows;
  if (queue.number === undefined) return showEnd();
  await queue.load(showError);
  if (ticket === shows) await queue.images.ready(queue.number);
  if (ticket !== shows) return; // another box was asked for in the meantime
  ({ box, number } = queue);
  panel.showProgress(session.progress, queue.left);
  isEnd = false;
  element("end").hidden = true;
  element("work").hidden = false;
  element("canvas").style.setProperty("--aspect", box.aspect);
  showImage(queue.images.source(number));
  element("frame").alt = `frame of ${box.video_id} at ${box.time_s.toFixed(2)} s`;
  zoom.fit();
  reset();
  document.body.dataset.number = number;
}

function takeNews(news, isShown = true) {
  queue.takeNews(news, isShown);
  session.progress = news.progress;
  panel.showProgress(news.progress, queue.left);
  if (news.notices.length) panel.showNotice(news.notices.join(" "));
}

// Ask for what others have decided, and for the agreement with them.
async function poll() {
  const news = await request(`news?seen=${queue.seen}`);
  const isTaken = queue.isShared && news.by_others.includes(queue.number);
  takeNews(news);
  panel.showAgreement(panel.agreementText(news.agreement, session.reviewer));
  panel.showProblem("");
  if (isTaken && !isEnd) panel.showMessage("another reviewer has just decided about this box");
}

async function showEnd() {
  await poll();
  isEnd = true;
  element("work").hidden = true;
  element("end").hidden = false;
  panel.showEnd(session);
  document.body.dataset.number = "end";
}

async function applyFilters() {
  const news = await queue.filter({ ...panel.filterValues(), seen: queue.seen });
  if (!news) return undefined;
  takeNews(news);
  panel.showMessage("");
  return show();
}

// A verdict about the shown box, and the next box. Nobody decides about a box that is still loading.
async function decide(verdict) {
  if (busy || isEnd || number !== queue.number) return;
  busy = true;
  try {
    const done = verdict === "reject" ? "rejected" : (changes().join(", ") || "accepted");
    takeNews(await queue.decide(number, verdict, draft), false);
    panel.showMessage(done);
  } catch (error) {
    throw Object.assign(error, { isUnsaved: true });
  } finally {
    busy = false;
  }
  await show();
}

async function undo() {
  if (busy) return;
  busy = true;
  try {
    const news = await queue.undo();
    if (!news) return panel.showMessage("you have no decision to undo");
    takeNews(news);
    panel.showMessage("undone");
  } finally {
    busy = false;
  }
  await show();
}

function move(steps) {
  panel.showMessage("");
  queue.move(steps);
  return show();
}

function goTo(number) {
  panel.showMessage("");
  queue.goTo(number);
  return show();
}

function select(isWanted) {
  isSelected = isWanted;
  element("canvas").classList.remove("redrawing");
  render();
}

function change({ x, y, w, h }) {
  draft = { ...draft, x, y, w, h };
  select(true);
}

function rename(category) {
  draft = { ...draft, category };
  render();
}

function chooseClass() {
  const ofVideo = panel.quickClasses(box, session.categories);
  chooser.open({ current: draft.category, ofVideo, all: session.categories }, rename);
}

function renameByNumber(place) {
  const category = panel.quickClasses(box, session.categories)[place - 1];
  if (category) rename(category);
}

function redraw() {
  select(false);
  zoom.pan(false);
  element("canvas").classList.add("redrawing");
  panel.showMessage("drag from corner to corner");
}

function escape() {
  if (canvas.gesture) return canvas.cancel();
  if (isSelected || element("canvas").classList.contains("redrawing")) return select(false);
  reset();
}

// Move or resize the selected box, move the image, or go to another box.
function arrow([dx, dy], event) {
  if (zoom.isPanning) return zoom.arrow([dx, dy]);
  if (!isSelected) return dx ? move(dx) : undefined;
  const step = event.repeat ? 3 * STEP : STEP;
  const [right, down] = [dx * step, dy * step];
  change(event.shiftKey ? resized(draft, "rb", right, down) : moved(draft, right, down));
}

const KEYS = {
  ...zoom.keys,
  a: () => decide("accept"),
  Enter: () => decide("accept"),
  x: () => decide("reject"),
  c: chooseClass,
  d: redraw,
  s: () => select(!isSelected),
  z: () => zoom.toBox(draft),
  Escape: escape,
  " ": () => playSound(number),
  PageDown: () => move(1),
  PageUp: () => move(-1),
};

function showError(error) {
  panel.showProblem(`${error.isUnsaved ? "Not saved: " : ""}${explain(error)}`);
}

// Why an image is missing. The page never shows a frame of another clip.
async function showImageError() {
  await request(element("frame").src).catch((error) => panel.showMessage(explain(error), true));
}

function run(action) {
  Promise.resolve()
    .then(action)
    .catch(showError);
}

function showFilter(name) {
  element("decided_by").value = name;
  return applyFilters();
}

function connect() {
  const buttons = {
    previous: () => move(-1),
    next: () => move(1),
    play: () => playSound(number),
    undo,
    rename: chooseClass,
    redraw,
    reject: () => decide("reject"),
    accept: () => decide("accept"),
    discard: reset,
    "zoom-box": () => zoom.toBox(draft),
    finish: showEnd,
    back: () => showFilter("nobody"),
    mine: () => showFilter("me"),
    copy: copyCommand,
    dismiss: () => panel.showNotice(""),
  };
  onClicks(buttons, run);
  for (const name of panel.FILTERS) {
    element(name).addEventListener("change", () => {
      element(name).blur();
      run(applyFilters);
    });
  }
  element("frame").addEventListener("error", showImageError);
  listenToKeys({ keys: KEYS, arrow, byNumber: renameByNumber, undo, isEnd: () => isEnd }, run);
}

async function start() {
  session = await request("session");
  queue.seen = session.seen;
  document.title = `spm review: ${session.reviewer}`;
  panel.fillFilters(session.filters);
  element("filters").open = window.matchMedia("(min-width: 761px)").matches;
  connect();
  await applyFilters();
  await poll();
  setInterval(() => document.hidden || busy || poll().catch(showError), POLL_MS);
}

start().catch(showError);
