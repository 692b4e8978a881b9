// The page that draws boxes: shows one frame after the other, and connects its parts.

import { Canvas, moved, resized } from "./canvas.js";
import { ClassChooser } from "./classes.js";
import {
  Images,
  copyCommand,
  element,
  explain,
  onClicks,
  overlap,
  playSound,
  request,
  showImage,
} from "./common.js";
import { listenToKeys } from "./keys.js";
import * as panel from "./draw_panel.js";
import { Store, newBox } from "./draw_store.js";
import { Zoom } from "./zoom.js";

const PRELOADED = 6; // images loaded in advance
const STEP = 0.005; // of the frame: a press of an arrow key; held down, three times as much
const SAVE_DELAY_MS = 300; // of boxes that keys move
const START_BOX = { x: 0.35, y: 0.35, w: 0.3, h: 0.3 }; // drawn by key
const SAME = 0.8; // overlap of a suggestion with a box that makes it superfluous

let session = null; // frames, categories, file, command
let answered = new Set(); // numbers of frames
let number = null; // of the shown frame; null: the last page
let selectedId = null;
const images = new Images();
let shows = 0; // how often a frame was asked for
const store = new Store(report);
const chooser = new ClassChooser();
const canvas = new Canvas({ drawn, changed, selected: (box) => select(box), accepted: accept });

const zoom = new Zoom(() => canvas.cancel());

function showMessage(text, isError = false) {
  element("message").textContent = text;
  element("message").classList.toggle("error", isError);
}

function showError(error) {
  showMessage(explain(error), true);
}

function report(kind, state, detail) {
  const problem = element("problem");
  if (kind === "answered" || kind === "conflict") problem.hidden = true;
  if (kind === "answered") panel.showProgress(detail);
  if (kind === "error") {
    problem.hidden = false;
    problem.textContent = `Not saved: ${explain(detail)}. The page tries again.`;
  }
  if (kind === "conflict") {
    const { video_id, time_s } = session.frames[state.number];
    const place = `${video_id} at ${time_s.toFixed(2)} s`;
    showMessage(`${place} was changed by another page or in the file: please check it`, true);
  }
  if (state.boxes.length || state.nothing_sounds) answered.add(state.number);
  else answered.delete(state.number);
  document.body.dataset.saved = store.isPending() ? "no" : "yes";
  if (store.isPending()) element("saved").textContent = "saving …";
  else if (kind === "stored") element("saved").textContent = "saved";
  if (state.number === number) render();
}

const shown = () => store.get(number);
const current = () => shown()?.boxes.find((box) => box.id === selectedId) ?? null;

function suggestionsOf(state) {
  if (state.nothing_sounds) return [];
  const isNew = (offered) => !state.boxes.some((box) => overlap(box, offered) > SAME);
  return state.suggestions.filter(isNew);
}

function render() {
  const state = shown();
  const frame = session.frames[number];
  const suggestions = suggestionsOf(state);
  canvas.show({ ...state, suggestions, likely: likelyClass() }, selectedId);
  const actions = { select, rename, remove };
  panel.showBoxes(frame, state, selectedId, (name) => canvas.color(name), actions);
  panel.showSuggestions(suggestions, accept);
  const hasBox = current() !== null;
  element("delete").disabled = !hasBox;
  element("rename").disabled = !hasBox;
  element("accept").disabled = !suggestions.length;
  element("nothing").setAttribute("aria-pressed", String(state.nothing_sounds));
  document.body.dataset.boxes = state.boxes.length;
}

async function show(next) {
  chooser.close();
  canvas.cancel();
  const ticket = ++shows;
  const nearby = [...Array(PRELOADED).keys()].map((n) => next + n);
  images.preload(nearby.filter((n) => n < session.frames.length));
  await store.settle();
  store.forget(number);
  await store.load(next);
  await images.ready(next);
  if (ticket !== shows) return; // another frame was asked for in the meantime
  [number, selectedId] = [next, null];
  const frame = session.frames[number];
  element("end").hidden = true;
  element("work").hidden = false;
  element("canvas").style.setProperty("--aspect", frame.aspect);
  zoom.fit();
  showImage(images.source(number));
  for (const name of frame.categories) canvas.color(name);
  panel.showFrame(frame, `frame ${number + 1} of ${session.frames.length}`);
  element("video").value = frame.video_id;
  element("saved").textContent = "";
  render();
  document.body.dataset.number = number;
}

function go(steps) {
  showMessage("");
  if (number === null) return;
  const next = number + steps;
  if (next >= session.frames.length) return showEnd();
  return show(Math.max(next, 0));
}

// The next frame without an answer; the last page if there is none after the shown one.
async function goOn() {
  showMessage("");
  const start = number === null ? 0 : number + 1;
  const next = session.frames.findIndex((_, n) => n >= start && !answered.has(n));
  return next < 0 ? showEnd() : show(next);
}

async function showEnd() {
  await store.settle();
  if (store.isPending()) return showMessage("the last answer is not saved yet", true);
  await refresh();
  number = null;
  element("work").hidden = true;
  element("end").hidden = false;
  panel.showEnd(session);
  document.body.dataset.number = "end";
}

async function refresh() {
  session = await request("session");
  answered = new Set(session.answered);
  panel.showProgress(session.progress);
}

function change(boxes, options) {
  store.change(number, { boxes }, options);
}

function select(box) {
  selectedId = box?.id ?? null;
  render();
}

// The class that a new box most likely has: the first one of the video without a box.
function likelyClass() {
  const { categories } = session.frames[number];
  const taken = shown().boxes.map((box) => box.category);
  return categories.find((name) => !taken.includes(name)) ?? categories[0];
}

function drawn(sides) {
  const box = newBox({ ...sides, category: likelyClass() });
  selectedId = box.id;
  showMessage("");
  change([...shown().boxes, box]);
  if (session.frames[number].categories.length > 1) rename(box);
}

function changed(box, options) {
  change(shown().boxes.map((other) => (other.id === box.id ? box : other)), options);
}

function rename(box) {
  if (!box) return showMessage("select a box first: press s, or click it");
  select(box);
  const ofVideo = session.frames[number].categories;
  chooser.open({ current: box.category, ofVideo, all: session.categories }, (category) => {
    const now = shown().boxes.find((other) => other.id === box.id);
    if (now && now.category !== category) changed({ ...now, category });
  });
}

function nameByNumber(place) {
  const [box, category] = [current(), session.frames[number].categories[place - 1]];
  if (box && category && box.category !== category) changed({ ...box, category });
}

function remove(box) {
  if (!box) return showMessage("select a box first: press s, or click it");
  if (box.id === selectedId) selectedId = null;
  change(shown().boxes.filter((other) => other.id !== box.id));
}

function accept(offered) {
  const box = newBox(offered);
  selectedId = box.id;
  change([...shown().boxes, box]);
}

function acceptAll() {
  const offered = suggestionsOf(shown()).map(newBox);
  if (!offered.length) return showMessage("nothing is suggested here");
  selectedId = null;
  change([...shown().boxes, ...offered]);
}

async function nothingSounds() {
  if (shown().nothing_sounds) return store.change(number, { boxes: [] });
  selectedId = null;
  store.change(number, { boxes: [], nothing_sounds: true });
  await goOn();
}

async function undo() {
  const last = store.lastChanged();
  if (last === undefined) return showMessage("there is nothing to undo");
  if (last !== number || !store.get(last)) await show(last);
  store.undo();
  showMessage("undone");
}

function selectNext() {
  const { boxes } = shown();
  const place = boxes.findIndex((box) => box.id === selectedId);
  select(boxes[place + 1] ?? boxes[0] ?? null);
}

// Move or resize the selected box by an arrow key, or else go to another frame.
function arrow([dx, dy], event) {
  if (zoom.isPanning) return zoom.arrow([dx, dy]);
  const box = current();
  if (!box) return dx ? go(dx) : undefined;
  const step = event.repeat ? 3 * STEP : STEP;
  const next = event.shiftKey
    ? resized(box, "rb", dx * step, dy * step)
    : moved(box, dx * step, dy * step);
  changed(next, { merge: `key-${box.id}`, delayMs: SAVE_DELAY_MS });
}

const KEYS = {
  ...zoom.keys,
  Enter: goOn,
  n: nothingSounds,
  b: () => drawn(START_BOX),
  s: selectNext,
  c: () => rename(current()),
  a: acceptAll,
  Delete: () => remove(current()),
  Backspace: () => remove(current()),
  Escape: () => (canvas.gesture ? canvas.cancel() : select(null)),
  " ": () => playSound(number),
  PageDown: () => go(1),
  PageUp: () => go(-1),
};

function run(action) {
  Promise.resolve().then(action).catch(showError);
}

function connect() {
  const buttons = {
    previous: () => go(-1),
    next: goOn,
    nothing: nothingSounds,
    undo,
    delete: () => remove(current()),
    rename: () => rename(current()),
    accept: acceptAll,
    play: () => playSound(number),
    finish: showEnd,
    back: () => (session.answered.length < session.frames.length ? goOn() : show(0)),
    copy: copyCommand,
  };
  onClicks(buttons, run);
  element("video").addEventListener("change", (event) => {
    event.target.blur();
    const next = session.frames.findIndex((frame) => frame.video_id === event.target.value);
    run(() => show(next));
  });
  const byKey = { keys: KEYS, arrow, byNumber: nameByNumber, undo, isEnd: () => number === null };
  listenToKeys(byKey, run);
  window.addEventListener("beforeunload", (event) => {
    if (store.isPending()) event.preventDefault();
  });
}

async function start() {
  await refresh();
  panel.fillVideos(session.frames);
  connect();
  await goOn();
}

start().catch(showError);
